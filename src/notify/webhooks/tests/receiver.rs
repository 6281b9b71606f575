//! A receiver of webhooks on a real socket, which does as it is told.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct Received {
    pub(super) line: String,
    /// Names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
    /// Which connection it came over, from 1.
    pub(super) connection: usize,
}

/// What is done with a request.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// A status with headers (lines that end in CRLF) and a body.
    Status(u16, &'static str, Vec<u8>),
    /// The same, late.
    Late(Duration, u16),
    /// The same, and the connection is closed without a word about it.
    ThenClose(u16),
    /// These bytes, and the connection stays open.
    Bytes(&'static [u8]),
    /// Nothing, for ever.
    Hang,
    /// The connection is closed.
    Close,
}

impl Reply {
    pub(super) fn status(status: u16) -> Self {
        Self::Status(status, "", Vec::new())
    }
}

type Script = dyn Fn(&Received) -> Reply + Send + Sync;

struct Shared {
    script: Box<Script>,
    received: Mutex<Vec<Received>>,
    arrived: Notify,
    connections: AtomicUsize,
    under_way: AtomicUsize,
    under_way_max: AtomicUsize,
}

/// Listens until it is dropped.
pub(super) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    _listening: JoinSet<()>,
}

impl Receiver {
    /// On 127.0.0.1.
    pub(super) async fn start(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(IpAddr::from([127, 0, 0, 1]), None, script).await
    }

    /// With TLS, if there is an acceptor.
    pub(super) async fn listen(
        address: IpAddr,
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::bind((address, 0), tls, script).await
    }

    /// On a port that is already used at another address.
    pub(super) async fn listen_on(
        address: (IpAddr, u16),
        script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::bind(address, None, script).await
    }

    async fn bind(
        address: (IpAddr, u16),
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let shared = Arc::new(Shared {
            script: Box::new(script),
            received: Mutex::default(),
            arrived: Notify::new(),
            connections: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            under_way_max: AtomicUsize::new(0),
        });
        let address = listener.local_addr().expect("it is bound");
        let mut listening = JoinSet::new();
        listening.spawn(accept(listener, tls, Arc::clone(&shared)));
        Self {
            address,
            shared,
            _listening: listening,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook?x=1", self.address)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// What arrived up to now.
    pub(super) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().clone()
    }

    pub(super) fn count(&self) -> usize {
        self.shared.received.lock().len()
    }

    /// Connections that were ever made.
    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The most requests that were ever waiting for their answers together.
    pub(super) fn under_way_max(&self) -> usize {
        self.shared.under_way_max.load(Ordering::SeqCst)
    }

    /// Returns when so many requests have arrived.
    pub(super) async fn arrived(&self, count: usize) {
        let waiting = async {
            loop {
                let arrived = self.shared.arrived.notified();
                if self.count() >= count {
                    return;
                }
                arrived.await;
            }
        };
        let limit = Duration::from_secs(20);
        let waited = tokio::time::timeout(limit, waiting).await;
        assert!(
            waited.is_ok(),
            "{} of {count} requests arrived",
            self.count()
        );
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
        connections.spawn(connection(stream, tls.clone(), number, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    number: usize,
    shared: Arc<Shared>,
) {
    match tls {
        None => serve(stream, number, &shared).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, number, &shared).await;
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, number: usize, shared: &Shared) {
    let mut stream = BufReader::new(stream);
    while let Some(received) = read(&mut stream, number).await {
        let reply = (shared.script)(&received);
        let under_way = shared.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        shared.under_way_max.fetch_max(under_way, Ordering::SeqCst);
        shared.received.lock().push(received);
        shared.arrived.notify_waiters();
        let goes_on = answer(&mut stream, reply, shared).await;
        if !goes_on {
            return;
        }
    }
}

async fn answer(
    stream: &mut (impl AsyncWrite + AsyncRead + Unpin),
    reply: Reply,
    shared: &Shared,
) -> bool {
    let plain = |status| head(status, "", 0).into_bytes();
    let (bytes, goes_on) = match reply {
        Reply::Status(status, headers, body) => {
            let head = head(status, headers, body.len());
            ([head.as_bytes(), &body].concat(), true)
        }
        Reply::Late(pause, status) => {
            tokio::time::sleep(pause).await;
            (plain(status), true)
        }
        Reply::ThenClose(status) => (plain(status), false),
        Reply::Bytes(bytes) => (bytes.to_vec(), true),
        Reply::Hang => {
            // Until the sender hangs up.
            let _ = stream.read_u8().await;
            (Vec::new(), false)
        }
        Reply::Close => (Vec::new(), false),
    };
    shared.under_way.fetch_sub(1, Ordering::SeqCst);
    stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok() && goes_on
}

fn head(status: u16, headers: &str, length: usize) -> String {
    format!("HTTP/1.1 {status} As asked\r\n{headers}content-length: {length}\r\n\r\n")
}

async fn read(stream: &mut (impl AsyncRead + Unpin), connection: usize) -> Option<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).expect("a head is ASCII");
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default().to_owned();
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Received {
        line,
        headers,
        body,
        connection,
    })
}
