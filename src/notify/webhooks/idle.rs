//! Connections that wait for their next request.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::link::Link;
use crate::domain::webhook::Target;
use crate::domain::webhook::target::Host;

/// What a connection is good for: everything to the same scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    tls: bool,
    host: Host,
    port: u16,
}

impl Origin {
    pub(super) fn of(target: &Target) -> Self {
        Self {
            tls: target.tls,
            host: target.host.clone(),
            port: target.port,
        }
    }
}

/// An open connection, and since when.
pub(super) struct Opened {
    pub(super) link: Link,
    pub(super) at: Instant,
}

/// How many connections idle, and for how long.
#[derive(Clone, Debug)]
pub struct IdleLimits {
    /// To all receivers together.
    pub connections_max: usize,
    /// To one receiver.
    pub connections_per_origin_max: usize,
    /// A connection that idled longer is closed.
    pub idle: Duration,
    /// A connection that was open for longer is not used again, so that a change of the name's
    /// addresses is followed.
    pub age: Duration,
}

impl Default for IdleLimits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            connections_per_origin_max: 64,
            idle: Duration::from_secs(30),
            age: Duration::from_mins(5),
        }
    }
}

/// All that idle. Those of an origin stand in the order in which they began to.
pub(super) struct Idle {
    limits: IdleLimits,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    links: FxHashMap<Origin, Vec<(Instant, Opened)>>,
    count: usize,
}

impl Idle {
    pub(super) fn new(limits: IdleLimits) -> Self {
        Self {
            limits,
            waiting: Mutex::default(),
        }
    }

    /// The connection that idled least, if there is one that may be used again.
    pub(super) fn take(&self, origin: &Origin, now: Instant) -> Option<Opened> {
        let mut waiting = self.waiting.lock();
        let links = waiting.links.get_mut(origin)?;
        let (since, opened) = links.pop()?;
        if links.is_empty() {
            waiting.links.remove(origin);
        }
        waiting.count -= 1;
        let fresh = self.fresh(since, &opened, now);
        drop(waiting);
        fresh.then_some(opened)
    }

    /// Keeps a connection for later, if there is room.
    pub(super) fn put(&self, origin: Origin, opened: Opened, now: Instant) {
        let mut waiting = self.waiting.lock();
        if waiting.count >= self.limits.connections_max || !self.fresh(now, &opened, now) {
            return;
        }
        let links = waiting.links.entry(origin).or_default();
        if links.len() < self.limits.connections_per_origin_max {
            links.push((now, opened));
            waiting.count += 1;
        }
    }

    /// Closes what has idled for too long.
    pub(super) fn prune(&self, now: Instant) {
        let mut waiting = self.waiting.lock();
        let mut count = 0;
        waiting.links.retain(|_, links| {
            links.retain(|(since, opened)| self.fresh(*since, opened, now));
            count += links.len();
            !links.is_empty()
        });
        waiting.count = count;
    }

    /// How many idle.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.waiting.lock().count
    }

    fn fresh(&self, since: Instant, opened: &Opened, now: Instant) -> bool {
        now.saturating_duration_since(since) < self.limits.idle
            && now.saturating_duration_since(opened.at) < self.limits.age
    }
}
