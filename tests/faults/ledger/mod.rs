//! The ledger of a campaign: what was sent, answered, consumed and told, and whether it all agrees.
//!
//! Writers, consumers, receivers and followers only write down what they saw. Whether that is what the
//! gateway promises is decided once, at the end, by [`violations`], which knows no broker, clock or socket.

mod copies;
mod digest;
mod news;
mod order;
mod tallies;
mod truth;
mod violation;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

pub(crate) use digest::{Digest, FIELDS};
pub(crate) use violation::Violation;

/// Which message of which writer; it is in the payload and is the property `message_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tag {
    pub(crate) writer: u16,
    /// Grows in the order in which the writer sent.
    pub(crate) number: u32,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}-{}", self.writer, self.number)
    }
}

impl FromStr for Tag {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (writer, number) = text
            .strip_prefix('w')
            .and_then(|rest| rest.split_once('-'))
            .ok_or(())?;
        Ok(Self {
            writer: writer.parse().map_err(|_| ())?,
            number: number.parse().map_err(|_| ())?,
        })
    }
}

/// What kind of message it is, which says how it may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A queue is bound for it, all the time.
    Routable,
    /// A queue is bound for it at times.
    Sometimes,
    /// No queue is bound for it, and it is mandatory.
    Nowhere,
    /// No queue is bound for it, and it is not mandatory.
    Dropped,
    /// Its exchange does not exist.
    Missing,
    /// Its exchange is one that nobody may publish to.
    Forbidden,
    /// Its exchange, which leads to a queue, does not exist at times, and is not bound at once.
    Vanishing,
    /// Its queue takes nothing.
    Refused,
    /// One of its two queues takes nothing.
    HalfRefused,
    /// Routable, after a short delay.
    Later,
    /// Routable after a delay, and cancelled before.
    Cancelled,
    /// Routable, and given up soon.
    GivenUp,
}

impl Kind {
    /// Whether a confirmed one must have been consumed.
    fn reaches_a_queue(self) -> bool {
        self != Self::Dropped
    }
}

/// The order that a message belongs to: of its ordering key, or else of its routing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OrderKey {
    pub(crate) writer: u16,
    pub(crate) number: u8,
    /// It was given: then the order holds over nacks too.
    pub(crate) explicit: bool,
}

/// What one try to hand a message over was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 202 or 200, with this id.
    Accepted(Uuid),
    /// An error: it was not accepted.
    Refused,
    /// 503 `outcome_unknown`, or no answer that could be read.
    Unknown,
}

/// A message as its writer knows it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) tag: Tag,
    pub(crate) kind: Kind,
    pub(crate) order: Option<OrderKey>,
    pub(crate) idempotency_key: Option<u32>,
    pub(crate) callback: bool,
    /// Which request of the writer it was in.
    pub(crate) request: u32,
    /// It was accepted in the order of its request: at the first try, which no other raced with.
    pub(crate) in_place: bool,
    /// When it was first sent, by the campaign's own clock.
    pub(crate) at_ms: u64,
    /// Of each try.
    pub(crate) answers: Vec<Answer>,
}

/// What became of a message's tries together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Accepted(Uuid),
    Refused,
    Unknown,
}

impl Sent {
    /// Accepted once is accepted; refused is who was refused at each try.
    pub(crate) fn fate(&self) -> Fate {
        let mut fate = Fate::Refused;
        for answer in &self.answers {
            match answer {
                Answer::Accepted(id) => return Fate::Accepted(*id),
                Answer::Unknown => fate = Fate::Unknown,
                Answer::Refused => {}
            }
        }
        if self.answers.is_empty() {
            Fate::Unknown
        } else {
            fate
        }
    }
}

/// A message that a consumer got.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copy {
    pub(crate) queue: u8,
    pub(crate) id: Uuid,
    /// As the payload says it; none when there is no such tag.
    pub(crate) tag: Option<Tag>,
    /// The payload and the properties are those that were sent.
    pub(crate) intact: bool,
    /// `x-amqpost-duplicate-possible`
    pub(crate) flagged: bool,
    /// The broker has delivered this copy before.
    pub(crate) redelivered: bool,
    pub(crate) at_ms: u64,
}

/// A message's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Status {
    Pending,
    Confirmed,
    Returned,
    Failed,
}

impl FromStr for Status {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "pending" => Self::Pending,
            "confirmed" => Self::Confirmed,
            "returned" => Self::Returned,
            "failed" => Self::Failed,
            _ => return Err(()),
        })
    }
}

/// A message as the gateway tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) id: Uuid,
    pub(crate) tag: Option<Tag>,
    pub(crate) status: Status,
    pub(crate) reason: Option<String>,
    pub(crate) revision: u64,
    pub(crate) attempts: u64,
    pub(crate) replays: u64,
    pub(crate) duplicate_possible: bool,
    pub(crate) group: Option<u8>,
    pub(crate) digest: Digest,
}

/// A final status that was told on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) id: Uuid,
    pub(crate) status: Status,
    pub(crate) revision: u64,
    pub(crate) digest: Digest,
}

/// A webhook that came.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one thing that the receiver looks at"
)]
pub(crate) struct Hook {
    pub(crate) webhook_id: String,
    /// To the standing webhook; else to the `callback_url`.
    pub(crate) standing: bool,
    pub(crate) outcome: Outcome,
    /// One of its signatures is that of its secret.
    pub(crate) signed: bool,
    /// Type and timestamp are those of the outcome.
    pub(crate) well_formed: bool,
    /// It was answered with 2xx.
    pub(crate) taken: bool,
}

/// An event of the stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) position: u64,
    pub(crate) outcome: Outcome,
}

/// How many are in which status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) pending: u64,
    pub(crate) confirmed: u64,
    pub(crate) returned: u64,
    pub(crate) failed: u64,
}

impl Tally {
    fn count(&mut self, status: Status) {
        *match status {
            Status::Pending => &mut self.pending,
            Status::Confirmed => &mut self.confirmed,
            Status::Returned => &mut self.returned,
            Status::Failed => &mut self.failed,
        } += 1;
    }
}

/// All that a campaign has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    pub(crate) sent: Vec<Sent>,
    /// In the order of arrival.
    pub(crate) copies: Vec<Copy>,
    /// The list of all messages, at the end.
    pub(crate) told: Vec<Told>,
    /// Final statuses that were answered to somebody who asked.
    pub(crate) answered: Vec<Outcome>,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) events: Vec<Event>,
    /// Times in which a queue may have lost its leader, from and to; nacks may follow.
    pub(crate) leader_losses: Vec<(u64, u64)>,
    pub(crate) stats: Tally,
    pub(crate) groups: BTreeMap<u8, Tally>,
    /// What is wrong whatever else is: a process that ended by itself, an answer that there is not.
    pub(crate) incidents: Vec<String>,
}

impl Books {
    /// Copies beyond the first of each message that the gateway handed over, with and without the flag.
    pub(crate) fn duplicates(&self) -> (usize, usize) {
        let index = Index::of(self);
        let mut sum = (0, 0);
        for copies in index.copies.values() {
            let flagged = copies::fresh(copies).filter(|copy| copy.flagged).count();
            let plain = copies::fresh(copies).count() - flagged;
            sum.1 += plain.saturating_sub(1);
            sum.0 += if plain > 0 {
                flagged
            } else {
                flagged.saturating_sub(1)
            };
        }
        sum
    }
}

/// The same, to be looked up.
struct Index<'a> {
    books: &'a Books,
    by_tag: HashMap<Tag, &'a Sent>,
    told: HashMap<Uuid, &'a Told>,
    copies: HashMap<Uuid, Vec<&'a Copy>>,
    consumed: HashSet<Tag>,
}

impl<'a> Index<'a> {
    fn of(books: &'a Books) -> Self {
        let mut copies: HashMap<Uuid, Vec<&Copy>> = HashMap::new();
        for copy in &books.copies {
            copies.entry(copy.id).or_default().push(copy);
        }
        Self {
            books,
            by_tag: books.sent.iter().map(|one| (one.tag, one)).collect(),
            told: books.told.iter().map(|one| (one.id, one)).collect(),
            copies,
            consumed: books.copies.iter().filter_map(|one| one.tag).collect(),
        }
    }

    fn copies(&self, id: Uuid) -> &[&'a Copy] {
        self.copies.get(&id).map_or(&[], Vec::as_slice)
    }

    fn sent(&self, told: &Told) -> Option<&'a Sent> {
        self.by_tag.get(&told.tag?).copied()
    }
}

/// Everything that is not as it was promised.
pub(crate) fn violations(books: &Books) -> Vec<Violation> {
    let index = Index::of(books);
    let mut all: Vec<_> = books
        .incidents
        .iter()
        .cloned()
        .map(Violation::Incident)
        .collect();
    truth::check(&index, &mut all);
    copies::check(&index, &mut all);
    order::check(&index, &mut all);
    news::check(&index, &mut all);
    tallies::check(&index, &mut all);
    all
}

/// What may still come: news of what is final, and messages that are confirmed.
pub(crate) fn outstanding(books: &Books) -> usize {
    let index = Index::of(books);
    let mut all = Vec::new();
    truth::check(&index, &mut all);
    news::check(&index, &mut all);
    all.iter().filter(|one| one.may_still_come()).count()
}
