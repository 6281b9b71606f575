//! A new file, which appears under its name only once it is whole.
//!
//! So an empty or half-made file under that name is always damage: a store that was cut to nothing
//! is not taken for a new one.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::connection;
use super::error::OpenError;
use super::lock::beside;
use super::schema;

/// Makes the file at `path` unless there is one.
pub(super) fn unless_there(path: &Path, vfs: Option<&str>) -> Result<(), OpenError> {
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let damaged = |detail: &str| OpenError::Damaged {
        path: path.to_owned(),
        detail: detail.to_owned(),
    };
    match size(path).map_err(io)? {
        Some(0) => return Err(damaged("the file is empty")),
        Some(_) => return Ok(()),
        None => {}
    }
    if size(&beside(path, "-wal"))
        .map_err(io)?
        .is_some_and(|bytes| bytes > 0)
    {
        return Err(damaged(
            "the file has gone, and its log (-wal) is still there",
        ));
    }
    let unborn = beside(path, ".new");
    for left_over in ["", "-wal", "-shm", "-journal"] {
        match fs::remove_file(beside(&unborn, left_over)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
    }
    let made = connection::creating(&unborn, vfs).and_then(|connection| {
        schema::migrate(&connection)?;
        connection.execute_batch("PRAGMA journal_mode = WAL")?;
        connection.close().map_err(|(_, error)| error.into())
    });
    made.map_err(|failure| failure.into_open(path))?;
    // The first page says WAL by now, and with checkpoints on close switched off the log may have
    // been left; it is empty, for the change of mode is not written there.
    fs::rename(&unborn, path).map_err(io)?;
    for left_over in ["-wal", "-shm"] {
        match fs::remove_file(beside(&unborn, left_over)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
    }
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = File::open(directory.unwrap_or(Path::new("."))).map_err(io)?;
    directory.sync_all().map_err(io)
}

fn size(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
