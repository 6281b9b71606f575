//! Reading a definitions file.
//!
//! What `RabbitMQ`'s import skips is skipped here too: names that begin with `amq.`, and the default
//! exchange. All faults of the entries are told at once, each with its place.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::arguments;
use super::{Binding, Destination, Entry, Exchange, Queue, Topology};
use crate::domain::headers::{HeaderValue, Table};

/// Bytes of a name, a routing key, or the name of an argument, since AMQP writes the length in one.
const NAME_BYTES_MAX: usize = 255;
/// Sections that every export has and nobody misses.
const SILENT_SECTIONS: [&str; 2] = ["vhosts", "metadata"];

/// Everything that is wrong with a file, one sentence each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct FileFaults(pub Vec<String>);

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    exchanges: Vec<ExchangeJson>,
    #[serde(default)]
    queues: Vec<QueueJson>,
    #[serde(default)]
    bindings: Vec<BindingJson>,
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExchangeJson {
    name: String,
    vhost: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    durable: Option<bool>,
    auto_delete: Option<bool>,
    internal: Option<bool>,
    arguments: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueJson {
    name: String,
    vhost: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    durable: Option<bool>,
    auto_delete: Option<bool>,
    exclusive: Option<bool>,
    arguments: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BindingJson {
    source: String,
    vhost: Option<String>,
    destination: String,
    destination_type: String,
    routing_key: String,
    arguments: Option<Value>,
}

/// Reads the text of a file for a gateway of `vhost`. Entries that name no vhost are of that one, as in
/// the export of a single vhost; those of others are left out, with a note.
///
/// # Errors
/// The first mistake of the JSON with its line, or else all that is wrong with the entries.
pub fn parse(text: &str, vhost: &str) -> Result<Topology, FileFaults> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let file: File =
        serde_json::from_str(text).map_err(|error| FileFaults(vec![error.to_string()]))?;
    let mut reading = Reading {
        vhost,
        ..Reading::default()
    };
    for (index, exchange) in file.exchanges.into_iter().enumerate() {
        reading.exchange(index, exchange);
    }
    for (index, queue) in file.queues.into_iter().enumerate() {
        reading.queue(index, queue);
    }
    for (index, binding) in file.bindings.into_iter().enumerate() {
        reading.binding(index, binding);
    }
    reading.other(&file.other);
    reading.end()
}

#[derive(Default)]
struct Reading<'a> {
    vhost: &'a str,
    topology: Topology,
    faults: Vec<String>,
    exchanges: BTreeSet<Box<str>>,
    queues: BTreeSet<Box<str>>,
    others_of_vhosts: BTreeMap<String, usize>,
}

impl Reading<'_> {
    fn exchange(&mut self, index: usize, json: ExchangeJson) {
        let place = format!("exchanges[{index}] {:?}", shortened(&json.name));
        if self.is_of_another_vhost(json.vhost) || self.is_the_brokers_own(&place, &json.name) {
            return;
        }
        self.name(&place, "name", &json.name);
        self.name(&place, "type", &json.kind);
        if json.kind.is_empty() {
            self.faults.push(format!("{place}: type is empty"));
        }
        let exchange = Exchange {
            durable: json.durable.unwrap_or(true),
            auto_delete: json.auto_delete.unwrap_or(false),
            internal: json.internal.unwrap_or(false),
            arguments: arguments::read(&place, json.arguments, &mut self.faults),
            kind: json.kind.into(),
            name: json.name.into(),
        };
        if !exchange.durable {
            self.topology.notes.push(format!(
                "{place} is not durable: it is gone when the broker restarts"
            ));
        }
        if !self.exchanges.insert(exchange.name.clone()) {
            self.faults.push(format!("{place} is there twice"));
        }
        self.topology.entries.push(Entry::Exchange(exchange));
    }

    fn queue(&mut self, index: usize, json: QueueJson) {
        let place = format!("queues[{index}] {:?}", shortened(&json.name));
        if self.is_of_another_vhost(json.vhost) {
            return;
        }
        if json.name.is_empty() {
            let fault = "the broker would make up a new name at every start";
            self.faults.push(format!("{place}: name is empty, {fault}"));
        } else if self.is_the_brokers_own(&place, &json.name) {
            return;
        }
        self.name(&place, "name", &json.name);
        if json.exclusive == Some(true) {
            let fault = "exclusive, so it would go with the connection that declared it";
            self.faults.push(format!("{place} is {fault}"));
        }
        let mut arguments = arguments::read(&place, json.arguments, &mut self.faults);
        if let Some(kind) = json.kind {
            self.queue_type(&place, kind, &mut arguments);
        }
        let queue = Queue {
            durable: json.durable.unwrap_or(true),
            auto_delete: json.auto_delete.unwrap_or(false),
            arguments,
            name: json.name.into(),
        };
        if !queue.durable {
            self.topology.notes.push(format!(
                "{place} is not durable: it is gone, with its messages, when the broker restarts"
            ));
        }
        if !self.queues.insert(queue.name.clone()) {
            self.faults.push(format!("{place} is there twice"));
        }
        self.topology.entries.push(Entry::Queue(queue));
    }

    /// Exports say the type beside the arguments too, and the import goes by the argument. Who writes
    /// only the other one means the same.
    fn queue_type(&mut self, place: &str, kind: String, arguments: &mut Table) {
        let said = arguments.iter().find(|(name, _)| &**name == "x-queue-type");
        match said {
            Some((_, HeaderValue::Text(said))) if **said == *kind => {}
            Some(_) => self.faults.push(format!(
                "{place}: type is {kind:?}, and the argument x-queue-type says otherwise"
            )),
            // What a broker calls classic was mostly declared without a word.
            None if kind == "classic" => {}
            None => arguments.push(("x-queue-type".into(), HeaderValue::Text(kind.into()))),
        }
    }

    fn binding(&mut self, index: usize, json: BindingJson) {
        let place = format!(
            "bindings[{index}] from {:?} to {:?}",
            shortened(&json.source),
            shortened(&json.destination)
        );
        if self.is_of_another_vhost(json.vhost) {
            return;
        }
        for (field, name) in [
            ("source", &json.source),
            ("destination", &json.destination),
            ("routing_key", &json.routing_key),
        ] {
            self.name(&place, field, name);
        }
        if json.source.is_empty() {
            let fault =
                "the default exchange leads to every queue by its name, and cannot be bound";
            self.faults.push(format!("{place}: {fault}"));
        }
        if json.destination.is_empty() {
            self.faults.push(format!("{place}: destination is empty"));
        }
        let destination = json.destination.into();
        let destination = match json.destination_type.as_str() {
            "queue" => Destination::Queue(destination),
            "exchange" => Destination::Exchange(destination),
            other => {
                self.faults.push(format!(
                    "{place}: destination_type must be \"queue\" or \"exchange\", and is {:?}",
                    shortened(other)
                ));
                return;
            }
        };
        let binding = Binding {
            arguments: arguments::read(&place, json.arguments, &mut self.faults),
            source: json.source.into(),
            destination,
            routing_key: json.routing_key.into(),
        };
        self.note_strangers(&place, &binding);
        self.topology.entries.push(Entry::Binding(binding));
    }

    /// An end that the file does not declare may well be there: exports of `RabbitMQ` up to 3.10 at
    /// least leave internal exchanges out, and keep their bindings. So the broker decides.
    fn note_strangers(&mut self, place: &str, binding: &Binding) {
        let is_own = |name: &str| name.starts_with("amq.");
        let mut strangers = Vec::new();
        if !self.exchanges.contains(&binding.source) && !is_own(&binding.source) {
            strangers.push(format!("exchange {:?}", binding.source));
        }
        let known = match &binding.destination {
            Destination::Queue(name) => self.queues.contains(name) || is_own(name),
            Destination::Exchange(name) => self.exchanges.contains(name) || is_own(name),
        };
        if !known {
            strangers.push(binding.destination.to_string());
        }
        if !strangers.is_empty() {
            self.topology.notes.push(format!(
                "{place}: {} must be there already: the file does not declare it",
                strangers.join(" and ")
            ));
        }
    }

    fn other(&mut self, sections: &BTreeMap<String, Value>) {
        for (name, value) in sections {
            let entries = match value {
                Value::Array(entries) => entries.len(),
                Value::Object(entries) => entries.len(),
                _ => 0,
            };
            if entries > 0 && !SILENT_SECTIONS.contains(&name.as_str()) {
                self.topology.notes.push(format!(
                    "{name} ({entries}) are not applied: the gateway declares exchanges, queues and \
                     bindings only"
                ));
            }
        }
    }

    fn end(mut self) -> Result<Topology, FileFaults> {
        if !self.others_of_vhosts.is_empty() {
            let vhosts: Vec<_> = self
                .others_of_vhosts
                .iter()
                .map(|(vhost, entries)| format!("{:?} ({entries})", shortened(vhost)))
                .collect();
            let told = format!(
                "entries of other vhosts are left out, since this gateway serves {:?}: {}",
                self.vhost,
                vhosts.join(", ")
            );
            if self.topology.entries.is_empty() {
                self.faults.push(told);
            } else {
                self.topology.notes.push(told);
            }
        }
        if self.topology.entries.is_empty() && self.faults.is_empty() {
            let fault = "there is no exchange, queue or binding to declare";
            self.faults.push(fault.to_owned());
        }
        if self.faults.is_empty() {
            Ok(self.topology)
        } else {
            Err(FileFaults(self.faults))
        }
    }

    fn is_of_another_vhost(&mut self, vhost: Option<String>) -> bool {
        let Some(other) = vhost.filter(|vhost| vhost != self.vhost) else {
            return false;
        };
        *self.others_of_vhosts.entry(other).or_default() += 1;
        true
    }

    fn is_the_brokers_own(&mut self, place: &str, name: &str) -> bool {
        let own = name.is_empty() || name.starts_with("amq.");
        if own {
            self.topology.notes.push(format!(
                "{place} is left out: such names are the broker's own"
            ));
        }
        own
    }

    fn name(&mut self, place: &str, field: &str, name: &str) {
        check_name(place, field, name, &mut self.faults);
    }
}

/// Faults a name that is too long for AMQP.
pub(super) fn check_name(place: &str, field: &str, name: &str, faults: &mut Vec<String>) {
    if name.len() > NAME_BYTES_MAX {
        faults.push(format!(
            "{place}: {field} has {} bytes, and may have {NAME_BYTES_MAX}",
            name.len()
        ));
    }
}

/// Enough of a text to find its place by.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
