//! What a writer does: its n-th request follows from the seed, and from nothing else.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::ledger::{Kind, OrderKey};

/// Writers.
pub(crate) const WRITERS: u16 = 10;
/// Routing keys of each writer that a queue is always bound with.
pub(crate) const KEYS: u8 = 3;
/// Groups that all writers share.
pub(crate) const GROUPS: u8 = 20;

const BATCH_ITEMS_MAX: usize = 20;

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Single,
    Raw,
    Json,
    Ndjson,
}

/// Whether a request is made again. Whoever repeats has idempotency keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeats {
    Never,
    /// Until there is an answer.
    UntilAnswered,
    /// The same, and once more after it.
    Again,
    /// Two at the same time, and then until there is an answer.
    Racing,
}

/// What else the writer does after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Nothing,
    /// Waits for the first message's final status, so many seconds at most.
    Ask(u8),
    /// Replays a message that it knows to be returned or failed.
    Replay,
    /// Replays what is returned in a group.
    ReplayGroup(u8),
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) kind: Kind,
    /// Which of the writer's keys.
    pub(crate) key: u8,
    /// Whether it names its ordering key.
    pub(crate) explicit: bool,
    /// Bytes of the payload beyond its head.
    pub(crate) filler_bytes: usize,
    pub(crate) callback: bool,
    pub(crate) group: u8,
    pub(crate) delay_ms: Option<u64>,
    pub(crate) give_up_ms: Option<u64>,
}

impl Item {
    /// Which order it belongs to. An explicit ordering key spans the routing keys to one queue.
    pub(crate) fn order(&self, writer: u16) -> Option<OrderKey> {
        let number = if self.explicit { 0 } else { self.key };
        matches!(self.kind, Kind::Routable | Kind::GivenUp).then_some(OrderKey {
            writer,
            number,
            explicit: self.explicit,
        })
    }
}

/// One request, and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) way: Way,
    pub(crate) items: Vec<Item>,
    /// `Prefer: wait` of a single message.
    pub(crate) wait_seconds: Option<u8>,
    pub(crate) repeats: Repeats,
    /// Cancels those that are made to be cancelled after so long.
    pub(crate) cancel_after_ms: u64,
    pub(crate) then: Then,
    pub(crate) pause_ms: u64,
}

/// Randomness for one purpose.
pub(crate) fn dice(seed: u64, purpose: &str, number: u64) -> StdRng {
    let mut whole = [0; 32];
    whole[..8].copy_from_slice(&seed.to_le_bytes());
    whole[8..16].copy_from_slice(&number.to_le_bytes());
    for (place, byte) in whole[16..].iter_mut().zip(purpose.bytes()) {
        *place = byte;
    }
    StdRng::from_seed(whole)
}

/// The `number`-th request of a writer.
pub(crate) fn request(seed: u64, writer: u16, number: u64) -> Request {
    let mut dice = dice(seed, &format!("writer {writer}"), number);
    let way = match dice.random_range(0..10) {
        0..4 => Way::Single,
        4..6 => Way::Raw,
        6..8 => Way::Json,
        _ => Way::Ndjson,
    };
    let count = match way {
        Way::Single | Way::Raw => 1,
        Way::Json | Way::Ndjson => dice.random_range(1..=BATCH_ITEMS_MAX),
    };
    let repeats = match dice.random_range(0..10) {
        0..4 => Repeats::Never,
        4..7 => Repeats::UntilAnswered,
        7..9 => Repeats::Again,
        _ => Repeats::Racing,
    };
    let then = match dice.random_range(0..40) {
        0..6 => Then::Ask(dice.random_range(0..4)),
        6..10 => Then::Replay,
        10 => Then::ReplayGroup(dice.random_range(0..GROUPS)),
        _ => Then::Nothing,
    };
    Request {
        way,
        items: (0..count).map(|_| item(&mut dice)).collect(),
        wait_seconds: dice.random_bool(0.2).then(|| dice.random_range(0..4)),
        repeats,
        cancel_after_ms: dice.random_range(0..50),
        then,
        pause_ms: dice.random_range(0..120),
    }
}

fn item(dice: &mut StdRng) -> Item {
    let kind = match dice.random_range(0..100) {
        0..64 => Kind::Routable,
        64..66 => Kind::Vanishing,
        66..72 => Kind::Sometimes,
        72..77 => Kind::Nowhere,
        77..80 => Kind::Dropped,
        80..83 => Kind::Missing,
        83 => Kind::Forbidden,
        84 => Kind::Refused,
        85 => Kind::HalfRefused,
        86..91 => Kind::Later,
        91..95 => Kind::Cancelled,
        _ => Kind::GivenUp,
    };
    let delay_ms = match kind {
        Kind::Later => Some(dice.random_range(1..5_000)),
        Kind::Cancelled => dice
            .random_bool(0.7)
            .then(|| dice.random_range(100..10_000)),
        _ => None,
    };
    let explicit = kind == Kind::Routable && dice.random_bool(0.4);
    Item {
        kind,
        // Those with an explicit ordering key go to one queue, whose keys are the even ones.
        key: if explicit {
            2 * dice.random_range(0..=1)
        } else {
            dice.random_range(0..KEYS)
        },
        explicit,
        filler_bytes: match dice.random_range(0..200) {
            0 => dice.random_range(100_000..300_000),
            1..10 => dice.random_range(5_000..20_000),
            _ => dice.random_range(0..600),
        },
        callback: dice.random_bool(0.1),
        group: dice.random_range(0..GROUPS),
        delay_ms,
        give_up_ms: (kind == Kind::GivenUp).then(|| dice.random_range(1..4_000)),
    }
}
