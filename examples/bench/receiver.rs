//! A receiver of webhooks that does nothing but count.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::Failure;

#[derive(Default)]
struct Shared {
    count: AtomicUsize,
    /// Milliseconds from each settlement to the arrival of its webhook.
    took: Mutex<Vec<f64>>,
}

/// Listens as long as the process lives.
pub struct Receiver {
    url: String,
    shared: Arc<Shared>,
}

impl Receiver {
    /// On a free port of 127.0.0.1.
    pub async fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&theirs)));
            }
        });
        Ok(Self { url, shared })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many arrived.
    pub fn count(&self) -> usize {
        self.shared.count.load(Ordering::Relaxed)
    }

    /// Returns when so many have arrived.
    pub async fn arrived(&self, count: usize) {
        while self.count() < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Milliseconds from settlement to arrival since this was asked last.
    pub fn take_took(&self) -> Vec<f64> {
        std::mem::take(&mut self.shared.took.lock())
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::with_capacity(8192);
    while stream.read_buf(&mut bytes).await? > 0 {
        let text = std::str::from_utf8(&bytes)?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .ok_or("a request without a length")?;
        if body.len() < length.parse()? {
            continue;
        }
        let settled_at = body
            .split_once(r#""settled_at":""#)
            .and_then(|(_, rest)| rest.split_once('"'))
            .ok_or("not settled")?
            .0;
        let settled_at: SystemTime = settled_at.parse::<jiff::Timestamp>()?.into();
        let took = settled_at.elapsed().unwrap_or_default().as_secs_f64() * 1000.0;
        shared.took.lock().push(took);
        bytes.clear();
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
        shared.count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
