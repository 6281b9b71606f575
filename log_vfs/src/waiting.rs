//! Bytes that wait for being written, one behind the other.

use std::collections::TryReserveError;

/// Bytes that wait at most: SQLite's own VFS for Unix looks at the lowest 17 bits of a length only
/// (`seekAndWriteFd` in its `os_unix.c`).
pub(crate) const BYTES_MAX: usize = (1 << 17) - 1;

/// See the module.
#[derive(Default)]
pub(crate) struct Waiting {
    /// Where they belong in the file.
    at: i64,
    bytes: Vec<u8>,
}

impl Waiting {
    /// Whether so many bytes at this place belong behind those that wait, and find room.
    pub(crate) fn takes(&self, at: i64, length: usize) -> bool {
        let waiting = self.bytes.len();
        let end = i64::try_from(waiting)
            .ok()
            .and_then(|waiting| self.at.checked_add(waiting));
        waiting == 0 || (end == Some(at) && waiting + length <= BYTES_MAX)
    }

    /// Takes bytes that [`Waiting::takes`] has said yes to.
    ///
    /// # Errors
    /// There is no memory for them; nothing has changed.
    pub(crate) fn push(&mut self, at: i64, bytes: &[u8]) -> Result<(), TryReserveError> {
        self.bytes.try_reserve(bytes.len())?;
        if self.bytes.is_empty() {
            self.at = at;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// What is to be written, and where.
    pub(crate) fn next(&self) -> Option<(i64, &[u8])> {
        (!self.bytes.is_empty()).then_some((self.at, &self.bytes[..]))
    }

    /// Nothing waits any more.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Kills: bytes that are written elsewhere, in another order, or not at all.
        #[test]
        fn a_file_gets_what_it_would_get_at_once(
            writes in prop::collection::vec((0..60_u8, 1..20_usize, any::<u8>()), 0..60),
        ) {
            let (mut at_once, mut later) = (vec![0; 100], vec![0; 100]);
            let mut waiting = Waiting::default();
            let put = |file: &mut Vec<u8>, at: i64, bytes: &[u8]| {
                let at = usize::try_from(at).expect("small");
                file[at..at + bytes.len()].copy_from_slice(bytes);
            };
            let mut end = 0;
            for (place, length, byte) in writes {
                // Half of them go on where the last one ended.
                let at = if place % 2 == 0 && end < 80 { end } else { i64::from(place) };
                let bytes = vec![byte; length];
                put(&mut at_once, at, &bytes);
                if !waiting.takes(at, length) {
                    let (at, bytes) = waiting.next().expect("something is in the way");
                    put(&mut later, at, bytes);
                    waiting.clear();
                }
                waiting.push(at, &bytes).expect("memory");
                end = at + i64::try_from(length).expect("small");
            }
            if let Some((at, bytes)) = waiting.next() {
                put(&mut later, at, bytes);
            }
            prop_assert_eq!(at_once, later);
        }
    }

    #[test]
    fn no_more_waits_than_may() {
        let mut waiting = Waiting::default();
        let page = vec![7; 4096];
        let mut at = 32;
        while waiting.takes(at, page.len()) {
            waiting.push(at, &page).expect("memory");
            at += 4096;
        }
        let (_, bytes) = waiting.next().expect("pages");
        assert_eq!(bytes.len(), BYTES_MAX / 4096 * 4096);
        waiting.clear();
        assert!(waiting.takes(7, 1), "whatever comes first is taken");
    }
}
