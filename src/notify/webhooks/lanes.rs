//! Which delivery goes next.
//!
//! Each endpoint has a lane. What keeps one endpoint from hurting the others is decided here, without a
//! network or a clock:
//! - a lane's share of what is under way grows with each success and is one request while its endpoint
//!   has not answered yet or ails; an endpoint that ails is left alone for a growing pause;
//! - lanes take turns, and none takes more places than it leaves free, so that whoever comes new finds
//!   one, however many slow ones there are;
//! - lanes whose endpoints have yet to prove themselves get half of all places at most;
//! - nothing of an endpoint that is left alone is held in memory, and of the others only what goes soon.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::domain::webhook::Verdict;
use crate::store::{Delivery, DeliveryId, EndpointId};

/// How much goes on at the same time.
#[derive(Clone, Debug)]
pub struct LaneLimits {
    /// Requests under way, to all endpoints together.
    pub under_way_max: usize,
    /// Requests under way to one endpoint.
    pub per_endpoint_max: usize,
    /// Deliveries in memory beyond which an endpoint gets no more than it can start at once.
    pub held_max: usize,
    /// Endpoints that are remembered.
    pub endpoints_max: usize,
    /// How long an endpoint that ails is left alone first; each further failure doubles it.
    pub pause_min: Duration,
    /// It is left alone no longer than this, unless it asks for more.
    pub pause_max: Duration,
}

impl Default for LaneLimits {
    fn default() -> Self {
        Self {
            under_way_max: 256,
            per_endpoint_max: 64,
            held_max: 2048,
            endpoints_max: 10_000,
            pause_min: Duration::from_secs(1),
            pause_max: Duration::from_mins(1),
        }
    }
}

impl LaneLimits {
    /// How long an endpoint is left alone that has failed `ailing` times in a row.
    fn pause(&self, ailing: u32, chance: f64) -> Duration {
        let doublings = ailing.saturating_sub(1).min(16);
        let doubled = self.pause_min.saturating_mul(1 << doublings);
        doubled.min(self.pause_max).mul_f64(1.0 - chance / 2.0)
    }
}

/// One endpoint.
#[derive(Debug)]
struct Lane {
    /// Read from the store, not started.
    waiting: VecDeque<Delivery>,
    /// Read from the store, and not yet kept as tried.
    held: FxHashSet<DeliveryId>,
    under_way: usize,
    /// How many may be under way.
    share: usize,
    /// The endpoint has answered since it ailed last.
    proven: bool,
    /// Tries in a row for which it counts as ailing.
    ailing: u32,
    paused_until: Option<Instant>,
    /// The lane stands in the line of those that take turns.
    queued: bool,
    /// The store had more of it that was due when it was last read.
    more: bool,
    /// Tries of a standing webhook that failed since the last that did not.
    failures: u32,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            held: FxHashSet::default(),
            under_way: 0,
            share: 1,
            proven: false,
            ailing: 0,
            paused_until: None,
            queued: false,
            more: false,
            failures: 0,
        }
    }
}

/// All lanes.
pub(super) struct Lanes {
    limits: LaneLimits,
    by_endpoint: FxHashMap<EndpointId, Lane>,
    /// Lanes with something to start, in the order of their turns.
    line: VecDeque<EndpointId>,
    under_way: usize,
    unproven: usize,
    held: usize,
    /// Some lane could take in more than it has, and the store had more.
    hungry: bool,
}

impl Lanes {
    pub(super) fn new(limits: LaneLimits) -> Self {
        Self {
            limits,
            by_endpoint: FxHashMap::default(),
            line: VecDeque::new(),
            under_way: 0,
            unproven: 0,
            held: 0,
            hungry: false,
        }
    }

    /// How many due deliveries to read of an endpoint, those that it holds already included; 0 when
    /// it needs none.
    pub(super) fn wants(&self, endpoint: EndpointId, now: Instant) -> usize {
        let crowded = self.held >= self.limits.held_max;
        let Some(lane) = self.by_endpoint.get(&endpoint) else {
            let room = self.by_endpoint.len() < self.limits.endpoints_max;
            return if room { 2 } else { 0 };
        };
        let paused = lane.paused_until.is_some_and(|until| until > now);
        if paused || lane.waiting.len() >= lane.share || (crowded && !lane.waiting.is_empty()) {
            return 0;
        }
        let page = if crowded { 1 } else { 2 * lane.share };
        lane.held.len() + page
    }

    /// An endpoint has something due, and needs nothing now.
    pub(super) fn has_more(&mut self, endpoint: EndpointId) {
        if let Some(lane) = self.by_endpoint.get_mut(&endpoint) {
            lane.more = true;
        }
    }

    /// Takes what was read of an endpoint: what it does not hold yet waits for its turn. `more` tells
    /// that the store may have more of it that is due.
    pub(super) fn take_in(
        &mut self,
        endpoint: EndpointId,
        read: Vec<Delivery>,
        more: bool,
        now: Instant,
    ) {
        if read.is_empty() {
            return;
        }
        let lane = self.by_endpoint.entry(endpoint).or_default();
        if lane.paused_until.is_some_and(|until| until > now) {
            return;
        }
        lane.paused_until = None;
        lane.more = more;
        for delivery in read {
            if lane.held.insert(delivery.id) {
                self.held += 1;
                lane.waiting.push_back(delivery);
            }
        }
        self.queue(endpoint);
    }

    /// The next delivery to start, if one may be started.
    pub(super) fn start(&mut self) -> Option<Delivery> {
        for _ in 0..self.line.len() {
            let endpoint = self.line.pop_front()?;
            let limits = &self.limits;
            let lane = self.by_endpoint.get_mut(&endpoint)?;
            lane.queued = false;
            let free = limits.under_way_max.saturating_sub(self.under_way);
            let unproven = !lane.proven && self.unproven >= limits.under_way_max.div_ceil(2);
            if lane.under_way >= free.min(lane.share) || unproven {
                // It waits for the end of something, and is then queued again.
                lane.queued = true;
                self.line.push_back(endpoint);
                continue;
            }
            let Some(delivery) = lane.waiting.pop_front() else {
                continue;
            };
            lane.under_way += 1;
            self.under_way += 1;
            self.unproven += usize::from(!lane.proven);
            self.hungry |= lane.more && lane.waiting.len() < lane.share;
            self.queue(endpoint);
            return Some(delivery);
        }
        None
    }

    /// A try has ended. The delivery is held until [`Lanes::kept`].
    pub(super) fn ended(
        &mut self,
        endpoint: EndpointId,
        verdict: Verdict,
        now: Instant,
        chance: f64,
    ) {
        let Some(lane) = self.by_endpoint.get_mut(&endpoint) else {
            return;
        };
        lane.under_way -= 1;
        self.under_way -= 1;
        self.unproven -= usize::from(!lane.proven);
        let was_proven = lane.proven;
        match verdict {
            Verdict::Delivered => {
                lane.share = (lane.share * 2).min(self.limits.per_endpoint_max);
                lane.proven = true;
                lane.ailing = 0;
            }
            Verdict::Again {
                endpoint_ails: true,
                asked,
            } => {
                lane.share = 1;
                lane.proven = false;
                let paused = lane.paused_until.is_some_and(|until| until > now);
                // What was under way together fails together, and counts as one failure.
                lane.ailing = lane.ailing.saturating_add(u32::from(!paused));
                let until = now
                    + self
                        .limits
                        .pause(lane.ailing, chance)
                        .max(asked.unwrap_or_default());
                lane.paused_until = lane.paused_until.max(Some(until));
            }
            Verdict::Again { .. } | Verdict::Gone => {
                lane.share = (lane.share / 2).max(1);
                lane.proven = true;
                lane.ailing = 0;
            }
        }
        // What is still under way counts as what the lane is now.
        match (was_proven, lane.proven) {
            (true, false) => self.unproven += lane.under_way,
            (false, true) => self.unproven -= lane.under_way,
            _ => {}
        }
        self.hungry |= lane.more && lane.waiting.len() < lane.share;
        if lane.ailing > 0 {
            self.put_back(endpoint);
        }
    }

    /// What waits of an endpoint is given back to the store.
    pub(super) fn put_back(&mut self, endpoint: EndpointId) {
        if let Some(lane) = self.by_endpoint.get_mut(&endpoint) {
            for delivery in lane.waiting.drain(..) {
                lane.held.remove(&delivery.id);
                self.held -= 1;
            }
        }
    }

    /// What became of a delivery is kept, or nobody wants to know any more.
    pub(super) fn kept(&mut self, endpoint: EndpointId, id: DeliveryId) {
        let Some(lane) = self.by_endpoint.get_mut(&endpoint) else {
            return;
        };
        self.held -= usize::from(lane.held.remove(&id));
    }

    /// A delivery that was started, and is not tried after all.
    pub(super) fn dropped(&mut self, endpoint: EndpointId, id: DeliveryId) {
        if let Some(lane) = self.by_endpoint.get_mut(&endpoint) {
            lane.under_way -= 1;
            self.under_way -= 1;
            self.unproven -= usize::from(!lane.proven);
        }
        self.kept(endpoint, id);
    }

    /// Tries of a standing webhook that failed since the last that did not, as far as they are
    /// remembered.
    pub(super) fn failures(&mut self, endpoint: EndpointId) -> Option<&mut u32> {
        let lane = self.by_endpoint.get_mut(&endpoint);
        lane.map(|lane| &mut lane.failures)
    }

    /// A delivery is held though it does not wait for its turn, until [`Lanes::kept`].
    pub(super) fn hold(&mut self, endpoint: EndpointId, id: DeliveryId) {
        let lane = self.by_endpoint.entry(endpoint).or_default();
        self.held += usize::from(lane.held.insert(id));
    }

    pub(super) fn holds(&self, endpoint: EndpointId, id: DeliveryId) -> bool {
        (self.by_endpoint.get(&endpoint)).is_some_and(|lane| lane.held.contains(&id))
    }

    /// Deliveries of an endpoint in memory.
    pub(super) fn held_of(&self, endpoint: EndpointId) -> usize {
        self.by_endpoint
            .get(&endpoint)
            .map_or(0, |lane| lane.held.len())
    }

    /// Whether reading again would be of use now.
    pub(super) fn is_hungry(&self) -> bool {
        self.hungry
    }

    /// The store is read now.
    pub(super) fn fed(&mut self, now: Instant) {
        self.hungry = false;
        self.make_room(now);
    }

    /// Whether the last tries of an endpoint failed in a way that is about the endpoint.
    pub(super) fn is_ailing(&self, endpoint: EndpointId) -> bool {
        (self.by_endpoint.get(&endpoint)).is_some_and(|lane| lane.ailing > 0)
    }

    /// Endpoints that are left alone at present, and so stay at the front of what the store shows.
    pub(super) fn paused(&self, now: Instant) -> usize {
        let paused = |lane: &&Lane| lane.paused_until.is_some_and(|until| until > now);
        self.by_endpoint.values().filter(paused).count()
    }

    /// When the next pause ends.
    pub(super) fn next_pause_end(&self, now: Instant) -> Option<Instant> {
        let ends = self
            .by_endpoint
            .values()
            .filter_map(|lane| lane.paused_until);
        ends.filter(|until| *until > now).min()
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    /// Deliveries in memory.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held
    }

    fn queue(&mut self, endpoint: EndpointId) {
        if let Some(lane) = self.by_endpoint.get_mut(&endpoint)
            && !lane.queued
            && !lane.waiting.is_empty()
        {
            lane.queued = true;
            self.line.push_back(endpoint);
        }
    }

    /// When too many endpoints are remembered, those that nothing is held of are forgotten: first who
    /// is not left alone at present, and if that is not enough, everybody.
    fn make_room(&mut self, now: Instant) {
        for forgets_paused in [false, true] {
            if self.by_endpoint.len() < self.limits.endpoints_max {
                return;
            }
            self.by_endpoint.retain(|_, lane| {
                let paused = lane.paused_until.is_some_and(|until| until > now);
                !lane.held.is_empty() || lane.queued || (paused && !forgets_paused)
            });
        }
    }
}

#[cfg(test)]
mod tests;
