//! What a dispatch promises, against a naive model and in single sentences.

mod backlog;
mod deeds;
mod exchanges;
mod keys;
mod model;
mod nacks;
mod put_back;
mod renewal;
mod silence;
mod strikes;
mod told;
mod window;

use std::sync::Arc;

use crate::broker::{LaneEvent, Outcome};
use crate::domain::ReasonCode;
use model::{World, draft, reason};

/// No message at all.
const NONE: [usize; 0] = [];

/// Cases of a property: few enough for every run, twenty times as many with `AMQPOST_TEST_FULL=1`.
fn cases(usual: u32) -> u32 {
    let full = std::env::var_os("AMQPOST_TEST_FULL").is_some_and(|value| value == "1");
    usual * if full { 20 } else { 1 }
}

/// A dispatch whose lane publishes.
fn world() -> World {
    let mut world = World::new();
    world.tell(&[LaneEvent::Up]);
    world
}

/// Enqueues so many messages of the routing key `key` to `exchange`.
fn plain(world: &mut World, exchange: &str, key: &str, count: usize) {
    for _ in 0..count {
        world.enqueue(draft(exchange, key, None, 1));
    }
}

/// Enqueues so many messages with the explicit ordering key `key`.
fn keyed(world: &mut World, exchange: &str, key: &str, count: usize) {
    for number in 0..count {
        world.enqueue(draft(exchange, &number.to_string(), Some(key), 1));
    }
}

fn pull(world: &mut World) -> Vec<usize> {
    let pulled = world.pull(100, 10_000);
    world.check();
    pulled
}

fn suspect() -> Outcome {
    Outcome::Suspect(Arc::new(reason(ReasonCode::BrokerError)))
}

fn refused() -> Outcome {
    Outcome::Refused {
        reason: Box::new(reason(ReasonCode::ExchangeNotFound)),
        maybe_taken: false,
    }
}

/// The numbers of all suspects in the order in which they go out, each of them confirmed.
fn all_tried(world: &mut World) -> Vec<usize> {
    let mut tried = Vec::new();
    while let Some(index) = world.try_alone() {
        tried.push(index);
        world.tried(Outcome::Confirmed);
        world.check();
    }
    tried
}
