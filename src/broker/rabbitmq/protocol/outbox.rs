//! Bytes on their way to the socket.
//!
//! Small things are copied into one buffer, so that many messages leave in one write; large payloads
//! are queued as they are, without a copy. Every byte has a position in the stream, so that one can
//! say later what was certainly not written.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Payloads of at least this many bytes are not copied.
const UNCOPIED_BYTES_MIN: usize = 16 << 10;

/// A queue of bytes with positions.
#[derive(Debug, Default)]
pub struct Outbox {
    segments: VecDeque<Bytes>,
    segment_bytes: usize,
    tail: BytesMut,
    written: u64,
}

impl Outbox {
    /// Where small things are appended.
    pub fn tail(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    /// Appends bytes, without a copy where that pays.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.len() < UNCOPIED_BYTES_MIN {
            self.tail.put_slice(&bytes);
            return;
        }
        self.seal();
        self.segment_bytes += bytes.len();
        self.segments.push_back(bytes);
    }

    /// Bytes that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segment_bytes + self.tail.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the socket has taken since the beginning.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The position after the last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.written + self.len() as u64
    }

    /// Fills in what to write next, and says how many slices that is.
    pub fn slices<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        let pieces = self.segments.iter().map(|bytes| &bytes[..]).chain(tail);
        into.iter_mut()
            .zip(pieces)
            .map(|(slot, piece)| *slot = IoSlice::new(piece))
            .count()
    }

    /// The socket has taken `count` bytes, at most [`Outbox::len`].
    pub fn wrote(&mut self, count: usize) {
        self.written += count as u64;
        let mut left = count;
        while left > 0 {
            let Some(front) = self.segments.front_mut() else {
                self.tail.advance(left);
                return;
            };
            let step = left.min(front.len());
            front.advance(step);
            self.segment_bytes -= step;
            left -= step;
            if front.is_empty() {
                self.segments.pop_front();
            }
        }
    }

    /// Drops everything from `position` on, which must not have been written.
    pub fn truncate_to(&mut self, position: u64) {
        let mut excess = usize::try_from(self.end().saturating_sub(position)).unwrap_or(usize::MAX);
        let cut = excess.min(self.tail.len());
        self.tail.truncate(self.tail.len() - cut);
        excess -= cut;
        while excess > 0 {
            let Some(back) = self.segments.back_mut() else {
                return;
            };
            let cut = excess.min(back.len());
            back.truncate(back.len() - cut);
            self.segment_bytes -= cut;
            excess -= cut;
            if back.is_empty() {
                self.segments.pop_back();
            }
        }
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.segment_bytes += self.tail.len();
            self.segments.push_back(self.tail.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(outbox: &mut Outbox, at_most: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        let mut slices = [IoSlice::new(&[]); 3];
        let count = outbox.slices(&mut slices);
        for slice in &slices[..count] {
            taken.extend_from_slice(slice);
        }
        taken.truncate(at_most);
        outbox.wrote(taken.len());
        taken
    }

    proptest! {
        #[test]
        fn bytes_come_out_in_order_and_are_counted(
            pieces in prop::collection::vec((any::<u8>(), prop_oneof![1_usize..50, 16_000_usize..17_000], any::<bool>()), 1..30),
            steps in prop::collection::vec(1_usize..20_000, 1..20),
        ) {
            let mut outbox = Outbox::default();
            let mut expected = Vec::new();
            let mut taken = Vec::new();
            let mut steps = steps.into_iter().cycle();
            for (byte, length, as_bytes) in pieces {
                let piece = vec![byte; length];
                expected.extend_from_slice(&piece);
                if as_bytes { outbox.push(piece.into()) } else { outbox.tail().put_slice(&piece) }
                prop_assert_eq!(outbox.end(), expected.len() as u64);
                taken.extend(drain(&mut outbox, steps.next().unwrap_or(1)));
                prop_assert_eq!(outbox.written(), taken.len() as u64);
            }
            while !outbox.is_empty() {
                taken.extend(drain(&mut outbox, 10_000));
            }
            prop_assert_eq!(taken, expected);
        }

        #[test]
        fn what_is_cut_off_never_comes_out(
            pieces in prop::collection::vec(prop_oneof![1_usize..50, 16_000_usize..17_000], 1..10),
            written in 0_usize..40_000, keep in 0_usize..200_000,
        ) {
            let mut outbox = Outbox::default();
            let mut expected = Vec::new();
            for (byte, length) in pieces.into_iter().enumerate() {
                let piece = vec![u8::try_from(byte).unwrap_or(0); length];
                expected.extend_from_slice(&piece);
                outbox.push(piece.into());
            }
            let mut taken = drain(&mut outbox, written);
            let keep = keep.clamp(taken.len(), expected.len());
            outbox.truncate_to(keep as u64);
            prop_assert_eq!(outbox.end(), keep as u64);
            outbox.tail().put_slice(b"close-ok");
            expected.truncate(keep);
            expected.extend_from_slice(b"close-ok");
            while !outbox.is_empty() {
                taken.extend(drain(&mut outbox, usize::MAX));
            }
            prop_assert_eq!(taken, expected);
        }
    }
}
