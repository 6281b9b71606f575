//! Looks through the write-ahead log before `SQLite` does, for damage that it would not tell.
//!
//! `SQLite` reads its log up to the first frame whose checksum is wrong and takes that for the end:
//! right after a crash, when the end was being written, and wrong when a bit has flipped in the
//! middle, since everything behind it is dropped without a word. The two can be told apart, because
//! the next commit is written only after the one before was synced: **a wrong frame with two whole
//! commits' marks behind it was once right.** Damage to the very last commit looks like a crash and
//! is not noticed.
//!
//! The format is described at <https://sqlite.org/fileformat2.html#walformat>.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

const MAGIC: u32 = 0x377f_0682;

struct Header {
    big_endian: bool,
    page_bytes: usize,
    salt: [u8; 8],
    sum: (u32, u32),
}

/// Whether the log at `path` has lost commits in its middle. No log, an empty one and a header that
/// was never finished are whole.
pub(super) fn is_damaged(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    scan(&mut BufReader::with_capacity(1 << 20, file))
}

fn scan(input: &mut impl Read) -> io::Result<bool> {
    let mut start = [0; 32];
    if !fill(input, &mut start)? {
        return Ok(false);
    }
    let Some(Header {
        big_endian,
        page_bytes,
        salt,
        mut sum,
    }) = header(&start)
    else {
        // The header is synced before any frame is, so frames that follow prove damage.
        return Ok(fill(input, &mut [0; 4096])? && start != [0; 32]);
    };
    let mut frame = vec![0; 24 + page_bytes];
    let (mut wrong, mut commits_behind) = (false, 0);
    while fill(input, &mut frame)? {
        let ours = frame[8..16] == salt;
        if !wrong {
            let next = add(add(sum, &frame[..8], big_endian), &frame[24..], big_endian);
            wrong = !ours || next != (word(&frame, 16, true), word(&frame, 20, true));
            sum = next;
        }
        if wrong && ours && word(&frame, 4, true) != 0 {
            commits_behind += 1;
        }
    }
    Ok(commits_behind >= 2)
}

fn header(start: &[u8; 32]) -> Option<Header> {
    let magic = word(start, 0, true);
    let page_bytes = word(start, 8, true);
    let big_endian = magic == MAGIC | 1;
    let sum = add((0, 0), &start[..24], big_endian);
    let known = magic & !1 == MAGIC
        && (512..=65_536).contains(&page_bytes)
        && page_bytes.is_power_of_two()
        && sum == (word(start, 24, true), word(start, 28, true));
    known.then(|| Header {
        big_endian,
        page_bytes: page_bytes as usize,
        salt: std::array::from_fn(|at| start[16 + at]),
        sum,
    })
}

fn word(bytes: &[u8], at: usize, big_endian: bool) -> u32 {
    let word = std::array::from_fn(|byte| bytes[at + byte]);
    if big_endian {
        u32::from_be_bytes(word)
    } else {
        u32::from_le_bytes(word)
    }
}

fn add((mut first, mut second): (u32, u32), bytes: &[u8], big_endian: bool) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        first = first
            .wrapping_add(word(pair, 0, big_endian))
            .wrapping_add(second);
        second = second
            .wrapping_add(word(pair, 4, big_endian))
            .wrapping_add(first);
    }
    (first, second)
}

/// Whether there was enough to fill it.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
