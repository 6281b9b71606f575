//! CRC-32C (RFC 3720, appendix B.4) over what is kept of a pending message.
//!
//! `SQLite` checksums its log and not its pages, so a bit that the disk flips in a payload would be
//! published as if nothing were.

/// A checksum in the making.
#[derive(Clone, Copy)]
pub(super) struct Checksum(u32);

impl Checksum {
    pub(super) fn new() -> Self {
        Self(0)
    }

    pub(super) fn finish(self) -> u32 {
        self.0
    }

    pub(super) fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    /// Bytes with their length before them, so that none can move from one field to the next.
    pub(super) fn field(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.bytes(bytes);
    }

    /// As [`Checksum::field`]; nothing is not the same as an empty one.
    pub(super) fn optional(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.field(bytes),
            None => self.number(u64::MAX),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0 = crc32c::crc32c_append(self.0, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> u32 {
        let mut checksum = Checksum::new();
        checksum.bytes(bytes);
        checksum.finish()
    }

    #[test]
    fn the_examples_of_rfc_3720_come_out() {
        assert_eq!(of(b"123456789"), 0xe306_9283);
        assert_eq!(of(&[0; 32]), 0x8a91_36aa);
        assert_eq!(of(&[0xff; 32]), 0x62a8_ab43);
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(of(&ascending), 0x46dd_794e);
    }
}
