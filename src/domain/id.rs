//! Message ids: `UUIDv7` (RFC 9562, section 5.7) whose first 60 bits grow with every acceptance.
//!
//! The 48 bits of milliseconds and the 12 bits after the version (RFC 9562, section 6.2, method 1)
//! together are the [`RowId`]: unique within a gateway, in the order of acceptance, and small enough
//! to be the key of a table. The remaining 62 bits are random, so an id cannot be guessed.

use std::fmt;
use std::str::FromStr;

use super::time::WallTime;

const COUNTER_BITS: u32 = 12;
const RANDOM_BITS: u32 = 62;
const ROW_MAX: u64 = (1 << 60) - 1;

/// The 60 leading bits of an id: the place of a message in the order of acceptance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(u64);

impl RowId {
    /// The number itself, below 2^60.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    /// The time of acceptance, or shortly after it where ids borrowed from the future.
    #[must_use]
    pub fn time(self) -> WallTime {
        WallTime::from_unix_ms(self.0 >> COUNTER_BITS)
    }

    /// The first row whose [`RowId::time`] is `time` or later; `None` when there can be no such row.
    #[must_use]
    pub fn first_at(time: WallTime) -> Option<Self> {
        let row = time.unix_ms().checked_mul(1 << COUNTER_BITS)?;
        (row <= ROW_MAX).then_some(Self(row))
    }

    /// From a stored number; the bits above the 60th are dropped.
    #[must_use]
    pub fn from_stored(row: u64) -> Self {
        Self(row & ROW_MAX)
    }
}

/// When a pending message's turn to be handed over comes: messages of a lane go in the order of their
/// turns. It is the row of the message for one that goes at once; one that was scheduled or replayed
/// gets a later number of the same sequence when it is due or replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Turn(u64);

impl Turn {
    /// The number itself, below 2^60.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    /// From a stored number; the bits above the 60th are dropped.
    #[must_use]
    pub fn from_stored(turn: u64) -> Self {
        Self(turn & ROW_MAX)
    }

    /// The place in the common sequence of rows and turns.
    #[must_use]
    pub fn row(self) -> RowId {
        RowId(self.0)
    }
}

impl From<RowId> for Turn {
    fn from(row: RowId) -> Self {
        Self(row.0)
    }
}

/// The one id of a message, for ever, through every re-send and replay.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u128);

impl MessageId {
    /// Puts an id together from its place and its random rest (62 bits are used).
    #[must_use]
    pub fn from_parts(row: RowId, random: u64) -> Self {
        let ms = u128::from(row.0 >> COUNTER_BITS);
        let counter = u128::from(row.0 & ((1 << COUNTER_BITS) - 1));
        let random = u128::from(random & ((1 << RANDOM_BITS) - 1));
        Self(ms << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | random)
    }

    /// The place in the order of acceptance.
    #[must_use]
    pub fn row(self) -> RowId {
        let ms = (self.0 >> 80) as u64;
        let counter = (self.0 >> 64) as u64 & ((1 << COUNTER_BITS) - 1);
        RowId(ms << COUNTER_BITS | counter)
    }

    /// The random rest, 62 bits.
    #[must_use]
    pub fn random(self) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the low half is what is wanted"
        )]
        let low = self.0 as u64;
        low & ((1 << RANDOM_BITS) - 1)
    }

    /// The hyphenated lower-case text, without an allocation.
    #[must_use]
    pub fn text(self) -> IdText {
        let mut text = [0; 36];
        uuid::Uuid::from_u128(self.0)
            .hyphenated()
            .encode_lower(&mut text);
        IdText(text)
    }
}

/// The 36 characters of an id.
#[derive(Clone, Copy)]
pub struct IdText([u8; 36]);

impl IdText {
    /// The characters, all ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 36] {
        &self.0
    }

    /// The characters as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Hexadecimal digits and hyphens are ASCII, so this is never the empty fallback.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a hyphenated UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a hyphenated UUID")]
pub struct NotAnId;

impl FromStr for MessageId {
    type Err = NotAnId;

    /// Reads the hyphenated form in either case; any UUID is taken, also one that no gateway made.
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.len() != 36 {
            return Err(NotAnId);
        }
        uuid::Uuid::try_parse(text)
            .map(|uuid| Self(uuid.as_u128()))
            .map_err(|_| NotAnId)
    }
}

/// Makes ids that only ever grow.
#[derive(Debug, Default)]
pub struct IdMinter {
    last: RowId,
}

impl IdMinter {
    /// A minter whose ids all come after `last`, which is how ids stay in order over a restart.
    #[must_use]
    pub fn after(last: RowId) -> Self {
        Self { last }
    }

    /// The place of the last id or turn that was made.
    #[must_use]
    pub fn last(&self) -> RowId {
        self.last
    }

    /// The next id. `now` leads, but never backwards: when the clock stands still or steps back, or
    /// when more than 4096 ids are wanted in one millisecond, the ids borrow from the future.
    /// `random` is the unguessable rest.
    pub fn mint(&mut self, now: WallTime, random: u64) -> MessageId {
        MessageId::from_parts(self.next(now), random)
    }

    /// A turn that comes after everything that was minted before.
    pub fn turn(&mut self, now: WallTime) -> Turn {
        self.next(now).into()
    }

    fn next(&mut self, now: WallTime) -> RowId {
        let by_clock = now.unix_ms().saturating_mul(1 << COUNTER_BITS).min(ROW_MAX);
        self.last = RowId(by_clock.max(self.last.0 + 1));
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_gives_back_its_parts(row in 0..=ROW_MAX, random in any::<u64>()) {
            let id = MessageId::from_parts(RowId(row), random);
            prop_assert_eq!(id.row(), RowId(row));
            prop_assert_eq!(id.random(), random & ((1 << RANDOM_BITS) - 1));
            prop_assert_eq!(id.to_string().parse::<MessageId>(), Ok(id));
        }

        #[test]
        fn the_first_row_of_a_time_parts_the_rows(row in 0..=ROW_MAX, ms in any::<u64>(), near in -2_i64..3) {
            let row = RowId(row);
            for ms in [ms, row.time().unix_ms().saturating_add_signed(near)] {
                let time = WallTime::from_unix_ms(ms);
                let is_behind = RowId::first_at(time).is_some_and(|first| row >= first);
                prop_assert_eq!(is_behind, row.time() >= time);
            }
        }

        #[test]
        fn ids_grow_whatever_the_clock_does(clock in prop::collection::vec(0_u64..1 << 44, 1..200)) {
            let mut minter = IdMinter::default();
            let mut last = None;
            for now in clock {
                let id = minter.mint(WallTime::from_unix_ms(now), 0);
                prop_assert!(last.is_none_or(|last| last < id.row()));
                prop_assert!(id.row().get() >> COUNTER_BITS >= now);
                last = Some(id.row());
            }
        }
    }

    #[test]
    fn turns_and_ids_are_one_sequence() {
        let mut minter = IdMinter::default();
        let now = WallTime::from_unix_ms(7);
        let first = minter.mint(now, 0).row();
        let turn = minter.turn(now);
        assert!(turn > Turn::from(first));
        assert_eq!(minter.last(), turn.row());
        assert!(minter.mint(now, 0).row() > turn.row());
    }

    #[test]
    fn ids_are_version_7_of_the_rfc_variant() {
        let id = IdMinter::default().mint(WallTime::from_unix_ms(1_795_341_600_123), u64::MAX);
        let uuid: uuid::Uuid = id.to_string().parse().expect("a UUID");
        assert_eq!(uuid.get_version(), Some(uuid::Version::SortRand));
        assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
        let (seconds, nanos) = uuid.get_timestamp().expect("a time").to_unix();
        assert_eq!(
            seconds * 1000 + u64::from(nanos) / 1_000_000,
            1_795_341_600_123
        );
    }

    #[test]
    fn more_ids_than_a_millisecond_holds_borrow_from_the_future() {
        let mut minter = IdMinter::default();
        let now = WallTime::from_unix_ms(1_000_000);
        let ids: Vec<_> = (0..10_000).map(|_| minter.mint(now, 0)).collect();
        assert!(ids.is_sorted_by(|a, b| a.row() < b.row()));
    }

    #[test]
    fn a_restarted_minter_goes_on_after_the_last_id() {
        let last = RowId::from_stored(5 << 50);
        assert!(
            IdMinter::after(last)
                .mint(WallTime::from_unix_ms(1), 0)
                .row()
                > last
        );
    }

    #[test]
    fn other_spellings_of_a_uuid_are_not_ids() {
        for text in [
            "",
            "0193a5c4",
            "{0193a5c4-0000-7000-8000-000000000000}",
            "é",
        ] {
            assert_eq!(text.parse::<MessageId>(), Err(NotAnId), "{text}");
        }
        assert!(
            "0193A5C4-0000-7000-8000-000000000000"
                .parse::<MessageId>()
                .is_ok()
        );
    }
}
