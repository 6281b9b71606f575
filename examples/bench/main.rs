//! How fast, beside a bare pipelined lapin publisher in the same run on the same broker.
//!
//! `cargo run --release --example bench -- MODE [--messages N] [--rounds N] [--returned PERCENT]
//! [--connections N] [--batch N] [--memory]`; the modes are `publisher`, `gateway`, `backlog`,
//! `poison`, `compare`, `paced`, `turns`, `webhooks`, `dead-webhook`, `schedules`, `far-schedules`, `replays` and
//! `streams`.
//!
//! `publisher` is one lane fed from memory; `gateway` is the whole process over HTTP, single posts or
//! batches of N (build it first: `cargo build --release`), durable unless `--memory` is said;
//! `backlog` lets messages of 1 KiB pile up while the broker is away; `poison` sends bad messages
//! among good ones; the rest are told of in their own modules. `publisher` and `gateway` take turns with lapin on
//! one quorum queue: 256 bytes, persistent, mandatory, 1000 in flight on each connection. Told for
//! each round: settled messages a second, and microseconds of CPU for each message of the process
//! that publishes. The broker is `AMQPOST_BROKER_URL`.
#![expect(unreachable_pub, reason = "a benchmark is not a library")]
#![expect(clippy::print_stdout, reason = "a benchmark tells its figures")]
#![expect(clippy::print_stderr, reason = "and how far it has come")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures time and starts its own tasks"
)]

#[path = "../../tests/support"]
mod amqpost_tests {
    //! The tests' own brokers.

    #![allow(
        dead_code,
        clippy::panic,
        clippy::missing_errors_doc,
        clippy::missing_panics_doc,
        clippy::must_use_candidate,
        reason = "a part of it is used, and a failed expectation ends the benchmark"
    )]

    pub mod arrived;
    pub mod broker_node;
    pub mod process;
    pub mod queues;
    pub mod wait;
}
mod backlog;
mod bare_lapin;
mod compare;
mod cpu;
mod gateway;
mod poison;
mod publisher;
mod receiver;
mod replays;
mod schedules;
mod streams;
mod webhooks;

use std::time::Instant;

use gateway::{Gateway, Load};
use lapin::options::{ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties};

const WINDOW: usize = 1000;
const PAYLOAD: [u8; 256] = [b'x'; 256];

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn argument(name: &str, default: usize) -> usize {
    let mut arguments = std::env::args()
        .skip_while(|argument| argument != name)
        .skip(1);
    arguments
        .next()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

fn flag(name: &str) -> bool {
    std::env::args().any(|argument| argument == name)
}

fn text_argument(name: &str) -> Option<String> {
    std::env::args()
        .skip_while(|argument| argument != name)
        .nth(1)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The median, the 99th of a hundred, and the last.
fn percentiles(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let at = |percent: usize| {
        let at = values.len().saturating_sub(1) * percent / 100;
        values.get(at).copied().unwrap_or_default()
    };
    format!("p50 {:.1} p99 {:.1} max {:.1}", at(50), at(99), at(100))
}

/// Rates and microseconds of one way, round by round.
#[derive(Default)]
struct Told {
    rates: Vec<f64>,
    micros: Vec<f64>,
}

/// A running measurement.
struct Watch {
    pid: String,
    began: Instant,
    cpu: f64,
}

impl Watch {
    fn start(pid: &str) -> Self {
        Self {
            pid: pid.to_owned(),
            began: Instant::now(),
            cpu: cpu::seconds(pid),
        }
    }

    fn stop(self, name: &str, messages: usize, told: &mut Told) {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 messages")]
        let count = messages as f64;
        let rate = count / self.began.elapsed().as_secs_f64();
        let micros = (cpu::seconds(&self.pid) - self.cpu) * 1e6 / count;
        let resident = cpu::resident_mib(&self.pid);
        println!("{name:10} {rate:8.0} messages/s {micros:6.2} us of CPU each, {resident:5.0} MiB");
        told.rates.push(rate);
        told.micros.push(micros);
    }
}

async fn declare(channel: &Channel, queue: &str) -> Result<(), Failure> {
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(10_000));
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(queue.into(), options, arguments)
        .await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let uri = std::env::var("AMQPOST_BROKER_URL")
        .unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".into());
    let mode = std::env::args().nth(1).unwrap_or_default();
    match mode.as_str() {
        "compare" => return compare::run().await,
        "paced" => return compare::paced().await,
        "turns" => return compare::turns::run().await,
        compare::reference::MODE => return compare::reference::serve().await,
        _ => {}
    }
    let in_memory = flag("--memory");
    let whole = match mode.as_str() {
        "publisher" | "backlog" | "webhooks" | "dead-webhook" | "schedules" | "far-schedules"
        | "replays" | "streams" => None,
        "gateway" | "poison" => {
            let gateway = Gateway::start(&uri, in_memory).await?;
            gateway.wait_ready("\"state\":\"up\"").await;
            Some(gateway)
        }
        _ => return Err("say which mode".into()),
    };
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let queue = format!("amqpost.bench.{}", std::process::id());
    declare(&channel, &queue).await?;

    if !alone(&mode, &uri, whole.as_ref(), &channel, &queue).await? {
        beside_lapin(&uri, whole.as_ref(), &channel, &queue).await?;
    }
    channel
        .queue_delete(queue.as_str().into(), QueueDeleteOptions::default())
        .await?;
    Ok(())
}

/// What is not compared with lapin; `false` if the mode is another.
async fn alone(
    mode: &str,
    uri: &str,
    whole: Option<&Gateway>,
    channel: &Channel,
    queue: &str,
) -> Result<bool, Failure> {
    let messages = argument("--messages", 100_000);
    let connections = argument("--connections", 64);
    let messages = messages - messages % connections;
    match (mode, whole) {
        ("backlog", _) => backlog::measure(uri, channel, queue, messages, connections).await?,
        ("poison", Some(gateway)) => {
            poison::measure(gateway, channel, queue, messages, connections).await?;
        }
        ("webhooks", _) => webhooks::measure(uri, queue).await?,
        ("dead-webhook", _) => webhooks::measure_dead(uri, queue, messages).await?,
        ("schedules", _) => schedules::measure(uri, queue).await?,
        ("far-schedules", _) => schedules::measure_far(uri, queue, messages).await?,
        ("replays", _) => replays::measure(uri, channel, queue, messages).await?,
        ("streams", _) => streams::measure(uri, queue).await?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// The publisher or the whole gateway, in turns with lapin.
async fn beside_lapin(
    uri: &str,
    whole: Option<&Gateway>,
    channel: &Channel,
    queue: &str,
) -> Result<(), Failure> {
    let messages = argument("--messages", 100_000);
    let returned = argument("--returned", 0);
    let connections = argument("--connections", 64);
    let batch = argument("--batch", 1);
    let messages = messages - messages % (connections * batch);
    println!("{messages} messages a round");
    let (mut own, mut lapin) = (Told::default(), Told::default());
    for _ in 0..argument("--rounds", 5) {
        if let Some(gateway) = whole {
            let watch = Watch::start(&gateway.pid());
            gateway
                .publish(&Load {
                    queue,
                    messages,
                    connections,
                    batch,
                    payload: std::str::from_utf8(&PAYLOAD)?,
                    terms: "",
                })
                .await?;
            watch.stop("gateway", messages, &mut own);
        } else {
            let watch = Watch::start("self");
            publisher::publish(uri, queue, messages, returned).await?;
            watch.stop("publisher", messages, &mut own);
        }
        let watch = Watch::start("self");
        bare_lapin::publish(channel, queue, messages, returned, &PAYLOAD).await?;
        watch.stop("lapin", messages, &mut lapin);
    }
    let (own_rate, lapin_rate) = (median(own.rates), median(lapin.rates));
    println!(
        "medians: {own_rate:.0}/s at {:.2} us, lapin {lapin_rate:.0}/s at {:.2} us, ratio {:.2}",
        median(own.micros),
        median(lapin.micros),
        own_rate / lapin_rate
    );
    Ok(())
}
