//! What can go wrong, and which of it the gateway survives.

use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::store::StoreError;

/// Why a store could not be opened. Nothing was changed by the attempt, the recovery of the log and
/// migrations that were complete apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another gateway has it.
    #[error("another gateway is using {path}: a SQLite store belongs to one gateway at a time")]
    Locked {
        /// The database.
        path: PathBuf,
    },
    /// The operating system said no.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("{path} is not an amqpost store: {detail}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// How one can tell.
        detail: String,
    },
    /// It was written by a later version of the gateway.
    #[error(
        "{path} has schema version {found}, and this gateway knows versions up to {known}: use the \
         version that wrote it, or a later one"
    )]
    TooNew {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest known one.
        known: i64,
    },
    /// It was written by an earlier version of the gateway, and whoever asks must not alter it.
    #[error(
        "{path} has schema version {found}, from an earlier version of the gateway, and can only be \
         read at version {wanted}: start this gateway on it once, or use the version that wrote it"
    )]
    TooOld {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The one that can be read.
        wanted: i64,
    },
    /// Part of it is missing or altered.
    #[error("{path} is damaged: {detail}. Restore a backup, or rescue what is left with sqlite3")]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The options cannot be met.
    #[error("{0}")]
    Options(String),
    /// The disk or the store's budget is full.
    #[error("{path}: no space left to open the store")]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// Anything else that `SQLite` said.
    #[error("{path}: {detail}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// Its words.
        detail: String,
    },
}

/// What went wrong inside this room.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// What is stored contradicts itself.
    #[error("damaged: {0}")]
    Damaged(String),
}

pub(super) type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub(super) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code(),
            Self::Damaged(_) => None,
        }
    }

    /// Whether there is no room. Of everything else nobody knows what it left behind, so the
    /// gateway must not go on.
    pub(super) fn is_full(&self) -> bool {
        self.code() == Some(ErrorCode::DiskFull)
    }

    pub(super) fn into_open(self, path: &std::path::Path) -> OpenError {
        let path = path.to_owned();
        let detail = self.to_string();
        match (self.code(), self) {
            (Some(ErrorCode::DiskFull), _) => OpenError::Full { path },
            (Some(ErrorCode::NotADatabase), _) => OpenError::Foreign { path, detail },
            (Some(ErrorCode::DatabaseCorrupt), _) | (_, Self::Damaged(_)) => {
                OpenError::Damaged { path, detail }
            }
            _ => OpenError::Sqlite { path, detail },
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        if failure.is_full() {
            Self::Full
        } else {
            Self::Fatal(failure.to_string())
        }
    }
}
