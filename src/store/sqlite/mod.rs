//! The store on `SQLite`: one file, durable when [`WriteStore::commit`] returns.
//!
//! **What holds it together**
//! - One writer connection in WAL mode with `synchronous=FULL`: a commit is one append to the log and
//!   one `fdatasync`. A few read-only connections answer questions; neither side waits for the other.
//! - Everything that a batch changes, the counters included, is one transaction.
//! - A full disk is an answer ([`StoreError::Full`]: nothing was kept, go on). Whatever else goes
//!   wrong while writing is the end ([`StoreError::Fatal`]): nobody knows what a failed sync has left
//!   on disk, and trying again would report as safe what is not.
//! - Another process that holds the write lock for more than ten seconds is the end too.
//!
//! **What damage is noticed.** At opening: a file that is no database, is empty, is cut short, has
//! other tables, or whose log has lost commits in its middle (`log.rs`); in files up to
//! [`Options::check_bytes_max`] also everything that [`operate::check`] finds. Later: a pending
//! message with any bit altered, when it is read to be published, and a returned or failed one, when it
//! is to be sent again; a page whose structure is broken, when it is met. Not noticed: altered bits in
//! other settled records that leave the structure whole (they have no checksum) and in times at which
//! something is due or given up, damage to the last commit in the log, and a file that was replaced
//! by an older whole one.
//!
//! [`WriteStore::commit`]: crate::store::WriteStore::commit

mod bulk;
mod callers;
mod check;
mod checkpoint;
mod checksum;
mod codec;
mod connection;
mod create;
mod error;
mod evict;
mod find;
mod groups;
mod keep;
mod keys;
mod list;
mod lock;
mod log;
mod lookup;
mod messages;
mod migrations;
mod open;
pub mod operate;
mod outbox;
mod outcomes;
mod outcomes_page;
mod partition;
mod place;
mod places;
mod plain;
mod reader;
mod recent;
mod records;
mod replay;
mod reserve;
mod schedule;
mod schema;
mod settle;
mod sources;
mod state;
mod terms;
#[cfg(test)]
mod tests;
mod times;
mod transaction;
mod upkeep;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use error::OpenError;
pub use open::Opened;
pub use reader::SqliteReader;
pub use writer::SqliteStore;

use crate::domain::Message;

/// Says which partition a message belongs to.
pub type PartitionOf = Arc<dyn Fn(&Message) -> u8 + Send + Sync>;

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    /// Partitions, 1 to 16. When the file has another number, the pending messages are spread anew.
    pub partitions: u8,
    /// The partition of a message, below `partitions`. Asked at opening only, when the number has
    /// changed.
    pub partition_of: PartitionOf,
    /// Settled messages older than this are forgotten.
    pub history_age: Duration,
    /// Idempotency keys older than this are forgotten, and no younger ones.
    pub keys_kept: Duration,
    /// Bytes that settled messages may take, as accounted in [`crate::store::Facts::history_bytes`].
    pub history_bytes_max: u64,
    /// Bytes that the files may take. Beyond it, `reserve_bytes` and the log included, nothing is
    /// accepted. History is forgotten early when seven eighths are used of what is left beside the
    /// reserve and an ordinary log.
    pub store_bytes_max: u64,
    /// Bytes of `store_bytes_max` that only settlements may use. As many are set aside on the disk,
    /// in a file that is given up when the disk is full.
    pub reserve_bytes: u64,
    /// Read connections at most; whoever finds none waits.
    pub readers_max: usize,
    /// Files up to this size are checked from end to end at opening.
    pub check_bytes_max: u64,
    /// The name of the `SQLite` VFS, for tests that inject faults.
    #[doc(hidden)]
    pub vfs: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            partitions: 1,
            partition_of: Arc::new(|_| 0),
            history_age: Duration::from_hours(7 * 24),
            keys_kept: Duration::from_hours(24),
            history_bytes_max: 4 << 30,
            store_bytes_max: 10 << 30,
            reserve_bytes: 16 << 20,
            readers_max: 4,
            check_bytes_max: 64 << 20,
            vfs: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("partitions", &self.partitions)
            .field("history_age", &self.history_age)
            .field("history_bytes_max", &self.history_bytes_max)
            .field("store_bytes_max", &self.store_bytes_max)
            .field("reserve_bytes", &self.reserve_bytes)
            .field("readers_max", &self.readers_max)
            .field("check_bytes_max", &self.check_bytes_max)
            .finish_non_exhaustive()
    }
}
