use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::super::protocol::{Credentials, Settings};
use super::*;

/// A feed whose deadline has always passed, and that counts how often it is asked for it.
struct Overdue {
    since: Instant,
    asked: Arc<AtomicUsize>,
}

impl Feed for Overdue {
    fn pull(&mut self, _now: Instant, _room: Room, _into: &mut Vec<Handover>) {}

    fn report(&mut self, _now: Instant, events: &mut Vec<LaneEvent>) {
        events.clear();
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.since)
    }

    fn is_stalled(&mut self, _now: Instant, _slow_until: Instant) -> bool {
        false
    }

    fn stall_check(&self) -> Option<Instant> {
        None
    }

    fn call(&self) -> Arc<Notify> {
        Arc::default()
    }

    fn wanted(&self) -> bool {
        // A loop that spins never gives the test its turn again.
        assert!(
            self.asked.fetch_add(1, Ordering::Relaxed) < 1000,
            "the loop spins"
        );
        true
    }
}

fn settings() -> Settings {
    Settings {
        credentials: Credentials::Plain {
            user: "u".into(),
            password: "p".into(),
        },
        vhost: "/".into(),
        connection_name: "test".into(),
        frame_bytes_max: None,
        heartbeat: Duration::from_secs(10),
        handshake_timeout: Duration::from_secs(10),

        window_messages: 10,
        window_bytes: 1000,
    }
}

#[tokio::test]
async fn a_deadline_that_has_passed_does_not_keep_a_lane_busy_while_it_has_no_room() {
    let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
    let now = clock::monotonic();
    let asked = Arc::new(AtomicUsize::new(0));
    let mut feed = Overdue {
        since: now
            .checked_sub(Duration::from_secs(1))
            .expect("a second ago"),
        asked: Arc::clone(&asked),
    };
    let mut connection = Connection::new(settings(), now);
    let (stop, mut stopped) = watch::channel(false);
    let driving = drive("test", &mut ours, &mut connection, &mut feed, &mut stopped);
    // The peer reads the protocol header and says nothing: the handshake leaves no room.
    let peer = async {
        let mut header = [0; 8];
        theirs.read_exact(&mut header).await.expect("the header");
        tokio::task::yield_now().await;
        stop.send(true).expect("somebody listens");
        theirs.flush().await.expect("open");
    };
    let (end, ()) = tokio::join!(driving, peer);
    assert_eq!(end, End::Stopped);
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked < 20, "the loop went round {asked} times");
}

#[tokio::test]
async fn a_lane_that_is_not_wanted_is_not_busy_while_it_cannot_be_closed() {
    let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
    let now = clock::monotonic();
    let mut feed = Unwanted(Arc::default());
    let mut connection = Connection::new(settings(), now);
    let mut turn = Turn {
        socket: &mut ours,
        connection: &mut connection,
        feed: &mut feed,
        scratch: vec![0; READ_BYTES],
        batch: Vec::new(),
        wanted_at: now.checked_sub(UNWANTED_MAX * 2).expect("a minute ago"),
        unflushed: false,
        name: "test",
    };
    theirs.write_all(&[]).await.expect("open");
    // In the handshake there is no room, and nothing to close for: only the handshake has a deadline.
    poll_fn(|cx| {
        turn.once(cx, now);
        Poll::Ready(())
    })
    .await;
    assert!(turn.deadline().is_some_and(|deadline| deadline > now));
}

struct Unwanted(Arc<Notify>);

impl Feed for Unwanted {
    fn pull(&mut self, _now: Instant, _room: Room, _into: &mut Vec<Handover>) {}

    fn report(&mut self, _now: Instant, events: &mut Vec<LaneEvent>) {
        events.clear();
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn is_stalled(&mut self, _now: Instant, _slow_until: Instant) -> bool {
        false
    }

    fn stall_check(&self) -> Option<Instant> {
        None
    }

    fn call(&self) -> Arc<Notify> {
        Arc::clone(&self.0)
    }

    fn wanted(&self) -> bool {
        false
    }
}
