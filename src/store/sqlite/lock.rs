//! One gateway to a file: a lock file beside the database, held for the life of the process.
//!
//! `SQLite`'s own exclusive mode would keep operators' queries out too. The file stays when the
//! process ends; what counts is the lock, which the kernel takes back however it ends.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::error::OpenError;

/// The lock; it is given back when this is dropped.
pub(super) struct Lock {
    _file: File,
}

/// `path` with `ending` added to its last part.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The one name of the database at `path`: by another one, the lock and the log beside it would be
/// other files. A database that is not there yet gets the one name of its directory.
pub(super) fn one_name(path: &Path) -> io::Result<PathBuf> {
    match (path.canonicalize(), path.file_name()) {
        (Err(error), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
            let directory = path.parent();
            let directory = directory.filter(|parent| !parent.as_os_str().is_empty());
            Ok(directory
                .unwrap_or(Path::new("."))
                .canonicalize()?
                .join(name))
        }
        (found, _) => found,
    }
}

impl Lock {
    /// Takes the lock of the database at `path`.
    pub(super) fn take(path: &Path) -> Result<Self, OpenError> {
        let lock = beside(path, ".lock");
        let io = |source| OpenError::Io {
            path: lock.clone(),
            source,
        };
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}
