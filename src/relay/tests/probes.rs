//! Questions about exchanges, and the probation of suspects.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::bench::{AMPLE, Nobody, draft, settings, suspect};
use crate::broker::{Feed, LaneEvent, Outcome, Presence, Probe, ProbeError, Room};
use crate::clock;
use crate::domain::order::OrderKey;
use crate::domain::{Draft, IdMinter, Message, RowId, WallTime};
use crate::relay::feeds::{LaneFeed, ProbationFeed};
use crate::relay::journal::Journal;
use crate::relay::lanes::Lanes;
use crate::relay::{Start, prober};
use crate::store::Accepted;

const LANES: usize = 4;
const ROOM: Room = Room {
    messages: 100,
    bytes: 1 << 20,
    empty: true,
};

/// A broker that can be asked, and whose answers the test decides.
#[derive(Default)]
struct Asked {
    answers: Mutex<BTreeMap<String, Presence>>,
    times: Mutex<BTreeMap<String, u32>>,
}

impl Probe for Asked {
    fn presence<'a>(
        &'a self,
        exchange: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Presence, ProbeError>> + Send + 'a>> {
        *self.times.lock().entry(exchange.into()).or_default() += 1;
        let answer = self.answers.lock().get(exchange).copied();
        let answer = answer.ok_or_else(|| ProbeError("no broker".into()));
        Box::pin(std::future::ready(answer))
    }
}

struct Room4 {
    lanes: Arc<Lanes>,
    feeds: Vec<LaneFeed>,
    probation: ProbationFeed,
    asked: Arc<Asked>,
    stop: watch::Sender<bool>,
    prober: JoinSet<()>,
    minter: IdMinter,
}

impl Room4 {
    /// Four lanes, all down, and a prober.
    fn new() -> Self {
        let start = Start::default();
        let lanes = Arc::new(Lanes::new(
            LANES,
            &settings(LANES, AMPLE).dispatch,
            &start,
            false,
        ));
        let journal = Arc::new(Journal::new(
            AMPLE,
            LANES,
            &start,
            false,
            Arc::new(Nobody),
            super::anybody(),
        ));
        let feed = |lane| LaneFeed {
            lanes: Arc::clone(&lanes),
            journal: Arc::clone(&journal),
            lane,
            settled: Vec::new(),
        };
        let asked = Arc::new(Asked::default());
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let probe = Arc::clone(&asked);
        tasks.spawn(prober::run(Arc::clone(&lanes), probe, stopped));
        Self {
            feeds: (0..LANES).map(feed).collect(),
            probation: ProbationFeed {
                lanes: Arc::clone(&lanes),
                journal,
                lane: 0,
                settled: Vec::new(),
            },
            lanes,
            asked,
            stop,
            prober: tasks,
            minter: IdMinter::default(),
        }
    }

    /// Sixteen messages to `exchange` with keys for all lanes, in the order of their ids.
    fn enqueue(&mut self, exchange: &str) -> Vec<RowId> {
        let mut accepted: Vec<_> = (0..16).map(|key| self.accepted(exchange, key)).collect();
        let rows = accepted.iter().map(|one| one.message.id.row()).collect();
        self.lanes.enqueue(&mut accepted, &mut Vec::new());
        rows
    }

    fn accepted(&mut self, exchange: &str, key: u32) -> Accepted {
        let draft = Draft {
            exchange: exchange.into(),
            ..draft(&key.to_string())
        };
        let lane = OrderKey::of(&draft).lane(LANES);
        let message = Message {
            id: self.minter.mint(WallTime::from_unix_ms(1), 0),
            accepted_at: WallTime::default(),
            draft,
        };
        let partition = u8::try_from(lane).expect("few lanes");
        Accepted {
            message: Arc::new(message),
            partition,
            key: None,
            due: None,
            clock_step_ms: 0,
        }
    }

    /// What all lanes publish now, in the order of ids.
    fn pull(&mut self) -> Vec<RowId> {
        let mut into = Vec::new();
        for feed in &mut self.feeds {
            feed.pull(clock::monotonic(), ROOM, &mut into);
        }
        let mut rows: Vec<_> = into.iter().map(|one| one.message.id.row()).collect();
        rows.sort_unstable();
        rows
    }

    fn up(&mut self) {
        for feed in &mut self.feeds {
            feed.report(clock::monotonic(), &mut vec![LaneEvent::Up]);
        }
    }

    fn answers(&self, exchange: &str, presence: Presence) {
        self.asked.answers.lock().insert(exchange.into(), presence);
    }

    fn times(&self, exchange: &str) -> u32 {
        self.asked.times.lock().get(exchange).copied().unwrap_or(0)
    }

    fn try_alone(&mut self) -> Option<RowId> {
        let mut into = Vec::new();
        self.probation.pull(clock::monotonic(), ROOM, &mut into);
        assert!(into.len() <= 1);
        into.first().map(|one| one.message.id.row())
    }

    fn tried(&mut self, row: RowId, outcome: Outcome) {
        let mut events = vec![LaneEvent::Up, LaneEvent::Ended(row, outcome)];
        self.probation.report(clock::monotonic(), &mut events);
    }
}

/// The feed's bell rings.
async fn rings(feed: &impl Feed) {
    let bell = feed.call();
    let rung = tokio::time::timeout(Duration::from_mins(1), bell.notified());
    rung.await.expect("the bell rings");
}

/// Lets the prober work for so long; the clock of these tests stands still otherwise.
async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn an_exchange_is_asked_about_once_for_all_lanes() {
    let mut room = Room4::new();
    room.up();
    room.answers("x", Presence::There);
    let rows = room.enqueue("x");
    assert_eq!(room.pull(), []);
    pass(Duration::from_secs(1)).await;
    assert_eq!(room.times("x"), 1);
    assert_eq!(room.pull(), rows);
}

#[tokio::test(start_paused = true)]
async fn messages_to_a_missing_exchange_go_to_probation_one_at_a_time() {
    let mut room = Room4::new();
    room.up();
    room.answers("x", Presence::Missing);
    let rows = room.enqueue("x");
    assert!(!room.probation.wanted());
    room.pull();
    rings(&room.probation).await;
    assert!(room.probation.wanted());
    let first = room.try_alone().expect("a suspect");
    let busy = Room {
        empty: false,
        ..ROOM
    };
    let mut into = Vec::new();
    room.probation.pull(clock::monotonic(), busy, &mut into);
    assert!(into.is_empty());
    room.tried(first, Outcome::Confirmed);
    let mut tried = vec![first];
    while let Some(row) = room.try_alone() {
        room.tried(row, Outcome::Confirmed);
        tried.push(row);
    }
    tried.sort_unstable();
    assert_eq!(tried, rows);
    assert!(!room.probation.wanted());
    assert_eq!(room.lanes.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn while_no_lane_is_up_the_broker_is_not_asked_and_nothing_goes_out() {
    let mut room = Room4::new();
    room.answers("x", Presence::There);
    let rows = room.enqueue("x");
    assert_eq!(room.pull(), []);
    pass(Duration::from_mins(1)).await;
    assert_eq!(room.times("x"), 0);
    room.up();
    pass(Duration::from_secs(1)).await;
    assert_eq!(room.pull(), rows);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_asked_in_vain_while_lanes_are_up_gets_the_messages_unasked() {
    let mut room = Room4::new();
    room.up();
    let rows = room.enqueue("x");
    room.pull();
    pass(Duration::from_secs(1)).await;
    assert_eq!(room.pull(), []);
    pass(Duration::from_secs(9)).await;
    assert_eq!(room.times("x"), 8);
    assert_eq!(room.pull(), rows);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_failed_is_asked_again() {
    let mut room = Room4::new();
    room.up();
    let rows = room.enqueue("x");
    room.pull();
    pass(Duration::from_millis(600)).await;
    assert!((2..8).contains(&room.times("x")));
    room.answers("x", Presence::There);
    pass(Duration::from_millis(600)).await;
    assert_eq!(room.pull(), rows);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_prober_also_between_two_tries() {
    for waits in [false, true] {
        let mut room = Room4::new();
        if waits {
            room.enqueue("x");
            room.pull();
        }
        pass(Duration::from_secs(1)).await;
        room.stop.send_replace(true);
        room.prober
            .join_next()
            .await
            .expect("a task")
            .expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn suspects_of_all_lanes_are_tried_and_their_lanes_are_called() {
    let mut room = Room4::new();
    room.up();
    let rows = room.enqueue("");
    assert_eq!(room.pull(), rows);
    for feed in &mut room.feeds {
        let mut events: Vec<_> = rows
            .iter()
            .map(|row| LaneEvent::Ended(*row, suspect()))
            .collect();
        feed.report(clock::monotonic(), &mut events);
    }
    let later = room.enqueue("");
    assert_eq!(room.pull(), []);
    for _ in &rows {
        let row = room.try_alone().expect("a suspect");
        room.tried(row, Outcome::Confirmed);
        rings(&room.feeds[room.probation.lane]).await;
    }
    assert_eq!(room.try_alone(), None);
    assert_eq!(room.pull(), later);
}
