//! Opening: the lock, the checks, recovery of the log, migrations, and what a crash means for those
//! that are pending.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use super::checkpoint::{self, Checkpoints};
use super::connection::{self, PAGE_BYTES, pragma};
use super::error::{Failure, OpenError, Outcome};
use super::lock::{Lock, beside, one_name};
use super::place::Places;
use super::reader::SqliteReader;
use super::reserve::Reserve;
use super::schema;
use super::state::{PARTITIONS_MAX, State};
use super::writer::{Parts, SqliteStore};
use super::{Options, check, create, log, partition, transaction};
use crate::domain::{RowId, WallTime};
use crate::store::PartitionFacts;

/// A store that was opened, and what was found in it.
pub struct Opened {
    /// For the one writer.
    pub store: SqliteStore,
    /// For everybody who asks; clones share the connections.
    pub reader: Arc<SqliteReader>,
    /// The last message ever accepted: ids go on behind it.
    pub last_row: Option<RowId>,
    /// What is pending, by partition.
    pub pending: Vec<PartitionFacts>,
    /// Whether the last gateway closed the store.
    pub was_clean: bool,
}

impl SqliteStore {
    /// Opens the store at `path` and makes it if there is none; its directory must exist. From here
    /// on until the store and the process have gone nobody else can open it for writing.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong with it. A store is never made smaller to get it open.
    pub fn open(path: &Path, options: &Options, now: WallTime) -> Result<Opened, OpenError> {
        let partitions = usize::from(options.partitions);
        if partitions == 0 || partitions > PARTITIONS_MAX {
            return Err(OpenError::Options(format!(
                "a SQLite store has 1 to {PARTITIONS_MAX} partitions (lanes), not {partitions}"
            )));
        }
        let io = |source| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        let path = &*one_name(path).map_err(io)?;
        let lock = Lock::take(path)?;
        refuse_hard_links(path)?;
        create::unless_there(path, options.vfs.as_deref())?;
        check_header(path)?;
        if log::is_damaged(&beside(path, "-wal")).map_err(io)? {
            return Err(OpenError::Damaged {
                path: path.to_owned(),
                detail: "its log (-wal) has lost commits in the middle".into(),
            });
        }
        let ready = prepare(path, options)?;
        let reserve = Reserve::set_aside(path, options.reserve_bytes);
        let failed = |failure: Failure| failure.into_open(path);
        let reader = SqliteReader::open(path, options).map_err(failed)?;
        let (last_row, was_clean) = (ready.state.last_row, ready.was_clean);
        let pending = ready.state.facts().pending;
        let checkpoints = connection::writing(path, options).and_then(connection::touch);
        let checkpoints = Checkpoints::start(checkpoints.map_err(failed)?).map_err(io)?;
        let store = SqliteStore::new(Parts {
            connection: ready.connection,
            state: ready.state,
            options: options.clone(),
            log_path: beside(path, "-wal"),
            places: Places::of(path).map_err(io)?,
            checkpoints,
            reserve,
            lock,
            now,
        });
        Ok(Opened {
            store,
            reader: Arc::new(reader),
            last_row,
            pending,
            was_clean,
        })
    }
}

struct Ready {
    connection: Connection,
    state: State,
    was_clean: bool,
}

fn prepare(path: &Path, options: &Options) -> Result<Ready, OpenError> {
    let failed = |failure: Failure| failure.into_open(path);
    let connection = connection::preparing(path, options).map_err(failed)?;
    check_identity(path, &connection)?;
    recover(path, &connection).map_err(failed)?;
    schema::migrate(&connection).map_err(failed)?;
    schema::verify(&connection).map_err(failed)?;
    let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
    if bytes <= options.check_bytes_max {
        let problems = check::problems(&connection).map_err(failed)?;
        if let Some(problem) = problems.first() {
            return Err(failed(Failure::Damaged(problem.clone())));
        }
    }
    let mut state = State::load(&connection).map_err(failed)?;
    let was_clean = state.clean;
    if state.partitions != options.partitions {
        partition::spread(&connection, &mut state, options).map_err(failed)?;
    }
    drop(connection);
    let connection = connection::writing(path, options).map_err(failed)?;
    begin(&connection, &mut state).map_err(failed)?;
    Ok(Ready {
        connection,
        state,
        was_clean,
    })
}

/// A second name of the same file would have a lock and a log of its own.
fn refuse_hard_links(path: &Path) -> Result<(), OpenError> {
    let names = fs::metadata(path).map_or(1, |metadata| metadata.nlink());
    if names > 1 {
        return Err(OpenError::Options(format!(
            "{} has {names} names (hard links), and a store may have only one",
            path.display()
        )));
    }
    Ok(())
}

/// What a look at the first bytes tells.
fn check_header(path: &Path) -> Result<(), OpenError> {
    let mut header = [0; 100];
    let read = File::open(path).and_then(|mut file| {
        let bytes = file.metadata()?.len();
        file.read_exact(&mut header).map(|()| bytes)
    });
    let foreign = |detail: &str| OpenError::Foreign {
        path: path.to_owned(),
        detail: detail.into(),
    };
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            return Err(foreign(
                "it is shorter than the header of a SQLite database",
            ));
        }
        Err(source) => {
            return Err(OpenError::Io {
                path: path.to_owned(),
                source,
            });
        }
    };
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(foreign("it does not start as a SQLite database does"));
    }
    if bytes % u64::from(PAGE_BYTES) != 0 {
        return Err(OpenError::Damaged {
            path: path.to_owned(),
            detail: format!("{bytes} bytes are not a whole number of pages; it was cut short"),
        });
    }
    Ok(())
}

fn check_identity(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let identity = || -> Outcome<_> {
        let application = pragma(connection, "PRAGMA application_id")?;
        Ok((application, schema::version(connection)?))
    };
    let (application, version) = identity().map_err(|failure| failure.into_open(path))?;
    if application.cast_signed() != schema::APPLICATION_ID {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
            detail: "it is a SQLite database of another application".into(),
        });
    }
    if version > schema::VERSION {
        return Err(OpenError::TooNew {
            path: path.to_owned(),
            found: version,
            known: schema::VERSION,
        });
    }
    Ok(())
}

/// Brings the log into the database. Only then can be told whether the file is cut short: a crash
/// during a checkpoint leaves the first page ahead of the last ones.
fn recover(path: &Path, connection: &Connection) -> Outcome<()> {
    checkpoint::copy(connection, CheckpointMode::TRUNCATE)?;
    let pages = pragma(connection, "PRAGMA page_count")?;
    let expected = pages * u64::from(PAGE_BYTES);
    let found = fs::metadata(path).map_or(0, |metadata| metadata.len());
    let log = fs::metadata(beside(path, "-wal")).map_or(0, |metadata| metadata.len());
    if found < expected && log == 0 {
        return Err(Failure::Damaged(format!(
            "it was cut short: {found} bytes are left of {expected}"
        )));
    }
    Ok(())
}

/// After a crash, whatever may have been handed over is doubtful from now on. Kept before anything
/// else happens, so that a second crash cannot lose it.
fn begin(connection: &Connection, state: &mut State) -> Outcome<()> {
    if !state.clean {
        state.doubtful_to = state.doubtful_to.max(state.handed_to);
    }
    state.handed_to = None;
    state.clean = false;
    transaction::run(connection, || state.save(connection))
}
