//! Room on the disk that is held back for settlements.
//!
//! A budget alone does not help when others fill the disk. So a file of zeros lies beside the
//! database; when a commit of settlements finds the disk full, the file goes and the commit is tried
//! again (it was rolled back whole, so this repeats nothing). It is set aside again by upkeep once
//! there is room.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::lock::beside;

/// See the module.
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
    there: bool,
}

impl Reserve {
    /// Sets `bytes` aside for the database at `database`, as far as there is room now.
    pub(super) fn set_aside(database: &Path, bytes: u64) -> Self {
        let mut reserve = Self {
            path: beside(database, ".reserve"),
            bytes,
            there: false,
        };
        reserve.restore();
        reserve
    }

    /// Whether it must be set aside again.
    pub(super) fn is_missing(&self) -> bool {
        !self.there && self.bytes > 0
    }

    /// Gives the room up. False when there was none left to give.
    pub(super) fn release(&mut self) -> bool {
        let was = std::mem::take(&mut self.there);
        was && fs::remove_file(&self.path).is_ok()
    }

    /// Sets the room aside again; without enough of it nothing is taken.
    pub(super) fn restore(&mut self) {
        if self.there || self.bytes == 0 {
            return;
        }
        self.there = self.fill().is_ok();
        if !self.there {
            // Without a reserve the gateway is less comfortable when the disk fills up, and nothing
            // else.
            let _ = fs::remove_file(&self.path);
        }
    }

    fn fill(&self) -> io::Result<()> {
        if fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() == self.bytes) {
            return Ok(());
        }
        let mut file = File::create(&self.path)?;
        let zeros = vec![0; 1 << 20];
        let mut left = self.bytes;
        while left > 0 {
            let step = left.min(zeros.len() as u64);
            file.write_all(&zeros[..usize::try_from(step).unwrap_or(zeros.len())])?;
            left -= step;
        }
        file.sync_all()
    }
}
