//! Entries of the record of outcomes, many to a blob.
//!
//! The record is one row for each commit (256 entries at most) instead of one for each message: a
//! row costs a microsecond, an entry takes five bytes and next to nothing. The price is that
//! operators cannot read it with SQL; what became of each message is in `settled`, which they can.

use super::codec::{Input, Unreadable, put_number};
use crate::domain::{RowId, Status};

/// Entries in one row at most.
pub(super) const ENTRIES_MAX: usize = 256;

/// One settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its number in the order of settlement.
    pub(super) position: u64,
    pub(super) row: RowId,
    pub(super) status: Status,
    /// Its message has a label, whose tally must hear of it when the message is forgotten.
    pub(super) has_label: bool,
}

/// Set in the byte of the status of those that have a label.
const HAS_LABEL: u8 = 1 << 2;

/// What a final status is on disk.
pub(super) fn status_code(status: Status) -> i64 {
    match status {
        Status::Pending => 0,
        Status::Confirmed => 1,
        Status::Returned => 2,
        Status::Failed => 3,
    }
}

/// The final status that a code stands for.
pub(super) fn status_of(code: i64) -> Option<Status> {
    match code {
        1 => Some(Status::Confirmed),
        2 => Some(Status::Returned),
        3 => Some(Status::Failed),
        _ => None,
    }
}

/// Entries in the order of their positions, as differences to the one before.
pub(super) fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + entries.len() * 6);
    let (mut position, mut row) = (0, 0_i64);
    for entry in entries {
        put_number(&mut out, entry.position - position);
        position = entry.position;
        let now = entry.row.get().cast_signed();
        let step = now - row;
        row = now;
        put_number(&mut out, (step << 1 ^ step >> 63).cast_unsigned());
        let label = if entry.has_label { HAS_LABEL } else { 0 };
        out.push(status_code(entry.status).to_le_bytes()[0] | label);
    }
    out
}

/// The entries of a blob.
pub(super) fn decode(blob: &[u8]) -> Result<Vec<Entry>, Unreadable> {
    let mut input = Input { left: blob };
    let mut entries = Vec::new();
    let (mut position, mut row) = (0_u64, 0_i64);
    while !input.left.is_empty() {
        position = position.wrapping_add(input.number()?);
        let step = input.number()?;
        row = row.wrapping_add((step >> 1).cast_signed() ^ -(step & 1).cast_signed());
        let code = input.byte()?;
        let status = status_of(i64::from(code & !HAS_LABEL));
        entries.push(Entry {
            position,
            row: RowId::from_stored(row.cast_unsigned()),
            status: status.ok_or(Unreadable::Kind(code))?,
            has_label: code & HAS_LABEL != 0,
        });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_entries() -> impl Strategy<Value = Vec<Entry>> {
        let one = (1_u64..1000, 0_u64..1 << 60, 1_i64..4, any::<bool>());
        prop::collection::vec(one, 0..50).prop_map(|steps| {
            let mut position = 0;
            let entry = |(step, row, code, has_label)| {
                position += step;
                Entry {
                    position,
                    row: RowId::from_stored(row),
                    status: status_of(code).expect("a final status"),
                    has_label,
                }
            };
            steps.into_iter().map(entry).collect()
        })
    }

    proptest! {
        #[test]
        fn entries_come_back_as_they_went_in(entries in any_entries()) {
            prop_assert_eq!(decode(&encode(&entries)), Ok(entries));
        }

        #[test]
        fn whatever_the_bytes_are_reading_ends(blob in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&blob);
        }
    }
}
