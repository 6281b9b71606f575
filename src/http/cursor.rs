//! Where a list goes on, as a text that means nothing to callers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::problem::{Code, Problem};
use crate::domain::RowId;

/// Of what is below; a cursor of another version is refused rather than misread.
const VERSION: u8 = 1;

/// The cursor to what was accepted before `row`.
pub(super) fn write(row: RowId) -> String {
    let mut bytes = [VERSION; 9];
    bytes[1..].copy_from_slice(&row.get().to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The row in a cursor that [`write`] has given.
pub(super) fn read(cursor: &str) -> Result<RowId, Problem> {
    let row = || {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let row = u64::from_be_bytes(bytes.strip_prefix(&[VERSION])?.try_into().ok()?);
        (RowId::from_stored(row).get() == row).then_some(RowId::from_stored(row))
    };
    row().ok_or_else(|| {
        Problem::new(
            Code::InvalidCursor,
            "the query parameter cursor must be a next_cursor that a list has given, unchanged",
        )
    })
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
        }

        #[test]
        fn nothing_else_is_a_cursor(text in "[A-Za-z0-9_=+/-]{0,14}") {
            if let Ok(row) = read(&text) {
                prop_assert_eq!(write(row), text);
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
