//! Ten thousand callers that wait cost nothing, and each is told at once.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]
#![expect(clippy::print_stderr, reason = "figures are told")]

#[path = "support/mod.rs"]
mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::Method;
use serde_json::{Value, json};
use support::broker_node::shared_broker_url;
use support::callers::PATIENT;
use support::gateway::Gateway;
use support::queues::{Kind, Place};
use support::tcp_proxy::{Direction, TcpProxy};
use support::wait::{self, SOON};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// All who wait; a tenth of them have published themselves.
const WAITERS: usize = 10_000;
/// Descriptors that a process needs beside those of its waiters.
const OTHER_FILES: usize = 2500;
/// Messages that will not be settled while the test runs.
const STUCK: usize = 100;
/// Connections that are being made at the same time.
const CONNECTING_MAX: usize = 100;
const IDLE: Duration = Duration::from_secs(10);
/// Callers that are told, one after the other, while the others wait.
const ROUNDS: usize = 200;

/// Raises the number of files that this process, and those that it starts, may have open.
fn raise_files() -> usize {
    let pid = std::process::id().to_string();
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux tells it");
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let hard = files
        .and_then(|line| line.split_whitespace().nth(4))
        .expect("a limit");
    let raised = Command::new("prlimit")
        .args(["--pid", &pid, &format!("--nofile={hard}:{hard}")])
        .status();
    assert!(raised.expect("prlimit of util-linux").success());
    hard.parse().unwrap_or(usize::MAX)
}

/// Hundredths of a second that the process has computed.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    let fields: Vec<_> = fields.split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<u64>().expect("a number");
    ticks(11) + ticks(12)
}

/// An answer, and when it came.
struct Answer {
    status: u16,
    body: Value,
    came: Duration,
}

impl Answer {
    /// How long after its settlement was learned, which was before its commit.
    fn late(&self) -> Duration {
        let time = self.body["settled_at"].as_str().expect("it is settled");
        let time: jiff::Timestamp = time.parse().expect("a time");
        let then = u64::try_from(time.as_millisecond()).expect("later");
        self.came.saturating_sub(Duration::from_millis(then))
    }
}

/// A request that has been sent, and the answer to come.
struct Waiter(TcpStream);

impl Waiter {
    async fn send(address: SocketAddr, request: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("written");
        Self(stream)
    }

    async fn answer(mut self) -> Answer {
        let mut text = Vec::new();
        loop {
            let read = self.0.read_buf(&mut text).await.expect("an answer");
            let came = SystemTime::now().duration_since(UNIX_EPOCH).expect("later");
            let so_far = String::from_utf8_lossy(&text);
            if let Some((head, body)) = so_far.split_once("\r\n\r\n")
                && let Ok(body) = serde_json::from_str(body)
            {
                let status = head
                    .split(' ')
                    .nth(1)
                    .and_then(|status| status.parse().ok());
                let status = status.expect("a status");
                return Answer { status, body, came };
            }
            assert!(read > 0, "it ended: {so_far}");
        }
    }
}

fn get(id: &str) -> String {
    format!("GET /v1/messages/{id} HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=600\r\n\r\n")
}

fn post(place: &Place) -> String {
    let body = json!({"exchange": place.exchange, "routing_key": place.routing_key, "payload": 1});
    let body = body.to_string();
    format!(
        "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=600\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends all of `requests`, some at a time.
async fn send_all(address: SocketAddr, requests: Vec<String>) -> Vec<Waiter> {
    let room = Arc::new(Semaphore::new(CONNECTING_MAX));
    let mut sending = JoinSet::new();
    for request in requests {
        let room = Arc::clone(&room).acquire_owned().await;
        sending.spawn(async move {
            let waiter = Waiter::send(address, &request).await;
            drop(room);
            waiter
        });
    }
    sending.join_all().await
}

async fn answers(waiters: Vec<Waiter>) -> Vec<Answer> {
    let mut answering = JoinSet::new();
    for waiter in waiters {
        answering.spawn(waiter.answer());
    }
    answering.join_all().await
}

/// Messages that the broker has refused once, and that are tried again in an hour.
async fn stuck_messages(gateway: &Gateway, nacking: &Place) -> Vec<String> {
    let item =
        json!({"exchange": nacking.exchange, "routing_key": nacking.routing_key, "payload": 1});
    let body = json!({"messages": vec![item; STUCK]}).to_string();
    let headers = [("content-type", "application/json")];
    let answer = gateway
        .request(Method::POST, "/v1/messages/batch", &headers, body)
        .await;
    let results = answer.json["results"].as_array().expect("results");
    let ids: Vec<_> = (results.iter())
        .map(|one| one["id"].as_str().expect("an id").to_owned())
        .collect();
    for id in &ids {
        let path = format!("/v1/messages/{id}");
        let refused = |answer: &support::gateway::Answer| answer.json["reason"]["code"] == "nacked";
        gateway.wait_for(&path, refused).await;
    }
    ids
}

/// One caller after the other publishes and waits; how late each was told.
async fn one_by_one(address: SocketAddr, place: &Place) -> Vec<Duration> {
    let mut late = Vec::new();
    for _ in 0..ROUNDS {
        let answer = Waiter::send(address, &post(place)).await.answer().await;
        assert_eq!(
            (answer.status, &answer.body["status"]),
            (200, &json!("confirmed"))
        );
        late.push(answer.late());
    }
    late
}

fn tell(what: &str, mut late: Vec<Duration>) -> Duration {
    late.sort_unstable();
    let at = |share: usize| late[(late.len() - 1) * share / 100];
    let (median, most, all) = (at(50), at(99), at(100));
    eprintln!("{what}: told after {median:?} (median), {most:?} (99 %), {all:?} (all)");
    median
}

async fn cpu_while_idle(gateway: &Gateway) -> u64 {
    let before = cpu_ticks(gateway.pid());
    tokio::time::sleep(IDLE).await;
    cpu_ticks(gateway.pid()) - before
}

/// Returns when the gateway has so many files more, and computes no more: everybody waits.
async fn all_wait(gateway: &Gateway, waiters: usize) {
    let files = format!("/proc/{}/fd", gateway.pid());
    let last = std::sync::Mutex::new(0);
    wait::until("everybody waits", SOON * 4, || async {
        let open = std::fs::read_dir(&files).expect("it lives").count();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = cpu_ticks(gateway.pid());
        let before = std::mem::replace(&mut *last.lock().expect("one task"), now);
        (open >= waiters && now <= before + 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_waiters_cost_nothing_and_are_told_at_once() {
    let files = raise_files();
    let waiters = WAITERS.min(files.saturating_sub(OTHER_FILES));
    assert!(waiters >= 1000, "a process may have {files} files only");
    eprintln!("{waiters} waiters; a process may have {files} files");
    let url = shared_broker_url();
    let broker = url
        .split(['@', '/'])
        .nth(3)
        .and_then(|host| host.rsplit(':').next()?.parse().ok());
    let broker = SocketAddr::from((Ipv4Addr::LOCALHOST, broker.unwrap_or(5672)));
    let proxy = TcpProxy::start(broker).await;
    let environment = [
        ("AMQPOST_BROKER_URL", proxy.amqp_url()),
        ("AMQPOST_CONNECTIONS_MAX", (WAITERS + 100).to_string()),
        ("AMQPOST_WAIT_SECONDS_MAX", "600".to_owned()),
        ("AMQPOST_RETRY_PAUSE_MS_MIN", "3600000".to_owned()),
        ("AMQPOST_RETRY_PAUSE_MS_MAX", "3600000".to_owned()),
        (PATIENT.0, PATIENT.1.to_owned()),
        ("AMQPOST_HEARTBEAT_SECONDS", "120".to_owned()),
    ];
    let mut gateway = Gateway::start(environment).await;
    let address = gateway.url()["http://".len()..]
        .parse()
        .expect("an address");
    let nacking = Place::declare_nacking(&url).await;
    let place = Place::declare(&url, Kind::Classic).await;
    let stuck = stuck_messages(&gateway, &nacking).await;
    let alone = tell("alone", one_by_one(address, &place).await);
    let nobody = cpu_while_idle(&gateway).await;

    let posting = waiters / 10;
    let requests = (0..waiters - posting).map(|number| get(&stuck[number % STUCK]));
    let asking = send_all(address, requests.collect()).await;
    all_wait(&gateway, waiters - posting).await;
    let beside = tell("beside those who wait", one_by_one(address, &place).await);

    // The broker's answers stay away until everybody waits.
    proxy.silent_after(Direction::ToClient, 0);
    let published = send_all(address, vec![post(&place); posting]).await;
    all_wait(&gateway, waiters).await;
    let everybody = cpu_while_idle(&gateway).await;
    eprintln!("in {IDLE:?} the gateway computes {everybody}0 ms, and {nobody}0 ms without waiters");
    assert!(everybody <= nobody + 20, "{everybody}0 ms in {IDLE:?}");

    proxy.heal();
    let told = wait::within("all are told", SOON, answers(published)).await;
    assert_eq!(told.len(), posting);
    for answer in &told {
        assert_eq!(
            (answer.status, &answer.body["status"]),
            (200, &json!("confirmed"))
        );
    }
    tell("all at once", told.iter().map(Answer::late).collect());
    assert!(alone < Duration::from_millis(100), "{alone:?}");
    assert!(beside < Duration::from_millis(100), "{beside:?}");

    // Those who still wait are answered at the stop.
    let answering = tokio::spawn(answers(asking));
    let stopped = tokio::task::spawn_blocking(move || (gateway.terminate(), gateway));
    let (status, _gateway) = stopped.await.expect("no panic");
    assert!(status.success(), "{status}");
    let answered = answering.await.expect("no panic");
    assert_eq!(answered.len(), waiters - posting);
    for answer in answered {
        assert_eq!(
            (answer.status, &answer.body["status"]),
            (200, &json!("pending"))
        );
    }
}
