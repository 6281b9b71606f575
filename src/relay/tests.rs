//! The relay as a whole: what is told when, and what is lost never.

mod batches;
pub(super) mod bench;
mod budget;
mod commits;
mod gate;
mod keys;
mod probes;
mod replays;
mod schedules;
mod stopping;
mod withdrawals;

/// Callers without names, who may publish anything.
pub(super) fn anybody()
-> tokio::sync::watch::Receiver<std::sync::Arc<crate::domain::access::Callers>> {
    tokio::sync::watch::Sender::default().subscribe()
}
