//! The arguments of an entry, in the types that `RabbitMQ`'s import chooses
//! (`rabbit_misc:to_amqp_table/1`): whole numbers are signed 64-bit, other numbers doubles, texts long
//! strings; null is refused. Bindings are told apart by the types too.

use serde_json::{Map, Number, Value};

use super::parse::{check_name, shortened};
use crate::domain::headers::{HeaderValue, Table, encoded_len};

/// Bytes of the arguments of one entry as AMQP encodes them. A declaration must fit into one frame,
/// which is 128 KiB unless somebody made it smaller.
const ARGUMENTS_BYTES_MAX: usize = 64 << 10;
/// A whole number of this size and more does not fit, and the parser makes a double of it.
const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;

/// The table of the entry at `place`.
pub(super) fn read(place: &str, json: Option<Value>, faults: &mut Vec<String>) -> Table {
    let map = match json {
        None => Map::new(),
        // So does the import, since old exports wrote it.
        Some(Value::Array(items)) if items.is_empty() => Map::new(),
        Some(Value::Object(map)) => map,
        Some(_) => {
            faults.push(format!("{place}: arguments must be an object"));
            return Table::new();
        }
    };
    let mut reading = Reading { place, faults };
    let table = reading.table("arguments", map);
    let bytes = encoded_len(&table);
    if bytes > ARGUMENTS_BYTES_MAX {
        faults.push(format!(
            "{place}: arguments have {bytes} bytes, and may have {ARGUMENTS_BYTES_MAX}"
        ));
    }
    table
}

struct Reading<'a> {
    place: &'a str,
    faults: &'a mut Vec<String>,
}

impl Reading<'_> {
    fn table(&mut self, path: &str, map: Map<String, Value>) -> Table {
        let mut table = Table::new();
        for (name, json) in map {
            let below = format!("{path}.{}", shortened(&name));
            check_name(
                self.place,
                &format!("the name of {below}"),
                &name,
                self.faults,
            );
            if let Some(value) = self.value(&below, json) {
                table.push((name.into(), value));
            }
        }
        table
    }

    fn value(&mut self, path: &str, json: Value) -> Option<HeaderValue> {
        Some(match json {
            Value::Bool(value) => HeaderValue::Bool(value),
            Value::String(text) => HeaderValue::Text(text.into()),
            Value::Number(number) => {
                let value = whole_or_double(&number);
                if value.is_none() {
                    self.fault(path, "does not fit into 64 bits");
                }
                return value;
            }
            Value::Array(items) => {
                let items = items.into_iter().enumerate();
                let values =
                    items.filter_map(|(at, item)| self.value(&format!("{path}[{at}]"), item));
                HeaderValue::Array(values.collect())
            }
            Value::Object(map) => HeaderValue::Table(self.table(path, map)),
            Value::Null => {
                self.fault(path, "is null, which RabbitMQ does not accept here");
                return None;
            }
        })
    }

    fn fault(&mut self, path: &str, fault: &str) {
        self.faults.push(format!("{}: {path} {fault}", self.place));
    }
}

fn whole_or_double(number: &Number) -> Option<HeaderValue> {
    if let Some(whole) = number.as_i64() {
        return Some(HeaderValue::Int(whole));
    }
    let double = number.as_f64().filter(|double| double.abs() < TOO_LARGE);
    double.filter(|_| number.is_f64()).map(HeaderValue::Double)
}
