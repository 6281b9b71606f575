//! The publisher alone against a bare pipelined lapin publisher, in one run on one broker.
//!
//! `cargo run --release --example bench_publisher -- [--messages N] [--rounds N] [--returned PERCENT]`
//!
//! Both publish the same messages (256 bytes, persistent, mandatory, 1000 in flight) to the same
//! quorum queue, in turns. Told for each round: confirmed messages a second, and microseconds of CPU
//! of this process for each message. The broker is `AMQPOST_BROKER_URL`.
#![expect(clippy::print_stdout, reason = "a benchmark tells its figures")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures time and starts its own tasks"
)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use amqpost::broker::rabbitmq::{Broker, Window};
use amqpost::broker::{Feed, Handover, LaneEvent, Outcome, Room};
use amqpost::domain::{Draft, IdMinter, Message, Properties, WallTime};
use bytes::Bytes;
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio::sync::{Notify, watch};

const WINDOW: usize = 1000;
const PAYLOAD: [u8; 256] = [b'x'; 256];

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct MemoryFeed {
    left: usize,
    open: usize,
    returned_percent: usize,
    minter: IdMinter,
    queue: Arc<str>,
    confirmed: Arc<AtomicUsize>,
    done: Arc<Notify>,
}

impl Feed for MemoryFeed {
    fn pull(&mut self, _now: Instant, room: Room, into: &mut Vec<Handover>) {
        for _ in 0..room.messages.min(self.left) {
            self.left -= 1;
            self.open += 1;
            let returned = self.left % 100 < self.returned_percent;
            let message = Message {
                id: self.minter.mint(WallTime::default(), 7),
                accepted_at: WallTime::default(),
                draft: Draft {
                    exchange: "".into(),
                    routing_key: if returned {
                        "nowhere".into()
                    } else {
                        (*self.queue).into()
                    },
                    mandatory: true,
                    ordering_key: None,
                    properties: Properties::default(),
                    payload: Bytes::from_static(&PAYLOAD),
                },
            };
            into.push(Handover {
                message: Arc::new(message),
                duplicate_possible: false,
            });
        }
    }

    fn report(&mut self, _now: Instant, events: &mut Vec<LaneEvent>) {
        for event in events.drain(..) {
            if let LaneEvent::Ended(_, outcome) = event {
                assert!(matches!(outcome, Outcome::Confirmed | Outcome::Returned(_)));
                self.open -= 1;
                self.confirmed.fetch_add(1, Ordering::Relaxed);
            }
        }
        if self.left == 0 && self.open == 0 {
            self.done.notify_one();
        }
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn call(&self) -> Arc<Notify> {
        Arc::default()
    }

    fn wanted(&self) -> bool {
        true
    }
}

/// Seconds of CPU that this process has used, in steps of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum();
    ticks / 100.0
}

async fn own(uri: &str, queue: &str, messages: usize, returned: usize) -> Result<(), Failure> {
    let window = Window {
        messages: WINDOW,
        bytes: 32 << 20,
    };
    let timeout = Duration::from_secs(10);
    let broker = Broker::new(&[uri.to_owned()], window, timeout, timeout)?;
    let done = Arc::new(Notify::new());
    let feed = MemoryFeed {
        left: messages,
        open: 0,
        returned_percent: returned,
        minter: IdMinter::default(),
        queue: queue.into(),
        confirmed: Arc::default(),
        done: Arc::clone(&done),
    };
    let (stop, stopped) = watch::channel(false);
    let lane = tokio::spawn(broker.lane("bench".into()).run(feed, stopped));
    done.notified().await;
    stop.send(true)?;
    lane.await?;
    Ok(())
}

/// Publishes by polling each publish once to write it, then waits for the front of the queue: the
/// fastest way to use lapin that we know.
async fn with_lapin(
    channel: &Channel,
    queue: &str,
    messages: usize,
    returned: usize,
) -> Result<(), Failure> {
    let mut minter = IdMinter::default();
    let mut open = VecDeque::with_capacity(WINDOW);
    for left in (0..messages).rev() {
        if open.len() == WINDOW {
            let confirm: lapin::PublisherConfirm = open.pop_front().ok_or("empty")?;
            confirm.await?;
        }
        let id = minter.mint(WallTime::default(), 7).to_string();
        let mut headers = FieldTable::default();
        headers.insert(
            "x-amqpost-id".into(),
            AMQPValue::LongString(id.as_str().into()),
        );
        let properties = BasicProperties::default()
            .with_headers(headers)
            .with_delivery_mode(2)
            .with_message_id(id.into());
        let key = if left % 100 < returned {
            "nowhere"
        } else {
            queue
        };
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let publish = channel.basic_publish("".into(), key.into(), options, &PAYLOAD, properties);
        open.push_back(publish.await?);
    }
    for confirm in open {
        confirm.await?;
    }
    Ok(())
}

fn argument(name: &str, default: usize) -> usize {
    let mut arguments = std::env::args()
        .skip_while(|argument| argument != name)
        .skip(1);
    arguments
        .next()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let uri = std::env::var("AMQPOST_BROKER_URL")
        .unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".into());
    let messages = argument("--messages", 100_000);
    let returned = argument("--returned", 0);
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let queue = format!("amqpost.bench.{}", std::process::id());
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
        .queue_declare(queue.as_str().into(), options, arguments)
        .await?;

    println!("{messages} messages a round, {returned} % returned");
    let mut told: [[Vec<f64>; 2]; 2] = Default::default();
    for round in 1..=argument("--rounds", 5) {
        for (way, name) in ["amqpost", "lapin"].into_iter().enumerate() {
            let (began, cpu) = (Instant::now(), cpu_seconds());
            if way == 0 {
                own(&uri, &queue, messages, returned).await?;
            } else {
                with_lapin(&channel, &queue, messages, returned).await?;
            }
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52 messages")]
            let count = messages as f64;
            let rate = count / began.elapsed().as_secs_f64();
            let micros = (cpu_seconds() - cpu) * 1e6 / count;
            println!("round {round} {name:8} {rate:8.0} messages/s {micros:6.2} us of CPU each");
            told[way][0].push(rate);
            told[way][1].push(micros);
        }
    }
    let [own, lapin] = &mut told;
    let (own_rate, lapin_rate) = (median(&mut own[0]), median(&mut lapin[0]));
    println!(
        "median   amqpost {own_rate:.0}/s at {:.2} us, lapin {lapin_rate:.0}/s at {:.2} us, ratio {:.2}",
        median(&mut own[1]),
        median(&mut lapin[1]),
        own_rate / lapin_rate
    );
    channel
        .queue_delete(queue.as_str().into(), QueueDeleteOptions::default())
        .await?;
    Ok(())
}
