//! Closures that no message provokes in a real broker, by a scripted one: it confirms everything, and
//! closes whenever the bad message comes.

use amqpost::domain::{MessageId, ReasonCode, Status};

use super::support::scripted_peer::{
    PeerConnection, PeerEvent, PeerSettings, Publish, ScriptedPeer,
};
use super::support::stack::{Shape, Stack, draft};
use super::support::wait::{self, SOON};

/// Each with how often the bad message may be tried before it is given up: 506 and 541 may be a
/// passing fault of the node, so they need three tries alone.
const CONNECTION_CLOSURES: [(u16, u32); 8] = [
    (501, 2),
    (502, 2),
    (503, 2),
    (504, 2),
    (505, 2),
    (506, 4),
    (540, 2),
    (541, 4),
];
const GOOD: usize = 200;
const BAD: &[u8] = b"poison";

#[derive(Clone, Copy)]
enum Closes {
    Channel,
    Connection,
}

/// A broker that confirms nothing until the bad message has come once: then everything before it is in
/// flight.
struct Broker {
    peer: ScriptedPeer,
    code: u16,
    closes: Closes,
}

/// A connection as the broker keeps it.
struct Open {
    connection: PeerConnection,
    unconfirmed: Vec<Publish>,
    /// What still comes on it is thrown away.
    closed_channel: Option<u16>,
    closed: bool,
}

/// What the broker has seen.
#[derive(Default)]
struct Seen {
    /// The number of each message that it has confirmed, in order.
    confirmed: Vec<usize>,
    /// In company of how many others the bad one came, each time.
    company: Vec<usize>,
    connections: usize,
}

impl Broker {
    /// Takes part until `done`.
    async fn serve(self, done: impl Fn() -> bool) -> Seen {
        let mut seen = Seen::default();
        let mut open: Vec<Open> = Vec::new();
        while !done() {
            let accepted = self.peer.accept_within(SOON);
            tokio::select! {
                           biased;
                           () = tokio::time::sleep(wait::LOOK_EVERY / 10) => {}
                           connection = accepted => {
                               seen.connections += 1;
                               open.push(Open {
            connection, unconfirmed: Vec::new(), closed_channel: None, closed: false });
                           }
                       }
            for one in &mut open {
                self.work(one, &mut seen).await;
            }
        }
        seen
    }

    async fn work(&self, one: &mut Open, seen: &mut Seen) {
        let Open {
            connection,
            unconfirmed,
            closed_channel,
            closed,
        } = one;
        while let Some(event) = connection.try_next_event() {
            let PeerEvent::Published(publish) = event else {
                continue;
            };
            if *closed || *closed_channel == Some(publish.channel) {
                continue;
            }
            if publish.body != BAD {
                unconfirmed.push(*publish);
                continue;
            }
            seen.company.push(unconfirmed.len());
            unconfirmed.clear();
            match self.closes {
                Closes::Channel => {
                    *closed_channel = Some(publish.channel);
                    connection
                        .close_channel(publish.channel, self.code, "")
                        .await;
                }
                Closes::Connection => {
                    *closed = true;
                    connection.close_connection(self.code, "").await;
                }
            }
        }
        // What came before a bad one that is still to come is not confirmed.
        if seen.company.is_empty() {
            return;
        }
        for publish in unconfirmed.drain(..) {
            connection.ack(publish.channel, publish.tag, false).await;
            let text = String::from_utf8(publish.body).expect("it is a number");
            seen.confirmed.push(text.parse().expect("it is a number"));
        }
    }
}

async fn isolate(closes: Closes, code: u16, tries_max: u32) {
    let peer = ScriptedPeer::listen_with(PeerSettings::default()).await;
    let shape = Shape {
        lanes: 1,
        ..Shape::default()
    };
    let stack = Stack::start(&[peer.url()], &shape);
    let mut good: Vec<MessageId> = Vec::new();
    for number in 0..GOOD / 2 {
        good.push(stack.accept(draft("", "key", number.to_string())).await);
    }
    let bad = stack.accept(draft("", "bad", BAD)).await;
    for number in GOOD / 2..GOOD {
        good.push(stack.accept(draft("", "key", number.to_string())).await);
    }
    let broker = Broker { peer, code, closes };
    let done = || stack.relay.health().pending_messages == 0;
    let seen = wait::within("everything is settled", SOON * 2, broker.serve(done)).await;

    let told = stack.outcome(bad).await;
    assert_eq!(told.status, Status::Failed, "{code}: {told:?}");
    let reason = told.reason.expect("it failed for a reason");
    assert_ne!(reason.code, ReasonCode::ConnectionLost, "{code}");
    assert_eq!(reason.reply_code, Some(code));
    // In company it is no culprit; alone it is.
    assert_eq!(told.attempts, tries_max, "{code}");
    assert_eq!(seen.company.len(), tries_max as usize, "{code}");
    assert!(seen.company[0] > 0 && seen.company[1..].iter().all(|others| *others == 0));
    assert!(
        seen.connections <= 3 + tries_max as usize,
        "{code}: {}",
        seen.connections
    );
    for id in &good {
        let told = stack.outcome(*id).await;
        assert_eq!(told.status, Status::Confirmed, "{code}: {told:?}");
        assert_eq!(
            told.duplicate_possible,
            told.attempts > 1,
            "{code}: {told:?}"
        );
        assert!(told.attempts <= 2, "{code}: {told:?}");
    }
    assert_eq!(
        seen.confirmed,
        (0..GOOD).collect::<Vec<_>>(),
        "{code}: another order"
    );
    stack.stop().await;
}

#[tokio::test]
async fn a_message_that_closes_connections_fails_alone_whatever_the_reason() {
    for (code, tries_max) in CONNECTION_CLOSURES {
        isolate(Closes::Connection, code, tries_max).await;
    }
}

#[tokio::test]
async fn a_message_that_closes_channels_without_a_word_fails_alone() {
    for code in [311, 403, 404, 405, 406] {
        isolate(Closes::Channel, code, 2).await;
    }
}
