//! Reads back what lanes have left to the store, for all lanes in turn: one that is stalled wants
//! nothing and delays nobody.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::lanes::Lanes;
use crate::store::{ReadStore, StoreError};

/// Tells the reader that some lane may want something, or that it is over.
#[derive(Default)]
pub(super) struct Bell {
    state: Mutex<Ring>,
    rung: Condvar,
}

#[derive(Default)]
struct Ring {
    wanted: bool,
    ended: bool,
}

impl Bell {
    /// Some lane may want something.
    pub(super) fn ring(&self) {
        self.state.lock().wanted = true;
        self.rung.notify_one();
    }

    /// Lets the reader end.
    pub(super) fn end(&self) {
        self.state.lock().ended = true;
        self.rung.notify_one();
    }

    /// Waits for a ring; false when it is over.
    fn wait(&self) -> bool {
        let mut state = self.state.lock();
        while !state.wanted && !state.ended {
            self.rung.wait(&mut state);
        }
        state.wanted = false;
        !state.ended
    }

    fn is_ended(&self) -> bool {
        self.state.lock().ended
    }
}

/// The reader, to be run on a thread of its own.
pub struct BacklogReader {
    pub(super) lanes: Arc<Lanes>,
    pub(super) store: Arc<dyn ReadStore>,
}

impl BacklogReader {
    /// Reads until [`super::Relay::stop_reading`] is called.
    ///
    /// # Errors
    /// The store cannot be read, and the process must end: what is pending would wait for ever.
    pub fn run(self) -> Result<(), StoreError> {
        while self.lanes.backlog.wait() {
            while self.round()? && !self.lanes.backlog.is_ended() {}
        }
        Ok(())
    }

    /// One reading for each lane that wants one; false when none did.
    fn round(&self) -> Result<bool, StoreError> {
        let mut some = false;
        for (partition, desk) in (0..).zip(self.lanes.all()) {
            let Some(asked) = desk.dispatch.lock().wants_reading() else {
                continue;
            };
            let read =
                self.store
                    .pending(partition, asked.after, asked.messages_max, asked.bytes_max)?;
            desk.dispatch.lock().refill(asked, read);
            desk.call.notify_one();
            some = true;
        }
        Ok(some)
    }
}
