//! What many listeners of events cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::gateway::{Gateway, Load};
use super::webhooks::rate;
use super::{Failure, PAYLOAD, cpu};

const STREAMS: usize = 1000;
const PER_SECOND: usize = 1000;
const SECONDS: usize = 10;
/// Of an event: its id, its type, its data, and an empty one.
const LINES: usize = 4;

/// CPU of the gateway while messages are published at a steady rate: without listeners, with many that
/// want what is not published, and with few and many that want everything.
pub async fn measure(uri: &str, queue: &str) -> Result<(), Failure> {
    let gateway = Gateway::start(uri, false).await?;
    gateway.wait_ready("\"state\":\"up\"").await;
    let load = Load {
        queue,
        messages: PER_SECOND * SECONDS,
        connections: 2,
        batch: 10,
        payload: std::str::from_utf8(&PAYLOAD)?,
        terms: "",
    };
    for (name, streams, query) in [
        ("nobody listens", 0, ""),
        ("want others", STREAMS, "?group=others"),
        ("want everything", 10, ""),
        ("want everything", 100, ""),
        ("want everything", STREAMS, ""),
    ] {
        let lines = Arc::<AtomicUsize>::default();
        let mut listening = JoinSet::new();
        for _ in 0..streams {
            let socket = gateway.listen(query).await?;
            listening.spawn(count(socket, Arc::clone(&lines)));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        lines.store(0, Ordering::Relaxed);
        let (began, spent) = (Instant::now(), cpu::seconds(&gateway.pid()));
        gateway.post_steadily(&load, PER_SECOND).await?;
        gateway.wait_ready("\"pending_messages\":0").await;
        let took = began.elapsed().as_secs_f64();
        let spent = cpu::seconds(&gateway.pid()) - spent;
        println!(
            "{streams} {name}: published {:.0}/s, {:.0} events/s, {:.0} % of a core, {:.0} MiB resident",
            rate(load.messages, took),
            rate(lines.load(Ordering::Relaxed) / LINES, took),
            100.0 * spent / took,
            cpu::resident_mib(&gateway.pid()),
        );
        listening.shutdown().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

async fn count(mut socket: TcpStream, lines: Arc<AtomicUsize>) -> Result<(), Failure> {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let read = socket.read(&mut bytes).await?;
        if read == 0 {
            return Err("the stream ended".into());
        }
        let ends = bytes.iter().take(read).filter(|byte| **byte == b'\n');
        lines.fetch_add(ends.count(), Ordering::Relaxed);
    }
}
