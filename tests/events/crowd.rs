//! A thousand streams at once, one of which does not read.

#![expect(clippy::print_stderr, reason = "figures are told")]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::post_items;
use super::reader::{Follower, Stream, client};
use super::support::broker_node::shared_broker_url;
use super::support::callers::gateway;
use super::support::gateway::Gateway;
use super::support::queues::{Kind, Place};
use super::support::wait::{self, SOON};

const STREAMS: usize = 1000;
/// Those that want everything; each of the others wants one routing key.
const WANT_ALL: usize = 40;
const KEYS: usize = 32;
const MESSAGES: usize = 3200;
/// Messages that only one stream wants, which does not read: more than the buffers of a connection take.
const UNREAD: usize = 12_000;
const MESSAGE_ID_BYTES: usize = 250;

fn key(number: usize) -> String {
    format!("key.{}", number % KEYS)
}

/// The positions that a stream was told of, and how long after their settlement some of them were.
#[derive(Default)]
struct Told {
    positions: Vec<u64>,
    late: Vec<Duration>,
}

impl Told {
    /// Takes note of an event. It is cheap, since the thousand share two cores with the gateway.
    fn take(&mut self, block: &str) {
        // Blocks without an event tell the position that was passed over.
        let Some(id) = block
            .split("\nid: ")
            .nth(1)
            .filter(|_| block.starts_with("event: "))
        else {
            return;
        };
        let digits = id.split('\n').next().unwrap_or_default();
        self.positions.push(digits.parse().expect("a position"));
        if self.positions.len() % 16 == 1 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("later");
            let time = block.split("\"settled_at\":\"").nth(1).expect("a time");
            let time: jiff::Timestamp = time[..24].parse().expect("a time");
            let then = u64::try_from(time.as_millisecond()).expect("later");
            self.late
                .push(now.saturating_sub(Duration::from_millis(then)));
        }
    }
}

/// One stream: says when it is open, and reads so many events and not one more.
async fn follow(url: String, count: usize, open: Arc<Barrier>) -> Told {
    let stream = Stream::open(&client(), &url, &[], None).await;
    let mut stream = stream.expect("a stream");
    stream.block().await.expect("the opening");
    open.wait().await;
    let mut told = Told::default();
    while told.positions.len() < count {
        told.take(stream.text().await.expect("it goes on"));
    }
    let more = tokio::time::timeout(Duration::from_millis(300), async {
        while let Some(block) = stream.text().await {
            told.take(block);
        }
    });
    assert!(more.await.is_err(), "it ended");
    told
}

/// A connection that asks for everything and then takes nothing.
async fn stuck(gateway: &Gateway) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let address = gateway.url()["http://".len()..]
        .parse()
        .expect("an address");
    let mut stuck = socket.connect(address).await.expect("a connection");
    let request = "GET /v1/events?status=returned HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stuck.write_all(request.as_bytes()).await.expect("written");
    let mut head = Vec::new();
    while !head.ends_with(b"\nid: 0\n\n\r\n") {
        let read = stuck.read_buf(&mut head).await.expect("the opening");
        assert!(read > 0, "{}", String::from_utf8_lossy(&head));
    }
    stuck
}

async fn publish(gateway: &Gateway, place: &Place) {
    let item = |number: usize| json!({"exchange": place.exchange, "routing_key": key(number), "payload": number});
    let all: Vec<_> = (0..MESSAGES).map(item).collect();
    for some in all.chunks(400) {
        post_items(gateway, &[], some).await;
    }
}

/// Publishes what the one that does not read wants, and waits until it has had to go.
async fn drop_the_stuck_one(gateway: &Gateway, place: &Place) {
    let properties = json!({"message_id": "x".repeat(MESSAGE_ID_BYTES)});
    let item = json!({"exchange": place.exchange, "routing_key": "nowhere", "payload": 1,
                      "properties": properties});
    for _ in 0..UNREAD / 1000 {
        post_items(gateway, &[], &vec![item.clone(); 1000]).await;
    }
    let (client, url) = (client(), format!("{}/v1/events", gateway.url()));
    wait::until("there is room for another stream", SOON * 2, || async {
        Stream::open(&client, &url, &[], None).await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_are_told_everything_once_while_one_that_does_not_read_is_dropped() {
    let streams = STREAMS.to_string();
    let limits = [
        ("AMQPOST_EVENT_STREAMS_MAX", &*streams),
        ("AMQPOST_WRITE_STALL_SECONDS_MAX", "8"),
    ];
    let gateway = gateway(&shared_broker_url(), &limits).await;
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    for number in 0..KEYS {
        place.bind(&key(number)).await;
    }
    let url = format!("{}/v1/events", gateway.url());
    let mut stuck = stuck(&gateway).await;
    let open = Arc::new(Barrier::new(STREAMS));
    let all = Arc::new(Mutex::new(HashMap::new()));
    let mut following = JoinSet::new();
    for number in 0..STREAMS - 1 {
        let (url, open, all) = (url.clone(), Arc::clone(&open), Arc::clone(&all));
        following.spawn(async move {
            let (url, count) = if number < WANT_ALL {
                (format!("{url}?status=confirmed"), MESSAGES)
            } else {
                (
                    format!("{url}?routing_key={}", key(number)),
                    MESSAGES / KEYS,
                )
            };
            let told = follow(url, count, open).await;
            all.lock().insert(number, told);
        });
    }
    wait::within("all streams are open", SOON * 4, open.wait()).await;
    let refused = gateway.get_path("/v1/events").await;
    assert_eq!(refused.status, 503, "there is room for so many only");
    drop_the_stuck_one(&gateway, &place).await;
    let (started, cpu) = (Instant::now(), cpu_ticks(gateway.pid()));
    publish(&gateway, &place).await;
    let published = started.elapsed();
    let done = async {
        while let Some(followed) = following.join_next().await {
            followed.expect("a stream that was told everything");
        }
    };
    wait::within("all streams are told everything", SOON * 8, done).await;
    let took = started.elapsed();
    eprintln!(
        "the gateway computed {}0 ms",
        cpu_ticks(gateway.pid()) - cpu
    );
    let told = Arc::into_inner(all).expect("all are done").into_inner();
    assert_all_was_told(&gateway, &told).await;
    tell_latency(&told, published, took);
    what_was_missed_is_there(&gateway, &mut stuck).await;
}

/// The one that did not read has gone, and finds on coming back what it has missed.
async fn what_was_missed_is_there(gateway: &Gateway, stuck: &mut TcpStream) {
    let mut text = Vec::new();
    // How it ended does not matter.
    let _ = wait::within("it has ended", SOON, stuck.read_to_end(&mut text)).await;
    let text = String::from_utf8_lossy(&text);
    let before = text.matches("\nevent: message.returned\n").count();
    let last_id = last_id_of(&text);
    assert!(before < UNREAD, "it was told everything");
    let url = format!("{}/v1/events?status=returned", gateway.url());
    let mut again = Follower::new(url, &[], Some(last_id));
    // The last event may have been cut.
    let told = usize::try_from(last_id).expect("few");
    assert!(told == before || told + 1 == before, "{told} of {before}");
    again.read(UNREAD - told).await;
    assert!(again.is_quiet().await);
    again.assert_in_order();
    eprintln!("the one that did not read was dropped after {told} events");
}

/// The id in the last whole block. Lengths of chunks stand between the blocks.
fn last_id_of(text: &str) -> u64 {
    let whole = text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
    let id = whole.rsplit("\nid: ").next().unwrap_or_default();
    let digits = id.split('\n').next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

/// Each in order, once, and of each routing key exactly its own.
async fn assert_all_was_told(gateway: &Gateway, told: &HashMap<usize, Told>) {
    let mut keys = BTreeMap::new();
    let url = format!("{}/v1/events?status=confirmed", gateway.url());
    let mut follower = Follower::new(url, &[], Some(0));
    follower.read(MESSAGES).await;
    for event in &follower.events {
        let key = event.json()["routing_key"]
            .as_str()
            .expect("a key")
            .to_owned();
        keys.insert(event.id.expect("an id"), key);
    }
    assert_eq!(told.len(), STREAMS - 1);
    for (number, told) in told {
        let wanted = |position: &u64| *number < WANT_ALL || keys[position] == key(*number);
        let expected: Vec<_> = keys.keys().copied().filter(wanted).collect();
        assert_eq!(told.positions, expected, "stream {number}");
    }
}

/// Hundredths of a second that the process has computed.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    let mut fields = fields.split(' ').skip(11);
    let mut ticks = || fields.next().and_then(|ticks| ticks.parse::<u64>().ok());
    ticks().expect("a number") + ticks().expect("a number")
}

fn tell_latency(told: &HashMap<usize, Told>, published: Duration, took: Duration) {
    let mut late: Vec<_> = told
        .values()
        .flat_map(|told| told.late.iter().copied())
        .collect();
    late.sort_unstable();
    let at = |share: usize| late[(late.len() - 1) * share / 1000];
    eprintln!(
        "{} events to {} streams in {took:?} ({MESSAGES} messages published in {published:?}); after \
         settlement: median {:?}, 99 % {:?}, all {:?}",
        told.values()
            .map(|told| told.positions.len())
            .sum::<usize>(),
        told.len(),
        at(500),
        at(990),
        at(1000),
    );
}
