//! What a caller wishes beyond publishing: when, for how long, and who is told.

use super::time::WallTime;
use super::trace::TraceContext;

/// Not before when a message is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deliver {
    /// At a time of the wall clock (`deliver_at`).
    At(WallTime),
    /// So long after acceptance (`delay_ms`).
    After {
        /// Milliseconds.
        ms: u64,
    },
}

/// When a scheduled message is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// By the wall clock.
    pub at: WallTime,
    /// It is the end of a duration: when the wall clock steps, it moves along.
    pub moves: bool,
}

/// The options of a message that most messages do without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Not before when it is handed over.
    pub deliver: Option<Deliver>,
    /// Milliseconds after acceptance, its due time or a replay, after which it is not tried any more.
    pub give_up_after_ms: Option<u64>,
    /// Where its outcome is sent to.
    pub callback_url: Option<Box<str>>,
    /// The caller's own label.
    pub group: Option<Box<str>>,
    /// Where its request belongs in a trace, which is no wish and no part of the message.
    pub trace: Option<TraceContext>,
}

impl Terms {
    /// These terms, or nothing when they say nothing.
    #[must_use]
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }

    /// When a message that was accepted at `accepted_at` is due; `None` is at once.
    #[must_use]
    pub fn due(&self, accepted_at: WallTime) -> Option<Due> {
        match self.deliver? {
            Deliver::At(at) => Some(Due { at, moves: false }),
            Deliver::After { ms } => Some(Due {
                at: accepted_at.plus_ms(ms),
                moves: true,
            }),
        }
    }

    /// Whether they say anything that belongs to the message.
    #[must_use]
    pub fn are_wishes(&self) -> bool {
        let Self {
            deliver,
            give_up_after_ms,
            callback_url,
            group,
            trace: _,
        } = self;
        deliver.is_some() || give_up_after_ms.is_some() || callback_url.is_some() || group.is_some()
    }

    /// Bytes of the texts.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let len = |text: &Option<Box<str>>| text.as_deref().map_or(0, str::len);
        let trace = self.trace.as_ref().map_or(0, TraceContext::text_bytes);
        len(&self.callback_url) + len(&self.group) + trace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_that_say_nothing_are_none() {
        assert_eq!(Terms::default().boxed(), None);
        let group = Terms {
            group: Some("g".into()),
            ..Terms::default()
        };
        assert_eq!(group.clone().boxed().as_deref(), Some(&group));
    }

    #[test]
    fn a_delay_ends_at_a_time_and_moves_with_the_clock() {
        let accepted_at = WallTime::from_unix_ms(1000);
        let due = |deliver| {
            let terms = Terms {
                deliver,
                ..Terms::default()
            };
            terms.due(accepted_at)
        };
        let at = WallTime::from_unix_ms;
        assert_eq!(due(None), None);
        assert_eq!(
            due(Some(Deliver::At(at(7)))),
            Some(Due {
                at: at(7),
                moves: false
            })
        );
        assert_eq!(
            due(Some(Deliver::After { ms: 5 })),
            Some(Due {
                at: at(1005),
                moves: true
            })
        );
    }
}
