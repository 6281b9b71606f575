//! Where a list goes on, as a text that means nothing to callers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::problem::{Code, Problem};
use crate::domain::RowId;
use crate::store::DeliveryId;

/// Of lists of messages; a cursor of another version or list is refused rather than misread.
const MESSAGES: u8 = 1;

/// Of the deliveries of a webhook.
const DELIVERIES: u8 = 2;

/// The cursor to what was accepted before `row`.
pub(super) fn write(row: RowId) -> String {
    encode(MESSAGES, row.get())
}

/// The row in a cursor that [`write`] has given.
pub(super) fn read(cursor: &str) -> Result<RowId, Problem> {
    decode(MESSAGES, cursor)
        .filter(|row| RowId::from_stored(*row).get() == *row)
        .map(RowId::from_stored)
        .ok_or_else(invalid)
}

/// The cursor to what was to be delivered before `delivery`.
pub(super) fn write_delivery(delivery: DeliveryId) -> String {
    encode(DELIVERIES, delivery.0)
}

/// The delivery in a cursor that [`write_delivery`] has given.
pub(super) fn read_delivery(cursor: &str) -> Result<DeliveryId, Problem> {
    decode(DELIVERIES, cursor)
        .map(DeliveryId)
        .ok_or_else(invalid)
}

fn encode(list: u8, place: u64) -> String {
    let mut bytes = [list; 9];
    bytes[1..].copy_from_slice(&place.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(list: u8, cursor: &str) -> Option<u64> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let place = bytes.strip_prefix(&[list])?.try_into().ok()?;
    Some(u64::from_be_bytes(place))
}

fn invalid() -> Problem {
    Problem::new(
        Code::InvalidCursor,
        "the query parameter cursor must be a next_cursor that this list has given, unchanged",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_gives_back_its_row(row in 0..1_u64 << 60) {
            let row = RowId::from_stored(row);
            prop_assert_eq!(read(&write(row)), Ok(row));
            let delivery = DeliveryId(row.get());
            prop_assert_eq!(read_delivery(&write_delivery(delivery)), Ok(delivery));
            prop_assert!(read(&write_delivery(delivery)).is_err());
            prop_assert!(read_delivery(&write(row)).is_err());
        }

        #[test]
        fn nothing_else_is_a_cursor(text in "[A-Za-z0-9_=+/-]{0,14}") {
            if let Ok(row) = read(&text) {
                prop_assert_eq!(write(row), &*text);
            }
            if let Ok(delivery) = read_delivery(&text) {
                prop_assert_eq!(write_delivery(delivery), text);
            }
        }
    }

    #[test]
    fn a_cursor_of_another_version_or_size_is_refused() {
        for bad in [
            "",
            "x",
            "AQ",
            "AgAAAAAAAAAA",
            "AQAAAAAAAAAAAA",
            "Af__________",
            "AQAAAAAAAAAA=",
        ] {
            let problem = read(bad).expect_err(bad);
            assert_eq!(problem.code, Code::InvalidCursor);
        }
        assert_eq!(read("AQAAAAAAAAAA"), Ok(RowId::from_stored(0)));
    }
}
