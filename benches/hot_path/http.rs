//! A request over a real connection, from its bytes to those of the answer, with a relay behind it that
//! takes everything at once.

use std::sync::Arc;
use std::time::Duration;

use amqpost::domain::webhook::allow_list::AllowList;
use amqpost::domain::{Draft, IdMinter, Limits, Message, MessageId, Rules, Status, WallTime};
use amqpost::http::{
    Accepting, AcceptingAll, AcceptingKeyed, Acting, Backend, Gateway, Parts, Settings, Webhooks,
    serve,
};
use amqpost::metrics::Metrics;
use amqpost::notify::{Events, Rates, Waiters};
use amqpost::relay::{AcceptError, BrokerHealth, Cancellation, Health, Keyed, Progress, Replay};
use amqpost::store::memory::{HistoryBudget, MemoryStore};
use amqpost::store::{
    Audience as _, BulkReplay, Filter, OutboxChange, OutboxWriter, ReadStore, Record, Settlement,
    Writing,
};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::Hot;

/// Takes everything, and confirms it at once.
struct Taker {
    minter: Mutex<IdMinter>,
    waiters: Arc<Waiters>,
}

impl Taker {
    fn take(&self, draft: Draft) -> Arc<Message> {
        let accepted_at = WallTime::from_unix_ms(1_795_341_600_123);
        Arc::new(Message {
            id: self.minter.lock().mint(accepted_at, 7),
            accepted_at,
            draft,
        })
    }
}

impl Backend for Taker {
    fn accept(&self, draft: Draft) -> Accepting<'_> {
        Box::pin(async move { Ok(self.take(draft)) })
    }

    fn accept_watched<'a>(
        &'a self,
        draft: Draft,
        queued: &'a mut (dyn FnMut(MessageId) + Send),
    ) -> Accepting<'a> {
        Box::pin(async move {
            let message = self.take(draft);
            queued(message.id);
            self.waiters.settled(&[Settlement {
                id: message.id,
                status: Status::Confirmed,
                reason: None,
                attempts: 1,
                duplicate_possible: false,
                revision: 2,
                settled_at: message.accepted_at,
            }]);
            Ok(message)
        })
    }

    fn accept_all(&self, drafts: Vec<Draft>) -> AcceptingAll<'_> {
        let take = |draft| Ok(self.take(draft));
        Box::pin(async move { drafts.into_iter().map(take).collect() })
    }

    fn accept_keyed<'a>(
        &'a self,
        _: Vec<Keyed>,
        _: &'a Arc<dyn ReadStore>,
        _: Duration,
    ) -> AcceptingKeyed<'a> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn cancel(&self, _: Record) -> Acting<'_, Cancellation> {
        Box::pin(std::future::ready(Err(AcceptError::Stopping)))
    }

    fn replay(&self, _: MessageId) -> Acting<'_, Replay> {
        Box::pin(std::future::ready(Err(AcceptError::Stopping)))
    }

    fn replay_matching(&self, _: Filter) -> Acting<'_, BulkReplay> {
        Box::pin(std::future::ready(Err(AcceptError::Stopping)))
    }

    fn progress(&self, _: &Record) -> Progress {
        Progress::default()
    }

    fn health(&self) -> Health {
        Health {
            accepting: true,
            pending_messages: 0,
            broker: BrokerHealth {
                lanes_up: 1,
                lanes_blocked: 0,
                lanes: 1,
                quarantined: 0,
                reason: None,
            },
        }
    }
}

/// Nobody makes webhooks here.
impl OutboxWriter for Taker {
    fn write(&self, _: Vec<OutboxChange>) -> Writing<'_> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A client on a connection, and the gateway in the same thread.
pub struct Http {
    runtime: Runtime,
    socket: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
    messages: usize,
    _stop: watch::Sender<bool>,
}

impl Http {
    /// Sends `body`, in which there are so many messages, with these further headers.
    pub fn new(line: &str, headers: &str, body: &str, messages: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let (stop, stopping) = watch::channel(false);
        let socket = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            tokio::spawn(serve(listener, gateway(stopping.clone()), stopping));
            TcpStream::connect(address).await.expect("a connection")
        });
        let request = format!(
            "POST {line} HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\
             {headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self {
            runtime,
            socket,
            request: request.into_bytes(),
            answer: Vec::with_capacity(64 << 10),
            messages,
            _stop: stop,
        }
    }
}

impl Hot for Http {
    fn messages(&self) -> usize {
        self.messages
    }

    fn once(&mut self) {
        let (socket, answer) = (&mut self.socket, &mut self.answer);
        let request = &self.request;
        self.runtime.block_on(async {
            socket.write_all(request).await.expect("it is taken");
            answer.clear();
            while !is_whole(answer) {
                let read = socket.read_buf(answer).await.expect("it is answered");
                assert_ne!(read, 0, "the connection stays");
            }
        });
        assert!(
            self.answer.starts_with(b"HTTP/1.1 20"),
            "{:?}",
            String::from_utf8_lossy(&self.answer)
        );
    }
}

/// Every answer here ends its body with a brace, which no head does.
fn is_whole(answer: &[u8]) -> bool {
    answer.ends_with(b"}")
}

fn gateway(stop: watch::Receiver<bool>) -> Gateway {
    let store = MemoryStore::new(HistoryBudget {
        keys_kept: Duration::from_hours(24),
        messages_max: 1,
        bytes_max: 1,
    });
    let waiters = Arc::<Waiters>::default();
    let backend = Arc::new(Taker {
        minter: Mutex::default(),
        waiters: Arc::clone(&waiters),
    });
    Gateway::new(Parts {
        backend: Arc::clone(&backend) as Arc<dyn Backend>,
        store: Arc::new(store.clone()),
        webhooks: Webhooks::new(Arc::new(store), backend),
        waiters,
        events: Arc::new(Events::new(1)),
        rates: Arc::new(Rates::default()),
        metrics: Metrics::default(),
        callers: watch::Sender::default().subscribe(),
        reloads: watch::Sender::default().subscribe(),
        rules: Rules {
            limits: Limits::default(),
            broker_user: None,
            webhook_allow: AllowList::default(),
        },
        settings: Settings::default(),
        topology: watch::Sender::default().subscribe(),
        leaving: watch::Sender::default().subscribe(),
        stop,
    })
}
