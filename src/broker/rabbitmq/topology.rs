//! Declaring a topology, and telling what declaring it would change, through lapin.
//!
//! One entry after the other, so that an answer is never taken for another's. The broker closes the
//! channel on every refusal, and the connection on some: the next entry goes over a fresh one, and
//! nothing that one entry meets hurts the others.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use lapin::options::{
    ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldArray, FieldTable, ShortString};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};
use tokio::time::timeout;

use super::link::{self, Brokers, LinkError};
use crate::domain::headers::{HeaderValue, Table};
use crate::domain::topology::{Destination, Entry, Problem, ProblemKind};

/// A queue on several nodes takes its time to be declared.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Entries without an answer before the others are not asked about any more.
const SILENCES_MAX: usize = 3;
/// How often an entry is sent when the connection ends over it without a word.
const TRIES_MAX: usize = 2;

/// The AMQP reply codes that have a kind of their own.
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;

/// What declaring an entry would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nothing: it is there as the file says.
    Same,
    /// It is not there.
    Missing,
    /// AMQP has no question about bindings. Both ends are there.
    Unknown,
    /// It would be refused.
    Refused(Problem),
}

/// Declares at one broker.
#[derive(Clone)]
pub struct Declarer {
    brokers: Brokers,
    connect_timeout: Duration,
}

impl Declarer {
    /// Over any of `brokers`.
    #[must_use]
    pub fn new(brokers: Brokers, connect_timeout: Duration) -> Self {
        Self {
            brokers,
            connect_timeout,
        }
    }

    /// Declares `entries` in their order. Of each, tells why it could not be declared, if so.
    ///
    /// # Errors
    /// The broker cannot be reached (any more). What was declared before stays; declaring it again
    /// changes nothing.
    pub async fn declare(&self, entries: &[Entry]) -> Result<Vec<Option<Problem>>, LinkError> {
        let mut session = Session::open(self).await?;
        let mut problems = Vec::with_capacity(entries.len());
        for entry in entries {
            let answer = session.ask(Request::Declare(entry)).await?;
            problems.push(answer.problem(entry));
        }
        session.close().await;
        Ok(problems)
    }

    /// Tells of each of `entries` what declaring it would do, and changes nothing: whether something
    /// is there is asked passively, and only what is there is declared, which compares it. (What is
    /// deleted between the two would come back; a queue's `x-expires` starts anew.)
    ///
    /// # Errors
    /// The broker cannot be reached (any more).
    pub async fn check(&self, entries: &[Entry]) -> Result<Vec<Finding>, LinkError> {
        let mut session = Session::open(self).await?;
        let mut missing = BTreeSet::new();
        let mut findings = Vec::with_capacity(entries.len());
        for entry in entries {
            findings.push(session.check(entry, &mut missing).await?);
        }
        session.close().await;
        Ok(findings)
    }
}

/// What is asked of the broker.
#[derive(Clone, Copy)]
enum Request<'a> {
    Declare(&'a Entry),
    Presence(&'a Destination),
}

/// What came back.
enum Answer {
    Yes,
    No { code: u16, text: String },
    Nothing(String),
}

impl Answer {
    fn problem(self, entry: &Entry) -> Option<Problem> {
        let (kind, detail) = match self {
            Self::Yes => return None,
            Self::No { code, text } => (kind_of(code), text),
            Self::Nothing(text) => (ProblemKind::NoAnswer, text),
        };
        Some(Problem {
            entry: entry.to_string(),
            kind,
            detail,
        })
    }
}

fn kind_of(code: u16) -> ProblemKind {
    match code {
        ACCESS_REFUSED => ProblemKind::AccessRefused,
        NOT_FOUND => ProblemKind::NotFound,
        PRECONDITION_FAILED => ProblemKind::PreconditionFailed,
        _ => ProblemKind::Refused,
    }
}

/// One walk over the entries.
struct Session<'a> {
    declarer: &'a Declarer,
    connection: Connection,
    channel: Option<Channel>,
    silences: usize,
}

impl<'a> Session<'a> {
    async fn open(declarer: &'a Declarer) -> Result<Self, LinkError> {
        Ok(Self {
            declarer,
            connection: connect(declarer).await?,
            channel: None,
            silences: 0,
        })
    }

    async fn close(self) {
        let closing = self.connection.close(200, "done".into());
        // Whoever does not answer has lost nothing.
        let _ = timeout(self.declarer.connect_timeout, closing).await;
    }

    /// A channel that was never refused anything, over a new connection if need be.
    async fn fresh_channel(&mut self) -> Result<Channel, LinkError> {
        if let Some(channel) = self.channel.take()
            && channel.status().connected()
        {
            return Ok(channel);
        }
        let limit = self.declarer.connect_timeout;
        if self.connection.status().connected() {
            let opening = async { Ok(self.connection.create_channel().await?) };
            // A connection may be ending without knowing it yet.
            if let Ok(channel) = link::in_time(limit, opening).await {
                return Ok(channel);
            }
        }
        self.connection = connect(self.declarer).await?;
        let opening = async { Ok(self.connection.create_channel().await?) };
        link::in_time(limit, opening).await
    }

    async fn ask(&mut self, request: Request<'_>) -> Result<Answer, LinkError> {
        if self.silences >= SILENCES_MAX {
            let text = "not tried, since the broker has not answered about others";
            return Ok(Answer::Nothing(text.to_owned()));
        }
        let mut last = String::new();
        for _ in 0..TRIES_MAX {
            let channel = self.fresh_channel().await?;
            match timeout(ANSWER_LIMIT, send(&channel, request)).await {
                Ok(Ok(())) => {
                    self.channel = Some(channel);
                    return Ok(Answer::Yes);
                }
                Ok(Err(error)) => {
                    if let ErrorKind::ProtocolError(refusal) = error.kind() {
                        return Ok(Answer::No {
                            code: refusal.get_id(),
                            text: refusal.get_message().to_string(),
                        });
                    }
                    // The broker's own words may be what lapin could not read: it cuts long ones
                    // within a character.
                    last =
                        format!("the connection ended over it; the broker's log says why: {error}");
                    self.connection = connect(self.declarer).await?;
                }
                Err(_) => {
                    self.silences += 1;
                    // It still waits for that answer.
                    self.connection = connect(self.declarer).await?;
                    let seconds = ANSWER_LIMIT.as_secs();
                    return Ok(Answer::Nothing(format!("no answer within {seconds} s")));
                }
            }
        }
        Ok(Answer::Nothing(last))
    }

    async fn check(
        &mut self,
        entry: &Entry,
        missing: &mut BTreeSet<Destination>,
    ) -> Result<Finding, LinkError> {
        let this = match entry {
            Entry::Exchange(exchange) => Destination::Exchange(exchange.name.clone()),
            Entry::Queue(queue) => Destination::Queue(queue.name.clone()),
            Entry::Binding(binding) => {
                let source = Destination::Exchange(binding.source.clone());
                return self
                    .check_ends(entry, [&source, &binding.destination], missing)
                    .await;
            }
        };
        let answer = match self.ask(Request::Presence(&this)).await? {
            Answer::Yes => self.ask(Request::Declare(entry)).await?,
            Answer::No { code, .. } if code == NOT_FOUND => {
                missing.insert(this);
                return Ok(Finding::Missing);
            }
            other => other,
        };
        Ok(answer
            .problem(entry)
            .map_or(Finding::Same, Finding::Refused))
    }

    async fn check_ends(
        &mut self,
        entry: &Entry,
        ends: [&Destination; 2],
        missing: &BTreeSet<Destination>,
    ) -> Result<Finding, LinkError> {
        let mut found = Finding::Unknown;
        for end in ends {
            if missing.contains(end) {
                found = Finding::Missing;
                continue;
            }
            let answer = self.ask(Request::Presence(end)).await?;
            if let Some(problem) = answer.problem(entry) {
                return Ok(Finding::Refused(problem));
            }
        }
        Ok(found)
    }
}

async fn connect(declarer: &Declarer) -> Result<Connection, LinkError> {
    let name = "amqpost topology";
    declarer
        .brokers
        .connect(name, declarer.connect_timeout)
        .await
}

async fn send(channel: &Channel, request: Request<'_>) -> lapin::Result<()> {
    match request {
        Request::Declare(entry) => declare(channel, entry).await,
        Request::Presence(Destination::Exchange(name)) => {
            let options = ExchangeDeclareOptions {
                passive: true,
                ..ExchangeDeclareOptions::default()
            };
            let kind = ExchangeKind::Direct;
            channel
                .exchange_declare(short(name)?, kind, options, FieldTable::default())
                .await
        }
        Request::Presence(Destination::Queue(name)) => {
            let options = QueueDeclareOptions {
                passive: true,
                ..QueueDeclareOptions::default()
            };
            let table = FieldTable::default();
            let declared = channel.queue_declare(short(name)?, options, table).await;
            declared.map(drop)
        }
    }
}

async fn declare(channel: &Channel, entry: &Entry) -> lapin::Result<()> {
    match entry {
        Entry::Exchange(exchange) => {
            let options = ExchangeDeclareOptions {
                durable: exchange.durable,
                auto_delete: exchange.auto_delete,
                internal: exchange.internal,
                ..ExchangeDeclareOptions::default()
            };
            let kind = ExchangeKind::Custom(exchange.kind.to_string());
            let arguments = field_table(&exchange.arguments)?;
            channel
                .exchange_declare(short(&exchange.name)?, kind, options, arguments)
                .await
        }
        Entry::Queue(queue) => {
            let options = QueueDeclareOptions {
                durable: queue.durable,
                auto_delete: queue.auto_delete,
                ..QueueDeclareOptions::default()
            };
            let arguments = field_table(&queue.arguments)?;
            let name = short(&queue.name)?;
            let declared = channel.queue_declare(name, options, arguments).await;
            declared.map(drop)
        }
        Entry::Binding(binding) => {
            let (source, key) = (short(&binding.source)?, short(&binding.routing_key)?);
            let arguments = field_table(&binding.arguments)?;
            match &binding.destination {
                Destination::Queue(name) => {
                    let options = QueueBindOptions::default();
                    channel
                        .queue_bind(short(name)?, source, key, options, arguments)
                        .await
                }
                Destination::Exchange(name) => {
                    let options = ExchangeBindOptions::default();
                    channel
                        .exchange_bind(short(name)?, source, key, options, arguments)
                        .await
                }
            }
        }
    }
}

/// A file with names that are too long is not taken, and lapin's own conversion would panic.
fn short(name: &str) -> lapin::Result<ShortString> {
    Ok(ShortString::try_new(name).map_err(io::Error::other)?)
}

fn field_table(table: &Table) -> lapin::Result<FieldTable> {
    let mut fields = FieldTable::default();
    for (name, value) in table {
        fields.insert(short(name)?, field(value)?);
    }
    Ok(fields)
}

fn field(value: &HeaderValue) -> lapin::Result<AMQPValue> {
    Ok(match value {
        HeaderValue::Bool(value) => AMQPValue::Boolean(*value),
        HeaderValue::Int(value) => AMQPValue::LongLongInt(*value),
        HeaderValue::Double(value) => AMQPValue::Double(*value),
        // A short string here would crash the broker's parser.
        HeaderValue::Text(text) => AMQPValue::LongString(text.as_bytes().into()),
        HeaderValue::Null => AMQPValue::Void,
        HeaderValue::Array(items) => {
            let fields: lapin::Result<Vec<_>> = items.iter().map(field).collect();
            AMQPValue::FieldArray(FieldArray::from(fields?))
        }
        HeaderValue::Table(table) => AMQPValue::FieldTable(field_table(table)?),
    })
}
