//! Lanes held against a list of everything that is under way.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::clock;
use crate::domain::{Caller, MessageId, RowId, WallTime};
use crate::store::{Recipient, Record};

const AILS: Verdict = Verdict::Again {
    asked: None,
    endpoint_ails: true,
};
const REFUSES: Verdict = Verdict::Again {
    asked: None,
    endpoint_ails: false,
};

fn delivery(endpoint: u64, id: u64) -> Delivery {
    Delivery {
        id: DeliveryId(id),
        endpoint: EndpointId(endpoint),
        to: Recipient::Callback("http://a.example/".into()),
        record: Record {
            id: MessageId::from_parts(RowId::from_stored(id), 0),
            caller: Caller::default(),
            exchange: "".into(),
            routing_key: "".into(),
            ordering_key: None,
            mandatory: true,
            message_id: None,
            size_bytes: 0,
            accepted_at: WallTime::default(),
            replays: 0,
            group: None,
            deliver_at: None,
            give_up_at: None,
            trace: None,
            standing: None,
            doubt: None,
            outcome: None,
        },
        attempts: 0,
        next_at: WallTime::default(),
    }
}

fn limits(all: usize, each: usize) -> LaneLimits {
    LaneLimits {
        under_way_max: all,
        per_endpoint_max: each,
        ..LaneLimits::default()
    }
}

/// What the store has due of each endpoint, and the engine's part.
struct World {
    lanes: Lanes,
    now: Instant,
    /// By endpoint, in the order of their times.
    due: BTreeMap<u64, Vec<u64>>,
    under_way: Vec<(u64, u64)>,
}

impl World {
    fn new(limits: LaneLimits) -> Self {
        Self {
            lanes: Lanes::new(limits),
            now: clock::monotonic(),
            due: BTreeMap::new(),
            under_way: Vec::new(),
        }
    }

    fn add(&mut self, endpoint: u64, count: u64) {
        let due = self.due.entry(endpoint).or_default();
        let first = due.last().map_or(endpoint * 1_000_000, |last| last + 1);
        due.extend(first..first + count);
    }

    fn read(&mut self) {
        for (endpoint, due) in &self.due {
            let max = self.lanes.wants(EndpointId(*endpoint), self.now);
            let read: Vec<_> = due
                .iter()
                .take(max)
                .map(|id| delivery(*endpoint, *id))
                .collect();
            let is_full = read.len() == max;
            if max > 0 {
                self.lanes
                    .take_in(EndpointId(*endpoint), read, is_full, self.now);
            }
        }
    }

    fn start(&mut self) -> Vec<u64> {
        let mut started = Vec::new();
        while let Some(delivery) = self.lanes.start() {
            let (endpoint, id) = (delivery.endpoint.0, delivery.id.0);
            assert!(
                !self.under_way.contains(&(endpoint, id)),
                "{id} is started twice"
            );
            self.under_way.push((endpoint, id));
            started.push(endpoint);
        }
        started
    }

    /// The try at a place of the list ends; its result is kept at once.
    fn end(&mut self, at: usize, verdict: Verdict) {
        let (endpoint, id) = self.under_way.remove(at);
        self.lanes
            .ended(EndpointId(endpoint), verdict, self.now, 0.5);
        let due = self.due.entry(endpoint).or_default();
        due.retain(|one| *one != id);
        if matches!(verdict, Verdict::Again { .. }) {
            due.push(id);
        }
        self.lanes.kept(EndpointId(endpoint), DeliveryId(id));
    }

    fn end_all(&mut self, endpoint: u64, verdict: Verdict) {
        while let Some(at) = self.under_way.iter().position(|(one, _)| *one == endpoint) {
            self.end(at, verdict);
        }
    }

    fn of(&self, endpoint: u64) -> usize {
        self.under_way
            .iter()
            .filter(|(one, _)| *one == endpoint)
            .count()
    }
}

#[test]
fn an_endpoint_gets_more_at_once_with_each_success_up_to_its_limit() {
    let mut world = World::new(limits(100, 8));
    world.add(1, 1000);
    let mut together = Vec::new();
    for _ in 0..6 {
        world.read();
        world.start();
        together.push(world.of(1));
        world.end(0, Verdict::Delivered);
    }
    assert_eq!(together, [1, 2, 4, 8, 8, 8]);
}

#[test]
fn an_endpoint_that_ails_is_left_alone_for_a_growing_pause_and_then_tried_with_one() {
    let mut world = World::new(limits(100, 8));
    world.add(1, 1000);
    for _ in 0..4 {
        world.read();
        world.start();
        world.end(0, Verdict::Delivered);
    }
    world.read();
    world.start();
    assert_eq!(world.of(1), 8);
    world.end_all(1, AILS);
    assert_eq!(world.lanes.held(), 0, "nothing of it stays in memory");
    // Half of it is jitter at most; the dice say half of that.
    for pause_ms in [750, 1500, 3000, 6000, 12_000, 24_000, 45_000, 45_000] {
        let almost = Duration::from_millis(pause_ms - 1);
        world.now += almost;
        world.read();
        assert_eq!(world.start(), [0_u64; 0], "{pause_ms}");
        world.now += Duration::from_millis(1);
        world.read();
        assert_eq!(world.start(), [1], "{pause_ms}");
        world.end_all(1, AILS);
    }
}

#[test]
fn what_an_endpoint_asks_for_is_waited_for() {
    let mut world = World::new(limits(100, 8));
    world.add(1, 10);
    world.read();
    world.start();
    let asked = Verdict::Again {
        asked: Some(Duration::from_mins(10)),
        endpoint_ails: true,
    };
    world.end(0, asked);
    let end = world.now + Duration::from_mins(10);
    assert_eq!(world.lanes.next_pause_end(world.now), Some(end));
    assert_eq!(world.lanes.paused(world.now), 1);
    let before = world.now + Duration::from_mins(9);
    assert_eq!(world.lanes.wants(EndpointId(1), before), 0);
    assert!(world.lanes.wants(EndpointId(1), end) > 0);
}

#[test]
fn refusals_make_an_endpoint_slower_but_leave_it_no_pause() {
    let mut world = World::new(limits(100, 8));
    world.add(1, 1000);
    for _ in 0..4 {
        world.read();
        world.start();
        world.end(0, Verdict::Delivered);
    }
    world.read();
    world.start();
    world.end_all(1, REFUSES);
    world.read();
    assert_eq!(world.start(), [1]);
}

#[test]
fn endpoints_take_turns() {
    let mut world = World::new(limits(3, 8));
    for endpoint in 1..=9 {
        world.add(endpoint, 100);
    }
    let mut order = Vec::new();
    for _ in 0..60 {
        world.read();
        order.extend(world.start());
        world.end(0, Verdict::Delivered);
    }
    // Once all have proved themselves, each nine that start are all nine.
    let mut turns = order[30..39].to_vec();
    turns.sort_unstable();
    assert_eq!(turns, [1, 2, 3, 4, 5, 6, 7, 8, 9], "{order:?}");
}

#[test]
fn endpoints_that_have_not_answered_leave_half_of_all_places() {
    let mut world = World::new(limits(20, 8));
    world.add(1, 10);
    world.read();
    world.start();
    world.end(0, Verdict::Delivered);
    for endpoint in 2..100 {
        world.add(endpoint, 1);
    }
    world.read();
    world.start();
    let others = world.under_way.len() - world.of(1);
    assert_eq!((others, world.of(1)), (10, 2));
}

#[test]
fn no_endpoint_takes_more_places_than_it_leaves_free() {
    let mut world = World::new(limits(32, 64));
    for (endpoint, expected) in [(1, 16), (2, 8), (3, 4), (4, 2), (5, 1), (6, 1)] {
        world.add(endpoint, 1000);
        for _ in 0..200 {
            world.read();
            world.start();
            let newest = world
                .under_way
                .iter()
                .rposition(|(one, _)| *one == endpoint);
            world.end(newest.expect("there is a place for it"), Verdict::Delivered);
        }
        world.read();
        world.start();
        assert_eq!(world.of(endpoint), expected, "{endpoint}");
    }
}

#[test]
fn endpoints_without_number_are_forgotten_before_new_ones_are_turned_away() {
    let few = LaneLimits {
        endpoints_max: 10,
        ..limits(100, 8)
    };
    let mut world = World::new(few);
    for (endpoint, verdict) in (1..=100).map(|endpoint| (endpoint, [Verdict::Delivered, AILS])) {
        world.add(endpoint, 1);
        world.lanes.fed(world.now);
        world.read();
        world.start();
        assert_eq!(world.of(endpoint), 1, "{endpoint}");
        let at = world.under_way.len() - 1;
        world.end(at, verdict[usize::from(endpoint % 2 == 0)]);
        world.due.remove(&endpoint);
        assert!(world.lanes.by_endpoint.len() <= 10);
    }
}

proptest! {
    #[test]
    fn no_limit_is_ever_passed_and_nothing_is_started_twice_or_forgotten(
        steps in prop::collection::vec((0..5_u8, 1..6_u64, 0..40_usize), 1..200)
    ) {
        let mut world = World::new(LaneLimits { held_max: 40, ..limits(16, 4) });
        for (what, endpoint, number) in steps {
            match what {
                0 => world.add(endpoint, number as u64),
                1 => world.now += Duration::from_millis(50 * number as u64),
                _ if world.under_way.is_empty() => {}
                2 => world.end(number % world.under_way.len(), Verdict::Delivered),
                3 => world.end(number % world.under_way.len(), AILS),
                _ => world.end(number % world.under_way.len(), REFUSES),
            }
            world.read();
            world.start();
            prop_assert!(world.under_way.len() <= 16);
            prop_assert_eq!(world.under_way.len(), world.lanes.under_way());
            prop_assert!((1..6).all(|endpoint| world.of(endpoint) <= 4));
            // Each may take a page in when there was room, and what it can start at once when not.
            prop_assert!(world.lanes.held() <= 40 + 5 * 8, "{}", world.lanes.held());
        }
        // Whatever happened, everybody gets everything in the end.
        for _ in 0..3000 {
            while !world.under_way.is_empty() {
                world.end(0, Verdict::Delivered);
            }
            world.now += Duration::from_mins(2);
            world.read();
            world.start();
        }
        prop_assert!(world.due.values().all(Vec::is_empty), "{:?}", world.due);
        prop_assert_eq!(world.lanes.held(), 0);
        prop_assert_eq!(world.lanes.unproven, 0);
    }
}
