//! Whether the files are still under the names by which they were opened.
//!
//! A file that is deleted or replaced stays what it is for whoever has it open: commits would go on
//! without an error, into a file that goes with the process. And without its lock file, another
//! gateway could start on the same database.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::lock::beside;

/// The files of a store, as they were opened.
pub(super) struct Places {
    files: Vec<(PathBuf, Identity)>,
}

/// The device and the number of a file there.
type Identity = (u64, u64);

impl Places {
    /// Of a database that is open, whose log has been written.
    pub(super) fn of(database: &Path) -> io::Result<Self> {
        let found = |ending| {
            let path = beside(database, ending);
            identity(&path).map(|identity| (path, identity))
        };
        let files = ["", "-wal", ".lock"].into_iter().map(found);
        Ok(Self {
            files: files.collect::<io::Result<_>>()?,
        })
    }

    /// A file that is no longer where it was. What cannot be told now is asked again later.
    pub(super) fn lost(&self) -> Option<&Path> {
        let lost = |(path, was): &&(PathBuf, Identity)| match identity(path) {
            Ok(now) => now != *was,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        self.files.iter().find(lost).map(|(path, _)| path.as_path())
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
