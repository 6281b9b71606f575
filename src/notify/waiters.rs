//! Requests that wait for a final status.
//!
//! A waiter registers first and looks into the store second, so a commit in between is seen by one
//! of the two. Nothing polls: a waiter costs nothing until its message's settlement is committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::oneshot;

use super::group_waiters::{GroupWaiter, GroupWaiters};
use crate::domain::{Caller, MessageId, RowId};
use crate::store::{Audience, Settlement};

/// Those who wait for one message: each with a number, and the way to tell it.
type Waiting = Vec<(u64, oneshot::Sender<Settlement>)>;

/// Everybody who waits, by message.
#[derive(Default)]
pub struct Waiters {
    waiting: Mutex<FxHashMap<RowId, Waiting>>,
    /// How many wait, so that a commit nobody waits for takes no lock.
    count: AtomicUsize,
    next: AtomicU64,
    groups: Arc<GroupWaiters>,
}

/// One who waits. Dropping it ends the wait.
pub struct Waiter {
    all: Arc<Waiters>,
    row: RowId,
    number: u64,
    told: oneshot::Receiver<Settlement>,
}

impl Waiters {
    /// Starts to wait for the message at `row`. Look into the store after this, not before.
    #[must_use]
    pub fn register(self: &Arc<Self>, row: RowId) -> Waiter {
        let (tell, told) = oneshot::channel();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.waiting.lock();
        waiting.entry(row).or_default().push((number, tell));
        self.count.fetch_add(1, Ordering::SeqCst);
        drop(waiting);
        Waiter {
            all: Arc::clone(self),
            row,
            number,
            told,
        }
    }
}

impl Waiters {
    /// How many wait, for messages and for groups.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.count.load(Ordering::SeqCst) + self.groups.waiting()
    }

    /// Starts to wait for news of a group of `caller`, or of all groups of this name. Look into the store
    /// after this, not before.
    #[must_use]
    pub fn register_for_group(&self, caller: Option<&Caller>, group: &str) -> GroupWaiter {
        self.groups.register(caller, group)
    }
}

impl Waiter {
    /// Returns the first final status of the message that is committed after [`Waiters::register`].
    pub async fn settled(&mut self) -> Settlement {
        match (&mut self.told).await {
            Ok(settlement) => settlement,
            // The sender is dropped only after it has told, and the news are taken once.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.all.waiting.lock();
        let Some(same) = waiting.get_mut(&self.row) else {
            return;
        };
        let before = same.len();
        same.retain(|(number, _)| *number != self.number);
        self.all
            .count
            .fetch_sub(before - same.len(), Ordering::SeqCst);
        if same.is_empty() {
            waiting.remove(&self.row);
        }
    }
}

impl Audience for Waiters {
    fn awaits(&self, mut ids: &mut dyn Iterator<Item = MessageId>) -> bool {
        if self.count.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let waiting = self.waiting.lock();
        Iterator::any(&mut ids, |id| waiting.contains_key(&id.row()))
    }

    fn groups_changed(&self, groups: &mut dyn Iterator<Item = (&Caller, &str)>) {
        self.groups.changed(groups);
    }

    /// They wait for messages.
    fn deliveries_kept(&self) {}

    fn settled(&self, settled: &[Settlement]) {
        // A waiter that registers after this look finds the commit, which came before, in the store.
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut waiting = self.waiting.lock();
        for settlement in settled {
            let Some(told) = waiting.remove(&settlement.id.row()) else {
                continue;
            };
            self.count.fetch_sub(told.len(), Ordering::SeqCst);
            for (_, tell) in told {
                // Whoever has left no longer needs the news.
                let _ = tell.send(settlement.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Status, WallTime};

    fn settlement(row: u64) -> Settlement {
        Settlement {
            id: MessageId::from_parts(RowId::from_stored(row), 0),
            status: Status::Confirmed,
            reason: None,
            attempts: 1,
            duplicate_possible: false,
            revision: 2,
            settled_at: WallTime::default(),
        }
    }

    #[tokio::test]
    async fn all_who_wait_for_a_message_are_told_and_nobody_else() {
        let waiters = Arc::new(Waiters::default());
        let mut first = waiters.register(RowId::from_stored(1));
        let mut second = waiters.register(RowId::from_stored(1));
        let other = waiters.register(RowId::from_stored(2));
        waiters.settled(&[settlement(1)]);
        assert_eq!(first.settled().await, settlement(1));
        assert_eq!(second.settled().await, settlement(1));
        assert_eq!(waiters.count.load(Ordering::SeqCst), 1);
        drop(other);
        assert_eq!(waiters.count.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn who_leaves_is_forgotten() {
        let waiters = Arc::new(Waiters::default());
        let row = RowId::from_stored(7);
        let stays = waiters.register(row);
        drop(waiters.register(row));
        assert_eq!(waiters.waiting.lock()[&row].len(), 1);
        drop(stays);
        assert!(waiters.waiting.lock().is_empty());
    }
}
