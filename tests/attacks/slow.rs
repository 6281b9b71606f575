//! Clients that take their time: their connections end, and meanwhile nobody waits for them.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::neighbours::{OnlyAttack, beside};
use super::raw::{answers, connect, statuses};
use super::support::wait::{self, SOON};
use super::{POST, Target};

const SLOW: usize = 200;
/// Between two bytes.
const DRIP: Duration = Duration::from_millis(50);
/// More than any of the limits that the tests set.
const LIMIT: Duration = Duration::from_mins(1);

async fn target() -> Arc<Target> {
    let second = [
        ("AMQPOST_HEADER_READ_SECONDS_MAX", "1"),
        ("AMQPOST_BODY_READ_SECONDS_MAX", "1"),
        ("AMQPOST_WRITE_STALL_SECONDS_MAX", "1"),
        ("AMQPOST_IDLE_SECONDS_MAX", "5"),
    ];
    Arc::new(Target::start(&second).await)
}

/// Sends `start` at once and then a byte now and then, for as long as the server lets it.
async fn drip(mut stream: TcpStream, start: &str, byte: &[u8]) -> TcpStream {
    stream.write_all(start.as_bytes()).await.expect("written");
    let (mut reading, mut writing) = stream.split();
    let mut first = [0; 1];
    loop {
        tokio::select! {
            // An answer, or the end.
            _ = reading.peek(&mut first) => return stream,
            () = tokio::time::sleep(DRIP) => {}
        }
        if writing.write_all(byte).await.is_err() {
            return stream;
        }
    }
}

async fn drip_all(target: &Target, start: &str) -> Vec<TcpStream> {
    let mut dripping = JoinSet::new();
    for _ in 0..SLOW {
        let stream = connect(target.address).await;
        let start = start.to_owned();
        dripping.spawn(async move { drip(stream, &start, b"x").await });
    }
    wait::within("the server has had enough", LIMIT, dripping.join_all()).await
}

#[tokio::test]
async fn slow_heads_end_and_slow_bodies_are_a_408() {
    let only = OnlyAttack::begin().await;
    let target = target().await;
    let before = target.descriptors();
    let head = format!("{POST}X: ");
    let streams = beside(&only, &target, "slow heads", drip_all(&target, &head)).await;
    for mut stream in streams {
        // There is nothing to answer yet.
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(String::from_utf8_lossy(&answer), "");
    }
    let good = target.accepted().await;
    for length in [
        "Content-Length: 100000\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n186a0\r\n",
    ] {
        let body = format!("{POST}{length}{{\"payload\":\"");
        let streams = beside(&only, &target, "slow bodies", drip_all(&target, &body)).await;
        for mut stream in streams {
            stream.shutdown().await.expect("nothing more");
            let answers = answers(&mut stream).await;
            assert_eq!(statuses(&answers), [408]);
            assert_eq!(answers[0].code(), "request_timeout");
        }
    }
    assert!(target.accepted().await > good, "the good callers go on");
    target.forgets(before).await;
    assert!(
        target
            .arrived()
            .await
            .iter()
            .all(|payload| payload == "good")
    );
}

#[tokio::test]
async fn whoever_does_not_read_is_cut_off() {
    const READERS: usize = 40;
    const ASKED: usize = 100;
    // What the test itself asks with.
    const OTHERS: usize = 4;
    let only = OnlyAttack::begin().await;
    let target = target().await;
    let before = target.descriptors();
    let document = target.gateway.get_path("/openapi.yaml").await.text.len();
    let asked = "GET /openapi.yaml HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(ASKED);
    let attack = async {
        let mut streams = Vec::new();
        for _ in 0..READERS {
            let mut stream = connect(target.address).await;
            stream.write_all(asked.as_bytes()).await.expect("written");
            streams.push(stream);
        }
        target.forgets(before).await;
        streams
    };
    let streams = beside(&only, &target, "slow readers", attack).await;
    wait::until(
        "the good callers' connections are gone too",
        SOON * 2,
        || async { (target.descriptors() <= before + OTHERS).then_some(()) },
    )
    .await;
    let mut cut = 0;
    for mut stream in streams {
        let mut answers = Vec::new();
        let _ = stream.read_to_end(&mut answers).await;
        assert!(!answers.is_empty(), "nothing came");
        cut += usize::from(answers.len() < document * ASKED);
    }
    assert!(cut >= READERS - OTHERS, "{cut} were cut off");
}
