//! Which store the configuration asks for, opened.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock;
use crate::config::{Config, StoreUrl};
use crate::domain::access::Callers;
use crate::domain::order::OrderKey;
use crate::notify::Everybody;
use crate::relay::dispatch::{self, MemoryBudget};
use crate::relay::{self, Budget, Relay, Start, Writer};
use crate::store::memory::{HistoryBudget, MemoryStore};
use crate::store::sqlite::{self, OpenError, Opened, SqliteStore};
use crate::store::{Facts, OutboxStore, ReadStore, WriteStore};

/// Bytes of settled messages that a store in memory keeps at most, whatever is configured for files.
const MEMORY_HISTORY_BYTES_MAX: usize = 256 << 20;

/// A relay over an opened store.
pub(super) struct Storage {
    pub(super) relay: Relay,
    pub(super) writer: Writer,
    pub(super) readers: Readers,
}

/// An opened store, for those who only ask.
pub(super) struct Readers {
    pub(super) messages: Arc<dyn ReadStore>,
    pub(super) outbox: Arc<dyn OutboxStore>,
}

/// Opens the store, which is made if it is not there.
pub(super) fn open(
    config: &Config,
    audience: &Arc<Everybody>,
    callers: watch::Receiver<Arc<Callers>>,
) -> Result<Storage, OpenError> {
    match &config.store {
        StoreUrl::Memory => {
            let limits = &config.limits;
            let store = MemoryStore::new(HistoryBudget {
                keys_kept: keys_kept(config),
                messages_max: limits.history_messages_max,
                bytes_max: limits.history_bytes_max.min(MEMORY_HISTORY_BYTES_MAX),
            });
            // What is only in memory cannot be left to a store that is memory too.
            let all = MemoryBudget {
                messages_max: usize::MAX,
                bytes_max: usize::MAX,
            };
            Ok(over(
                config,
                store.clone(),
                Arc::new(store),
                &Start::default(),
                all,
                audience,
                callers,
            ))
        }
        StoreUrl::Sqlite(path) => {
            make_directory(path)?;
            let opened = SqliteStore::open(path, &options(config), clock::wall())?;
            let facts = facts(&opened, path)?;
            let start = Start {
                last_row: opened.last_row,
                scheduled: facts.scheduled,
                wall: facts.wall,
                pending: opened.pending,
            };
            let turns = start.pending.iter().map(|partition| partition.messages);
            let pending = turns.sum::<u64>() + start.scheduled.messages;
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            let path = path.display();
            tracing::info!(%path, pending, clean = opened.was_clean, "the store is open");
            let memory = MemoryBudget {
                messages_max: config.lane_memory_messages_max,
                bytes_max: config.lane_memory_bytes_max,
            };
            Ok(over(
                config,
                opened.store,
                opened.reader,
                &start,
                memory,
                audience,
                callers,
            ))
        }
    }
}

/// The state that the store was opened in.
fn facts(opened: &Opened, path: &Path) -> Result<Facts, OpenError> {
    opened.reader.facts().map_err(|error| OpenError::Sqlite {
        path: path.to_owned(),
        detail: error.to_string(),
    })
}

fn over(
    config: &Config,
    store: impl WriteStore,
    reader: Arc<impl ReadStore + OutboxStore>,
    start: &Start,
    memory: MemoryBudget,
    audience: &Arc<Everybody>,
    callers: watch::Receiver<Arc<Callers>>,
) -> Storage {
    let settings = relay::Settings {
        lanes: config.lanes,
        budget: Budget {
            messages_max: config.limits.pending_messages_max,
            bytes_max: config.limits.pending_bytes_max,
        },
        dispatch: dispatch::Settings {
            retry: config.retry.clone(),
            exchange_known: config.exchange_known,
            stall_after: config.stall_after,
            memory,
        },
        callers,
    };
    let read: Arc<dyn ReadStore> = reader.clone();
    let (relay, writer) = Relay::new(&settings, store, read, start, audience.clone());
    Storage {
        relay,
        writer,
        readers: Readers {
            messages: reader.clone(),
            outbox: reader,
        },
    }
}

fn options(config: &Config) -> sqlite::Options {
    let lanes = config.lanes;
    sqlite::Options {
        partitions: u8::try_from(lanes).unwrap_or(u8::MAX),
        partition_of: Arc::new(move |message| {
            u8::try_from(OrderKey::of(&message.draft).lane(lanes)).unwrap_or(u8::MAX)
        }),
        keys_kept: keys_kept(config),
        history_age: config.history_age,
        history_bytes_max: config.limits.history_bytes_max as u64,
        store_bytes_max: config.store_bytes_max,
        ..sqlite::Options::default()
    }
}

fn keys_kept(config: &Config) -> Duration {
    Duration::from_secs(config.http.idempotency_seconds.into())
}

fn make_directory(path: &Path) -> Result<(), OpenError> {
    let Some(directory) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    else {
        return Ok(());
    };
    std::fs::create_dir_all(directory).map_err(|source| OpenError::Io {
        path: directory.to_owned(),
        source,
    })
}
