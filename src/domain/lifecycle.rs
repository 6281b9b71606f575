//! The life of a message: which event may follow which, and what it leads to.
//!
//! Every change of status in the gateway goes through [`Life::apply`]. What it guarantees, whatever
//! order events come in: a final status absorbs everything but a replay; a hand-over ends exactly
//! once; unknown is never failed; `duplicate_possible` is never taken back.

use super::status::Status;

/// Where a message stands, with what its history amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// What callers are told.
    pub status: Status,
    /// Handed to the broker, and no word yet.
    pub in_flight: bool,
    /// Grows with each change of status.
    pub revision: u32,
    /// Hand-overs since acceptance or the last replay.
    pub attempts: u32,
    /// Hand-overs that ended with a nack, likewise.
    pub nacks: u32,
    /// Times it was sent back to pending by a caller.
    pub replays: u32,
    /// Some hand-over ended without proof that no queue took the message.
    pub duplicate_possible: bool,
}

/// Something that happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was given to a connection.
    HandedOver,
    /// That connection ended before the whole message was written: no broker can have taken it.
    Unsent,
    /// `basic.ack`, and no return before it.
    Confirmed,
    /// `basic.return`, then `basic.ack`.
    Returned,
    /// `basic.nack`.
    Nacked,
    /// The connection or channel ended, and nobody knows.
    Unknown,
    /// Tried alone, and the broker closed on it. `maybe_taken`: it might be in a queue all the same.
    Refused {
        /// Whether a queue may hold it.
        maybe_taken: bool,
    },
    /// The gateway stops trying: it was not in flight at that moment.
    GivenUp,
    /// A caller wants it sent again.
    Replayed,
}

/// The event cannot happen in this state, and nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} cannot happen to a message that is {life:?}")]
pub struct Illegal {
    /// The state that it met.
    pub life: Life,
    /// What was to happen.
    pub event: Event,
}

impl Default for Life {
    fn default() -> Self {
        Self {
            status: Status::Pending,
            in_flight: false,
            revision: 1,
            attempts: 0,
            nacks: 0,
            replays: 0,
            duplicate_possible: false,
        }
    }
}

impl Life {
    /// The state after `event`.
    ///
    /// # Errors
    /// [`Illegal`] when the event cannot happen in this state.
    pub fn apply(self, event: Event) -> Result<Self, Illegal> {
        use Status::{Confirmed, Failed, Pending, Returned};
        let idle = Self {
            in_flight: false,
            ..self
        };
        match (self.status, self.in_flight, event) {
            (Pending, false, Event::HandedOver) => Ok(Self {
                in_flight: true,
                attempts: self.attempts + 1,
                ..self
            }),
            (Pending, true, Event::Unsent) => Ok(Self {
                attempts: self.attempts - 1,
                ..idle
            }),
            (Pending, true, Event::Confirmed) => Ok(idle.settled(Confirmed)),
            (Pending, true, Event::Returned) => Ok(idle.settled(Returned)),
            (Pending, true, Event::Nacked) => Ok(Self {
                nacks: self.nacks + 1,
                duplicate_possible: true,
                ..idle
            }),
            (Pending, true, Event::Unknown) => Ok(Self {
                duplicate_possible: true,
                ..idle
            }),
            (Pending, true, Event::Refused { maybe_taken }) => {
                let duplicate_possible = self.duplicate_possible || maybe_taken;
                Ok(Self {
                    duplicate_possible,
                    ..idle.settled(Failed)
                })
            }
            (Pending, false, Event::GivenUp) => Ok(self.settled(Failed)),
            (Returned | Failed, false, Event::Replayed) => Ok(Self {
                attempts: 0,
                nacks: 0,
                replays: self.replays + 1,
                ..self.settled(Pending)
            }),
            _ => Err(Illegal { life: self, event }),
        }
    }

    fn settled(self, status: Status) -> Self {
        Self {
            status,
            revision: self.revision + 1,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => Just(Event::HandedOver),
            1 => Just(Event::Unsent),
            1 => Just(Event::Confirmed),
            1 => Just(Event::Returned),
            1 => Just(Event::Nacked),
            2 => Just(Event::Unknown),
            1 => any::<bool>().prop_map(|maybe_taken| Event::Refused { maybe_taken }),
            1 => Just(Event::GivenUp),
            1 => Just(Event::Replayed),
        ]
    }

    /// What really happened to a message, kept the naive way: as a list.
    fn follow(events: &[Event]) -> (Life, Vec<(Life, Event)>) {
        let mut life = Life::default();
        let mut taken = Vec::new();
        for &event in events {
            if let Ok(next) = life.apply(event) {
                taken.push((life, event));
                life = next;
            }
        }
        (life, taken)
    }

    proptest! {
        #[test]
        fn final_states_absorb_everything_but_a_replay(
            events in prop::collection::vec(any_event(), 0..60), more in any_event(),
        ) {
            let (life, _) = follow(&events);
            if life.status.is_final() && more != Event::Replayed {
                prop_assert!(life.apply(more).is_err());
            }
            if life.status == Status::Confirmed {
                prop_assert!(life.apply(Event::Replayed).is_err());
            }
        }

        #[test]
        fn every_hand_over_ends_exactly_once(events in prop::collection::vec(any_event(), 0..60)) {
            let (life, taken) = follow(&events);
            let mut open = 0;
            for (_, event) in &taken {
                match event {
                    Event::HandedOver => open += 1,
                    Event::GivenUp | Event::Replayed => {}
                    _ => open -= 1,
                }
                prop_assert!(open == 0 || open == 1, "{taken:?}");
            }
            prop_assert_eq!(life.in_flight, open == 1);
        }

        #[test]
        fn the_status_is_what_the_last_outcome_said(events in prop::collection::vec(any_event(), 0..60)) {
            let (life, taken) = follow(&events);
            let last = taken.iter().rev().map(|(_, event)| *event).find(|event| {
                !matches!(event, Event::HandedOver | Event::Unsent)
            });
            let told = match last {
                Some(Event::Confirmed) => Status::Confirmed,
                Some(Event::Returned) => Status::Returned,
                Some(Event::Refused { .. } | Event::GivenUp) => Status::Failed,
                _ => Status::Pending,
            };
            prop_assert_eq!(life.status, told);
        }

        #[test]
        fn a_duplicate_is_possible_if_and_only_if_some_try_left_a_doubt(
            events in prop::collection::vec(any_event(), 0..60),
        ) {
            let (life, taken) = follow(&events);
            let doubt = taken.iter().any(|(_, event)| {
                matches!(event, Event::Unknown | Event::Nacked | Event::Refused { maybe_taken: true })
            });
            prop_assert_eq!(life.duplicate_possible, doubt);
        }

        #[test]
        fn the_revision_counts_the_changes_of_status(
            events in prop::collection::vec(any_event(), 0..60),
        ) {
            let mut life = Life::default();
            for event in events {
                let Ok(next) = life.apply(event) else { continue };
                let changed = next.status != life.status;
                prop_assert_eq!(next.revision, life.revision + u32::from(changed));
                life = next;
            }
        }
    }

    #[test]
    fn events_of_a_hand_over_that_has_ended_change_nothing() {
        let life = Life::default()
            .apply(Event::HandedOver)
            .expect("first hand-over");
        let life = life.apply(Event::Unknown).expect("lost");
        for late in [
            Event::Confirmed,
            Event::Returned,
            Event::Nacked,
            Event::Unknown,
        ] {
            assert!(life.apply(late).is_err(), "{late:?}");
        }
    }

    #[test]
    fn an_unsent_message_was_not_tried() {
        let life = Life::default().apply(Event::HandedOver).expect("hand-over");
        assert_eq!(life.apply(Event::Unsent), Ok(Life::default()));
    }
}
