//! Keeping messages without terms whose turn is their row: nearly all there are, and so several of them
//! with one statement. What a statement costs beside its rows is a third of what a row costs.

use std::sync::LazyLock;

use rusqlite::{CachedStatement, Connection, Statement};

use super::codec;
use super::error::Outcome;
use super::messages::checksum;
use super::state::key;
use crate::domain::Message;

/// What is not named is missing: nobody pays for what it has not got.
const INTO: &str = "INSERT INTO pending (key, random, caller, checksum, footprint_bytes,
    accepted_at, mandatory, exchange, routing_key, ordering_key, message_id, properties, payload)
    VALUES ";

const ROW: &str = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

const COLUMNS: usize = 13;

/// Messages of one statement.
const SEVERAL: usize = 8;

static ONE_SQL: LazyLock<String> = LazyLock::new(|| format!("{INTO}{ROW}"));
static SEVERAL_SQL: LazyLock<String> =
    LazyLock::new(|| format!("{INTO}{}", [ROW; SEVERAL].join(", ")));

/// A message, its partition, and the number of its caller.
type Plain<'m> = (&'m Message, u8, i64);

/// Plain messages on their way into the table. All are there after [`Inserts::finish`].
pub(super) struct Inserts<'c, 'm> {
    one: CachedStatement<'c>,
    several: CachedStatement<'c>,
    waiting: Vec<Plain<'m>>,
}

impl<'c, 'm> Inserts<'c, 'm> {
    pub(super) fn new(connection: &'c Connection) -> Outcome<Self> {
        Ok(Self {
            one: connection.prepare_cached(&ONE_SQL)?,
            several: connection.prepare_cached(&SEVERAL_SQL)?,
            waiting: Vec::with_capacity(SEVERAL),
        })
    }

    pub(super) fn push(&mut self, message: &'m Message, partition: u8, caller: i64) -> Outcome<()> {
        self.waiting.push((message, partition, caller));
        if self.waiting.len() == SEVERAL {
            for (at, plain) in self.waiting.drain(..).enumerate() {
                bind(&mut self.several, at * COLUMNS, plain)?;
            }
            self.several.raw_execute()?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Outcome<()> {
        for plain in self.waiting.drain(..) {
            bind(&mut self.one, 0, plain)?;
            self.one.raw_execute()?;
        }
        Ok(())
    }
}

/// Binds a row whose parameters come after `before` others.
fn bind(
    statement: &mut Statement<'_>,
    before: usize,
    (message, partition, caller): Plain<'_>,
) -> Outcome<()> {
    let Message {
        id,
        accepted_at,
        draft,
    } = message;
    let properties = codec::encode(&draft.properties);
    let sum = checksum(*id, *accepted_at, draft, properties.as_deref(), None);
    let footprint_bytes = (message.footprint_bytes() as u64).cast_signed();
    statement.raw_bind_parameter(before + 1, key(partition, id.row().into()))?;
    statement.raw_bind_parameter(before + 2, id.random().cast_signed())?;
    statement.raw_bind_parameter(before + 3, caller)?;
    statement.raw_bind_parameter(before + 4, sum)?;
    statement.raw_bind_parameter(before + 5, footprint_bytes)?;
    statement.raw_bind_parameter(before + 6, accepted_at.unix_ms().cast_signed())?;
    statement.raw_bind_parameter(before + 7, draft.mandatory)?;
    statement.raw_bind_parameter(before + 8, &*draft.exchange)?;
    statement.raw_bind_parameter(before + 9, &*draft.routing_key)?;
    statement.raw_bind_parameter(before + 10, draft.ordering_key.as_deref())?;
    statement.raw_bind_parameter(before + 11, draft.properties.message_id.as_deref())?;
    statement.raw_bind_parameter(before + 12, properties.as_deref())?;
    statement.raw_bind_parameter(before + COLUMNS, &draft.payload[..])?;
    Ok(())
}
