//! What a file says must be there at the broker: exchanges, queues and the bindings between them.
//!
//! The file is of the kind that `rabbitmqctl export_definitions` writes ([`parse`]), and what is read
//! from it is what `RabbitMQ`'s own import would declare, so that a file exported from a broker
//! changes nothing on it. What has become of it at the broker is told by [`status`].

mod arguments;
pub mod parse;
pub mod status;
#[cfg(test)]
mod tests;

use std::fmt;

use super::headers::Table;

pub use parse::{FileFaults, parse};
pub use status::{Problem, ProblemKind, State, Status};

/// What one file says, for one vhost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    /// In the order in which they can be declared: exchanges, queues, bindings.
    pub entries: Vec<Entry>,
    /// What of the file is not applied, or may surprise; one sentence each.
    pub notes: Vec<String>,
}

impl Topology {
    /// How many exchanges, queues and bindings there are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in &self.entries {
            match entry {
                Entry::Exchange(_) => counts.exchanges += 1,
                Entry::Queue(_) => counts.queues += 1,
                Entry::Binding(_) => counts.bindings += 1,
            }
        }
        counts
    }
}

/// Numbers of things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Exchanges.
    pub exchanges: usize,
    /// Queues.
    pub queues: usize,
    /// Bindings.
    pub bindings: usize,
}

/// One thing to declare. All names hold at most 255 bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// `exchange.declare`
    Exchange(Exchange),
    /// `queue.declare`
    Queue(Queue),
    /// `queue.bind` or `exchange.bind`
    Binding(Binding),
}

/// An exchange that is neither the default one nor one of the broker's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// Its name.
    pub name: Box<str>,
    /// `direct`, `fanout`, `topic`, `headers`, or what a plugin adds.
    pub kind: Box<str>,
    /// Whether it is there again after the broker was restarted.
    pub durable: bool,
    /// Whether it goes with its last binding.
    pub auto_delete: bool,
    /// Whether only other exchanges may publish to it.
    pub internal: bool,
    /// As `alternate-exchange`.
    pub arguments: Table,
}

/// A queue with a name of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    /// Its name.
    pub name: Box<str>,
    /// Whether it is there again after the broker was restarted.
    pub durable: bool,
    /// Whether it goes with its last consumer.
    pub auto_delete: bool,
    /// As `x-queue-type`.
    pub arguments: Table,
}

/// A binding.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// The exchange that messages come from.
    pub source: Box<str>,
    /// Where they go.
    pub destination: Destination,
    /// What they must match.
    pub routing_key: Box<str>,
    /// What else they must match, as for a headers exchange.
    pub arguments: Table,
}

/// Where a binding leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// To a queue.
    Queue(Box<str>),
    /// To an exchange.
    Exchange(Box<str>),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(name) => write!(f, "queue {name:?}"),
            Self::Exchange(name) => write!(f, "exchange {name:?}"),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange(exchange) => write!(f, "exchange {:?}", exchange.name),
            Self::Queue(queue) => write!(f, "queue {:?}", queue.name),
            Self::Binding(binding) => write!(
                f,
                "binding {:?} from exchange {:?} to {}",
                binding.routing_key, binding.source, binding.destination
            ),
        }
    }
}
