//! A bad network between a client and a server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const READ_BYTES: usize = 16 * 1024;

/// How long the other sides may take to notice that a connection was closed.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// A direction through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

/// How connections end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order (FIN), after all that was let through.
    Close,
    /// By a reset (RST), which may overtake it.
    Reset,
}

/// What a direction lets through from now on, all connections together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// So many bytes, then every connection ends.
    Bytes(u64, End),
    /// So many bytes, then nothing; connections stay open.
    SilentAfter(u64),
}

/// A listener in front of a server.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    gates: [watch::Sender<Gate>; 2],
    /// How many times all connections were ended, and how the last time. Each connection listens.
    ends: watch::Sender<(u64, End)>,
    passed_bytes: [Mutex<u64>; 2],
    accepted: watch::Sender<u64>,
}

impl TcpProxy {
    /// Listens on a port of 127.0.0.1 and passes everything on to `server`.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("127.0.0.1 has a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            server,
            gates: [
                watch::Sender::new(Gate::Open),
                watch::Sender::new(Gate::Open),
            ],
            ends: watch::Sender::new((0, End::Close)),
            passed_bytes: [Mutex::new(0), Mutex::new(0)],
            accepted: watch::Sender::new(0),
        });
        let accepting = Some(tokio::spawn(accept_all(listener, Arc::clone(&shared))));
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as an AMQP URL.
    pub fn amqp_url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.address)
    }

    /// How many connections were accepted so far.
    pub fn accepted(&self) -> u64 {
        *self.shared.accepted.borrow()
    }

    /// How many bytes passed so far, over all connections.
    pub fn passed_bytes(&self, direction: Direction) -> u64 {
        *self.shared.passed_bytes[direction as usize].lock()
    }

    /// Lets `bytes` more through, then ends all connections; new ones pass freely.
    pub fn end_after(&self, direction: Direction, bytes: u64, end: End) {
        if bytes == 0 {
            self.end_all(end);
        } else {
            self.set(direction, Gate::Bytes(bytes, end));
        }
    }

    /// Ends all connections at once.
    pub fn end_all(&self, end: End) {
        self.shared.end_all(end);
    }

    /// Lets `bytes` more through, then nothing in that direction until [`TcpProxy::heal`]; also of
    /// new connections.
    pub fn silent_after(&self, direction: Direction, bytes: u64) {
        self.set(direction, Gate::SilentAfter(bytes));
    }

    /// Lets nothing through in both directions until [`TcpProxy::heal`].
    pub fn silence(&self) {
        self.silent_after(Direction::ToServer, 0);
        self.silent_after(Direction::ToClient, 0);
    }

    /// Everything passes again, what was held back included.
    pub fn heal(&self) {
        self.set(Direction::ToServer, Gate::Open);
        self.set(Direction::ToClient, Gate::Open);
    }

    /// New connections are refused; those that are open go on.
    pub async fn refuse(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            // The listener is closed when the task is gone.
            let _ = accepting.await;
        }
    }

    /// New connections are accepted again, on the same port.
    pub async fn accept_again(&mut self) {
        self.refuse().await;
        let listener = TcpListener::bind(self.address)
            .await
            .expect("the port is still ours");
        let accepting = accept_all(listener, Arc::clone(&self.shared));
        self.accepting = Some(tokio::spawn(accepting));
    }

    fn set(&self, direction: Direction, gate: Gate) {
        self.shared.gates[direction as usize].send_replace(gate);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
        self.end_all(End::Close);
    }
}

impl Shared {
    fn end_all(&self, end: End) {
        self.ends.send_modify(|ends| *ends = (ends.0 + 1, end));
    }

    /// How many of `wanted` bytes may pass now; takes them off the gate.
    fn admit(&self, direction: Direction, wanted: usize) -> usize {
        let mut admitted = 0;
        self.gates[direction as usize].send_if_modified(|gate| {
            let (Gate::Bytes(left, _) | Gate::SilentAfter(left)) = gate else {
                admitted = wanted;
                return false;
            };
            admitted = wanted.min(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= admitted as u64;
            false
        });
        *self.passed_bytes[direction as usize].lock() += admitted as u64;
        admitted
    }

    /// Ends all connections if the gate has just let its last byte through.
    fn ended_by_use(&self, direction: Direction) -> bool {
        let mut used_up = None;
        self.gates[direction as usize].send_if_modified(|gate| {
            if let Gate::Bytes(0, end) = *gate {
                used_up = Some(end);
                *gate = Gate::Open;
            }
            used_up.is_some()
        });
        if let Some(end) = used_up {
            self.end_all(end);
        }
        used_up.is_some()
    }
}

async fn accept_all(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        // Before anything else happens, so that an end that comes from now on is seen.
        let ends = shared.ends.subscribe();
        shared.accepted.send_modify(|accepted| *accepted += 1);
        tokio::spawn(serve(client, Arc::clone(&shared), ends));
    }
}

async fn serve(mut client: TcpStream, shared: Arc<Shared>, mut ends: watch::Receiver<(u64, End)>) {
    let Ok(mut server) = TcpStream::connect(shared.server).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let end = {
        // Borrowed halves: owned ones say FIN when they are dropped, even before a reset.
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        let both = async {
            tokio::join!(
                pump(Direction::ToServer, &shared, client_read, server_write),
                pump(Direction::ToClient, &shared, server_read, client_write),
            )
        };
        tokio::select! {
            _ = both => return,
            _ = ends.changed() => ends.borrow().1,
        }
    };
    match end {
        End::Reset => {
            let _ = (client.set_zero_linger(), server.set_zero_linger());
        }
        End::Close => {
            let both = async { tokio::join!(close(&mut client), close(&mut server)) };
            let _ = tokio::time::timeout(CLOSE_LIMIT, both).await;
        }
    }
}

/// Says FIN and reads on: a socket that is closed with unread bytes says RST.
async fn close(socket: &mut TcpStream) {
    let _ = socket.shutdown().await;
    let mut unwanted = vec![0; READ_BYTES];
    while let Ok(1..) = socket.read(&mut unwanted).await {}
}

/// Passes one direction on until its source ends or its target does.
async fn pump(
    direction: Direction,
    shared: &Shared,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
) {
    let mut gate = shared.gates[direction as usize].subscribe();
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let mut waiting = &buffer[..length];
        while !waiting.is_empty() {
            gate.borrow_and_update();
            let admitted = shared.admit(direction, waiting.len());
            if to.write_all(&waiting[..admitted]).await.is_err() {
                return;
            }
            waiting = &waiting[admitted..];
            if shared.ended_by_use(direction) {
                // The end is on its way to this connection too; nothing more may pass before it.
                std::future::pending::<()>().await;
            }
            if admitted == 0 && gate.changed().await.is_err() {
                return;
            }
        }
    }
    let _ = to.shutdown().await;
}
