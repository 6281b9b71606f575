//! Where a connection stands between two requests.
//!
//! hyper does not tell. But its timer is set when it begins to expect a head, its service is called when
//! one has come, and its stream is flushed when nothing more is to be written. Put together, these say
//! since when a connection idles, and that what is written then is hyper's own answer.

use std::time::Instant;

use parking_lot::Mutex;

/// What timer, stream, service and the crowd of connections know of one of them.
pub(super) struct Phase(Mutex<State>);

struct State {
    /// Since when a head is expected; `None` while a request is being answered.
    head_since: Option<Instant>,
    /// Whether some of that head has arrived.
    arrived: bool,
    /// Whether all that hyper had to write was written.
    flushed: bool,
    /// Whether that was so at some moment since the head is expected.
    answered: bool,
}

impl Phase {
    /// Of a new connection, which is expected to send a head.
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(State {
            head_since: Some(now),
            arrived: false,
            flushed: true,
            answered: true,
        }))
    }

    /// hyper begins to expect a head. What was read before belongs to the request before.
    pub(super) fn expect_head(&self, now: Instant) {
        let mut state = self.0.lock();
        state.head_since = Some(now);
        state.arrived = false;
        state.answered = state.flushed;
    }

    /// A head has come, and a request is being answered.
    pub(super) fn serve(&self) {
        self.0.lock().head_since = None;
    }

    /// Bytes have come.
    pub(super) fn arrived(&self) {
        self.0.lock().arrived = true;
    }

    /// Whether some of the head that is expected has come.
    pub(super) fn has_arrived(&self) -> bool {
        self.0.lock().arrived
    }

    /// hyper begins to write.
    pub(super) fn writes(&self) {
        self.0.lock().flushed = false;
    }

    /// hyper has written all that it had.
    pub(super) fn flushed(&self) {
        let mut state = self.0.lock();
        state.flushed = true;
        state.answered |= state.head_since.is_some();
    }

    /// Since when no request is being answered, nor is an answer still on its way.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.0.lock();
        state.head_since.filter(|_| state.answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_connection_idles_only_after_its_answer_is_written() {
        let start = clock::monotonic();
        let phase = Phase::new(start);
        assert_eq!(phase.idle_since(), Some(start));
        phase.serve();
        assert_eq!(phase.idle_since(), None);
        phase.writes();
        let later = clock::monotonic();
        phase.expect_head(later);
        assert_eq!(phase.idle_since(), None, "its client reads slowly");
        phase.flushed();
        assert_eq!(phase.idle_since(), Some(later));
        phase.writes();
        assert_eq!(phase.idle_since(), Some(later), "hyper's own answer");
    }

    #[test]
    fn an_answer_that_was_written_before_the_next_head_is_expected_leaves_it_idle() {
        let now = clock::monotonic();
        let phase = Phase::new(now);
        phase.serve();
        phase.writes();
        phase.flushed();
        assert_eq!(phase.idle_since(), None);
        phase.expect_head(now);
        assert_eq!(phase.idle_since(), Some(now));
    }
}
