//! Requests that wait for a group of messages.
//!
//! As for single messages, a waiter registers first and asks the store second, and nothing polls. It is
//! told that there is news of its group, never what: counts change with every commit, and whoever was
//! told of a hundred commits asks once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::watch;

use crate::domain::Caller;

/// Those who wait for one group. All are woken by one sender, so that a commit pays for groups and not
/// for waiters.
struct Waiting {
    news: watch::Sender<()>,
    waiters: usize,
}

/// The groups of a caller, or of all.
type ByName = FxHashMap<Box<str>, Waiting>;

/// Everybody who waits, by caller and group; without a caller, for all groups of a name.
#[derive(Default)]
pub(super) struct GroupWaiters {
    waiting: Mutex<FxHashMap<Option<Caller>, ByName>>,
    /// How many wait, so that a commit nobody waits for takes no lock.
    count: AtomicUsize,
}

/// One who waits. Dropping it ends the wait.
pub struct GroupWaiter {
    all: Arc<GroupWaiters>,
    caller: Option<Caller>,
    group: Box<str>,
    news: watch::Receiver<()>,
}

impl GroupWaiters {
    pub(super) fn register(self: &Arc<Self>, caller: Option<&Caller>, group: &str) -> GroupWaiter {
        let mut waiting = self.waiting.lock();
        let groups = waiting.entry(caller.cloned()).or_default();
        let same = groups.entry(group.into()).or_insert_with(|| Waiting {
            news: watch::Sender::new(()),
            waiters: 0,
        });
        same.waiters += 1;
        let news = same.news.subscribe();
        self.count.fetch_add(1, Ordering::SeqCst);
        drop(waiting);
        GroupWaiter {
            all: Arc::clone(self),
            caller: caller.cloned(),
            group: group.into(),
            news,
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    pub(super) fn changed(&self, groups: &mut dyn Iterator<Item = (&Caller, &str)>) {
        // A waiter that registers after this look finds the commit, which came before, in the store.
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let waiting = self.waiting.lock();
        for (caller, group) in groups {
            for whose in [Some(caller.clone()), None] {
                let same = waiting.get(&whose).and_then(|groups| groups.get(group));
                if let Some(same) = same {
                    same.news.send_replace(());
                }
            }
        }
    }
}

impl GroupWaiter {
    /// What has come so far is no news any more: the store is asked next.
    pub fn look(&mut self) {
        self.news.mark_unchanged();
    }

    /// Returns when the group has changed since the last [`Self::look`] (or since the registration).
    pub async fn changed(&mut self) {
        // The sender lives as long as this waiter is counted.
        let _ = self.news.changed().await;
    }
}

impl Drop for GroupWaiter {
    fn drop(&mut self) {
        let mut waiting = self.all.waiting.lock();
        self.all.count.fetch_sub(1, Ordering::SeqCst);
        let Some(groups) = waiting.get_mut(&self.caller) else {
            return;
        };
        let Some(same) = groups.get_mut(&self.group) else {
            return;
        };
        same.waiters -= 1;
        if same.waiters == 0 {
            groups.remove(&self.group);
        }
        if groups.is_empty() {
            waiting.remove(&self.caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn named(name: &str) -> Caller {
        Caller::named(name).expect("a name")
    }

    fn has_news(waiter: &mut GroupWaiter) -> bool {
        waiter.changed().now_or_never().is_some()
    }

    fn tell(all: &GroupWaiters, groups: &[(&str, &str)]) {
        let callers: Vec<_> = groups.iter().map(|(name, _)| named(name)).collect();
        let groups = groups.iter().map(|(_, group)| *group);
        all.changed(&mut callers.iter().zip(groups));
    }

    #[test]
    fn all_who_wait_for_a_group_hear_of_it_and_nobody_else() {
        let all = Arc::new(GroupWaiters::default());
        let mut first = all.register(Some(&named("a")), "g");
        let mut second = all.register(Some(&named("a")), "g");
        let mut of_other_group = all.register(Some(&named("a")), "h");
        let mut of_other_caller = all.register(Some(&named("b")), "g");
        let mut of_all_callers = all.register(None, "g");
        let mut of_none = all.register(None, "h");
        tell(&all, &[("c", "g"), ("a", "g"), ("a", "x")]);
        assert!(has_news(&mut first) && has_news(&mut second));
        assert!(has_news(&mut of_all_callers) && !has_news(&mut of_none));
        assert!(!has_news(&mut of_other_group) && !has_news(&mut of_other_caller));
    }

    #[test]
    fn news_before_a_look_are_told_once_and_those_after_it_again() {
        let all = Arc::new(GroupWaiters::default());
        let mut waiter = all.register(Some(&named("a")), "g");
        assert!(!has_news(&mut waiter));
        tell(&all, &[("a", "g")]);
        tell(&all, &[("a", "g")]);
        waiter.look();
        assert!(!has_news(&mut waiter));
        tell(&all, &[("a", "g")]);
        assert!(has_news(&mut waiter));
        assert!(!has_news(&mut waiter));
    }

    #[test]
    fn who_leaves_is_forgotten() {
        let all = Arc::new(GroupWaiters::default());
        let stays = all.register(Some(&named("a")), "g");
        drop(all.register(Some(&named("a")), "g"));
        drop(all.register(Some(&named("a")), "h"));
        assert_eq!(all.count.load(Ordering::SeqCst), 1);
        assert_eq!(all.waiting.lock()[&Some(named("a"))].len(), 1);
        drop(stays);
        assert_eq!(all.count.load(Ordering::SeqCst), 0);
        assert!(all.waiting.lock().is_empty());
    }
}
