//! A broker of which the test says, for each routing key, how the queue behind it is.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lapin::types::AMQPValue;

use super::support::scripted_peer::{PeerConnection, PeerEvent, Publish, ScriptedPeer};

/// How a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// It confirms nothing.
    Dead,
    /// It confirms nothing, and neither does anything that comes behind it on the connection, as with
    /// a quorum queue without majority.
    Blocking,
    /// It confirms so late.
    Slow(Duration),
    /// It refuses.
    Nacking,
}

/// A message as it came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// The connection's name without "amqpost".
    pub(super) lane: String,
    pub(super) routing_key: String,
    pub(super) id: String,
    pub(super) duplicate_possible: bool,
    pub(super) at: Instant,
}

#[derive(Default)]
struct State {
    moods: HashMap<String, Mood>,
    seen: Vec<Seen>,
    connections: Vec<String>,
}

/// See the module. Whatever has no mood is confirmed at once.
pub(super) struct SickBroker {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
}

impl SickBroker {
    pub(super) async fn start() -> Self {
        let peer = ScriptedPeer::listen().await;
        let url = peer.url();
        let state: Arc<Mutex<State>> = Arc::default();
        let states = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let connection = peer.accept_within(Duration::from_hours(1)).await;
                tokio::spawn(serve(connection, Arc::clone(&states)));
            }
        });
        Self { url, state }
    }

    pub(super) fn set(&self, routing_key: &str, mood: Mood) {
        let mut state = self.state.lock().expect("no panic");
        state.moods.insert(routing_key.to_owned(), mood);
    }

    /// All queues are well again.
    pub(super) fn heal(&self) {
        self.state.lock().expect("no panic").moods.clear();
    }

    /// Everything that came.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state.lock().expect("no panic").seen.clone()
    }

    /// The connections so far whose names begin like this.
    pub(super) fn connections(&self, name: &str) -> usize {
        let state = self.state.lock().expect("no panic");
        let of_it = |other: &&String| other.starts_with(name);
        state.connections.iter().filter(of_it).count()
    }
}

async fn serve(mut connection: PeerConnection, state: Arc<Mutex<State>>) {
    let mut lane = String::new();
    let mut stuck = false;
    let mut waiting: BTreeMap<(Instant, u64), u16> = BTreeMap::new();
    loop {
        let next = waiting.first_key_value().map(|((at, _), _)| *at);
        let next = next.unwrap_or_else(|| Instant::now() + Duration::from_hours(1));
        let event = tokio::select! {
            event = connection.next_event_within(Duration::from_hours(1)) => event,
            () = tokio::time::sleep_until(next.into()) => {
                if let Some(((_, tag), channel)) = waiting.pop_first() {
                    connection.ack(channel, tag, false).await;
                }
                continue;
            }
        };
        match event {
            PeerEvent::Connected(client) => {
                if let Some(AMQPValue::LongString(name)) = client.properties.get("connection_name")
                {
                    let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
                    name.trim_start_matches("amqpost ").clone_into(&mut lane);
                }
                let mut state = state.lock().expect("no panic");
                state.connections.push(lane.clone());
            }
            PeerEvent::Published(publish) => {
                let mood = note(&lane, &publish, &state);
                let (channel, tag) = (publish.channel, publish.tag);
                stuck |= mood == Some(Mood::Blocking);
                match mood {
                    _ if stuck => {}
                    None => connection.ack(channel, tag, false).await,
                    Some(Mood::Nacking) => connection.nack(channel, tag, false).await,
                    Some(Mood::Slow(by)) => {
                        let _ = waiting.insert((Instant::now() + by, tag), channel);
                    }
                    Some(Mood::Dead | Mood::Blocking) => {}
                }
            }
            PeerEvent::Ended | PeerEvent::ClosedByClient { .. } => return,
            PeerEvent::Broken(why) => panic!("the gateway broke the protocol: {why}"),
            _ => {}
        }
    }
}

fn note(lane: &str, publish: &Publish, state: &Mutex<State>) -> Option<Mood> {
    let mut state = state.lock().expect("no panic");
    state.seen.push(Seen {
        lane: lane.to_owned(),
        routing_key: publish.routing_key.clone(),
        id: publish.amqpost_id().expect("it is there"),
        duplicate_possible: publish.duplicate_possible(),
        at: Instant::now(),
    });
    state.moods.get(&publish.routing_key).copied()
}
