//! What only a real connection shows.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::super::{Settings, serve};
use super::model::Rig;
use crate::domain::Limits;

/// Nothing here takes so long, unless it hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Served {
    pub(super) rig: Rig,
    server: JoinSet<()>,
    address: std::net::SocketAddr,
}

pub(super) async fn served(settings: Settings) -> Served {
    let limits = Limits {
        body_bytes_max: 1000,
        ..Limits::default()
    };
    let rig = Rig::with(limits, settings);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut server = JoinSet::new();
    server.spawn(serve(listener, rig.gateway.clone(), rig.stop.subscribe()));
    Served {
        rig,
        server,
        address,
    }
}

impl Served {
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address)
            .await
            .expect("a connection")
    }

    pub(super) async fn stop(mut self) {
        self.rig.stop.send(true).expect("somebody listens");
        let ended = tokio::time::timeout(PATIENCE, self.server.join_next()).await;
        ended
            .expect("the server ends")
            .expect("a server")
            .expect("no panic");
    }
}

/// Reads until `end` has been seen or the connection ends.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&read).contains(end) {
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("an answer in time");
    String::from_utf8_lossy(&read).into_owned()
}

const HEAD: &str =
    "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

#[tokio::test]
async fn a_body_announced_as_too_large_is_refused_before_it_is_read() {
    let served = served(Settings::default()).await;
    let mut stream = served.connect().await;
    let head = format!("{HEAD}Content-Length: 1001\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("written");
    let answer = read_until(&mut stream, "body_too_large").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    drop(stream);
    served.stop().await;
}

#[tokio::test]
async fn a_body_without_a_length_is_cut_off_at_the_limit() {
    let served = served(Settings::default()).await;
    let mut stream = served.connect().await;
    let head = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("1f4\r\n{}\r\n", " ".repeat(500));
    // Three chunks are too many, and the end never comes.
    let request = format!("{head}{chunk}{chunk}{chunk}");
    stream.write_all(request.as_bytes()).await.expect("written");
    let answer = read_until(&mut stream, "body_too_large").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    drop(stream);
    served.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_a_408() {
    let settings = Settings {
        body_read_seconds_max: 1,
        ..Settings::default()
    };
    let served = served(settings).await;
    let mut stream = served.connect().await;
    let request = format!("{HEAD}Content-Length: 100\r\n\r\n{{");
    stream.write_all(request.as_bytes()).await.expect("written");
    let answer = read_until(&mut stream, "request_timeout").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    drop(stream);
    served.stop().await;
}

#[tokio::test]
async fn a_client_may_ask_before_it_sends() {
    let served = served(Settings::default()).await;
    let mut stream = served.connect().await;
    let head = format!("{HEAD}Expect: 100-continue\r\nContent-Length: 13\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("written");
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 100"), "{answer}");
    stream
        .write_all(br#"{"payload":1}"#)
        .await
        .expect("written");
    let answer = read_until(&mut stream, "\"pending\"").await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    drop(stream);
    served.stop().await;
}

#[tokio::test]
async fn no_request_however_odd_gets_a_500_or_ends_the_server() {
    let served = served(Settings::default()).await;
    for odd in [
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET //healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /v1/messages/%00%2e%2e%2f HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        "BREW /v1/messages HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /healthz HTTP/1.1\r\n\r\n",
        "GET /healthz HTTP/9.9\r\n\r\n",
        "GET\r\n\r\n",
        "\u{0}\u{1}\u{2}\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n",
    ] {
        let mut stream = served.connect().await;
        stream.write_all(odd.as_bytes()).await.expect("written");
        stream.shutdown().await.expect("no more");
        let answer = read_until(&mut stream, "nothing more").await;
        let status = answer.get(9..12).unwrap_or_default();
        assert!(
            answer.is_empty() || ("200"..="499").contains(&status),
            "{odd}: {answer}"
        );
    }
    let mut stream = served.connect().await;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .expect("written");
    assert!(
        read_until(&mut stream, "\"ok\"")
            .await
            .starts_with("HTTP/1.1 200")
    );
    drop(stream);
    served.stop().await;
}

#[tokio::test]
async fn a_head_that_does_not_arrive_in_time_ends_the_connection() {
    let settings = Settings {
        header_read_seconds_max: 1,
        ..Settings::default()
    };
    let served = served(settings).await;
    let mut stream = served.connect().await;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\n")
        .await
        .expect("written");
    assert_eq!(read_until(&mut stream, "nothing more").await, "");
    served.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_kept_longer_than_a_head_may_take() {
    let settings = Settings {
        header_read_seconds_max: 1,
        idle_seconds_max: 3,
        ..Settings::default()
    };
    let served = served(settings).await;
    let mut stream = served.connect().await;
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let start = crate::clock::monotonic();
    stream.write_all(request).await.expect("written");
    assert!(
        read_until(&mut stream, "\"ok\"")
            .await
            .starts_with("HTTP/1.1 200")
    );
    // Nothing is sent any more, so this ends when the server closes.
    assert_eq!(read_until(&mut stream, "nothing more").await, "");
    let idled = start.elapsed();
    assert!(idled > Duration::from_millis(2500), "{idled:?}");
    served.stop().await;
}

#[tokio::test]
async fn who_waits_and_leaves_is_forgotten() {
    let served = served(Settings::default()).await;
    let mut stream = served.connect().await;
    let request = format!("{HEAD}Prefer: wait=60\r\nContent-Length: 13\r\n\r\n{{\"payload\":1}}");
    stream.write_all(request.as_bytes()).await.expect("written");
    let waiters = &served.rig.model.waiters;
    let holders = std::sync::Arc::strong_count(waiters);
    let becomes = |count: usize| async move {
        let changing = async {
            while std::sync::Arc::strong_count(waiters) != count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, changing)
            .await
            .expect("in time");
    };
    becomes(holders + 1).await;
    drop(stream);
    becomes(holders).await;
    served.stop().await;
}

#[tokio::test]
async fn a_stop_answers_who_waits_and_closes_who_idles() {
    let served = served(Settings::default()).await;
    let mut idle = served.connect().await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .expect("written");
    assert!(
        read_until(&mut idle, "\"ok\"")
            .await
            .starts_with("HTTP/1.1 200")
    );
    let mut waiting = served.connect().await;
    let request = format!("{HEAD}Prefer: wait=60\r\nContent-Length: 13\r\n\r\n{{\"payload\":1}}");
    waiting
        .write_all(request.as_bytes())
        .await
        .expect("written");
    while served.rig.model.accepted.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    served.stop().await;
    let answer = read_until(&mut waiting, "\"pending\"").await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert_eq!(read_until(&mut idle, "nothing more").await, "");
}
