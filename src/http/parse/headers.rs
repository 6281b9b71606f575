//! `properties.headers`: JSON values as AMQP field values.
//!
//! Work is bounded before it is done: a header that nests deeper than allowed is given up at that
//! depth, and a table that is larger than allowed as soon as that shows.

use std::collections::HashSet;

use super::faults::Faults;
use super::fields::{present, wrong_kind};
use super::json::{self, Cursor, Kind};
use crate::domain::Limits;
use crate::domain::headers::{HeaderValue, Table};
use crate::domain::limits::SHORT_STRING_BYTES_MAX;
use crate::domain::rules::pointer_step;

const AT: &str = "/properties/headers";

/// Why a header is not read any further.
enum Stop {
    TooDeep,
    TooLarge,
}

/// The header table in `raw`. With a fault, the table may be incomplete.
pub(super) fn read(faults: &mut Faults, raw: Option<&str>, limits: &Limits) -> Table {
    let Some(raw) = present(raw) else {
        return Table::new();
    };
    if Kind::of(raw) != Kind::Object {
        wrong_kind(faults, AT, raw, "an object");
        return Table::new();
    }
    let mut reader = Reader {
        faults,
        depth_max: limits.json_depth_max,
        bytes_left: limits.headers_bytes_max.saturating_sub(4),
    };
    match reader.headers(raw) {
        Ok(table) => table,
        Err(Stop::TooLarge | Stop::TooDeep) => {
            let max = limits.headers_bytes_max;
            faults.push(
                AT,
                format!("take more than the {max} bytes that are allowed, as AMQP encodes them"),
            );
            Table::new()
        }
    }
}

struct Reader<'f> {
    faults: &'f mut Faults,
    depth_max: usize,
    /// Bytes of the encoded table that are still free.
    bytes_left: usize,
}

impl Reader<'_> {
    /// The outermost table: a header that nests too deep spoils only itself.
    fn headers(&mut self, raw: &str) -> Result<Table, Stop> {
        let (mut cursor, mut table, mut names) = (Cursor::new(raw), Table::new(), Names::default());
        cursor.enter();
        while cursor.next() {
            let (name, value) = (cursor.key(), cursor.value());
            let Some((name, at)) = self.name(AT, name, &mut names)? else {
                continue;
            };
            match self.value(&mut Cursor::new(value), &at, 1) {
                Ok(Some(value)) => table.push((name, value)),
                Ok(None) => {}
                Err(Stop::TooDeep) => {
                    let max = self.depth_max;
                    self.faults
                        .push(at, format!("nests deeper than the {max} levels allowed"));
                }
                Err(Stop::TooLarge) => return Err(Stop::TooLarge),
            }
        }
        Ok(table)
    }

    /// A value below `depth` arrays and objects; `None` when it is faulty.
    fn value(
        &mut self,
        cursor: &mut Cursor<'_>,
        at: &str,
        depth: usize,
    ) -> Result<Option<HeaderValue>, Stop> {
        let kind = cursor.kind();
        if matches!(kind, Kind::Array | Kind::Object) {
            if depth >= self.depth_max {
                return Err(Stop::TooDeep);
            }
            self.take(1 + 4)?;
            return Ok(Some(if kind == Kind::Array {
                HeaderValue::Array(self.array(cursor, at, depth + 1)?)
            } else {
                HeaderValue::Table(self.table(cursor, at, depth + 1)?)
            }));
        }
        let value = match scalar(kind, cursor.value()) {
            Ok(value) => value,
            Err(detail) => {
                self.faults.push(at, detail);
                // Faulty values use up the room too, so that a table full of them is not read to its end.
                self.take(1)?;
                return Ok(None);
            }
        };
        self.take(value.encoded_len())?;
        Ok(Some(value))
    }

    fn array(
        &mut self,
        cursor: &mut Cursor<'_>,
        at: &str,
        depth: usize,
    ) -> Result<Vec<HeaderValue>, Stop> {
        let mut items = Vec::new();
        let mut index = 0_usize;
        cursor.enter();
        while cursor.next() {
            items.extend(self.value(cursor, &step(at, &index.to_string()), depth)?);
            index += 1;
        }
        Ok(items)
    }

    fn table(&mut self, cursor: &mut Cursor<'_>, at: &str, depth: usize) -> Result<Table, Stop> {
        let (mut table, mut names) = (Table::new(), Names::default());
        cursor.enter();
        while cursor.next() {
            let name = cursor.key();
            let Some((name, at)) = self.name(at, name, &mut names)? else {
                cursor.value();
                continue;
            };
            if let Some(value) = self.value(cursor, &at, depth)? {
                table.push((name, value));
            }
        }
        Ok(table)
    }

    /// The name written as `raw` and its pointer; `None` when it is faulty. A name that is too long
    /// goes no further, so that pointers stay short.
    fn name(
        &mut self,
        at: &str,
        raw: &str,
        names: &mut Names,
    ) -> Result<Option<(Box<str>, String)>, Stop> {
        let Ok(name) = json::decode(raw) else {
            self.faults
                .push(at, format!("a name in it {}", json::LONE_SURROGATE));
            return Ok(None);
        };
        let pointer = step(at, &name);
        if name.len() > SHORT_STRING_BYTES_MAX {
            let length = name.len();
            self.faults.push(
                pointer,
                format!("the name is {length} bytes long as UTF-8, at most {SHORT_STRING_BYTES_MAX} are allowed"),
            );
            return Ok(None);
        }
        self.take(1 + name.len())?;
        if !names.is_new(&name) {
            self.faults.push(pointer, "occurs more than once");
            return Ok(None);
        }
        Ok(Some((name.into(), pointer)))
    }

    fn take(&mut self, bytes: usize) -> Result<(), Stop> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(Stop::TooLarge)?;
        Ok(())
    }
}

fn scalar(kind: Kind, raw: &str) -> Result<HeaderValue, &'static str> {
    match kind {
        Kind::Null => Ok(HeaderValue::Null),
        Kind::Bool => Ok(HeaderValue::Bool(raw == "true")),
        Kind::Text => json::decode(raw)
            .map(|text| HeaderValue::Text(text.into()))
            .map_err(|_| json::LONE_SURROGATE),
        _ if raw.contains(['.', 'e', 'E']) => match raw.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(HeaderValue::Double(number)),
            _ => Err("is too large for a double"),
        },
        _ => raw
            .parse()
            .map(HeaderValue::Int)
            .map_err(|_| "is an integer outside signed 64 bits, which AMQP cannot carry"),
    }
}

/// The names of one table so far. Most tables are small, and looking through a few names is cheaper
/// than hashing them.
#[derive(Default)]
struct Names {
    few: Vec<Box<str>>,
    many: HashSet<Box<str>>,
}

impl Names {
    const FEW: usize = 16;

    fn is_new(&mut self, name: &str) -> bool {
        if self.few.iter().any(|known| **known == *name) {
            return false;
        }
        if self.few.len() < Self::FEW {
            self.few.push(name.into());
            return true;
        }
        self.many.insert(name.into())
    }
}

/// A pointer is spelled out for every value, whether or not it is faulty; beyond this many bytes only
/// its beginning is, so that deep tables of many values cost no more than their text.
const POINTER_BYTES_MAX: usize = 1024;

fn step(at: &str, next: &str) -> String {
    if at.len() > POINTER_BYTES_MAX {
        return at.to_owned();
    }
    pointer_step(at, next)
}
