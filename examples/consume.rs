//! A consumer as behind every queue: it takes one message at a time and acknowledges each by itself.
//!
//! `consume QUEUE [--reject ID] [ID...]`
//!
//! Prints the gateway's id and the payload of each message, and why it was dead-lettered if it was.
//! With ids it ends once it has had all of them, and counts others without showing them; without, it
//! goes on until it is stopped. The message of `--reject` is rejected instead, and not put back, which
//! sends it to the queue's dead-letter exchange. `AMQPOST_BROKER_URL` names the broker.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Connection, ConnectionProperties};

/// To connect; the messages that were asked for may take ten times as long.
const LIMIT: Duration = Duration::from_secs(30);

/// So many the broker sends ahead; each is acknowledged by itself all the same. A channel of the broker
/// hands a quorum queue 32 acknowledgements that are not yet agreed on (`quorum_commands_soft_limit`),
/// keeps further ones to itself, and drops those if it is closed: then what was rejected last comes again
/// instead of going to the dead letters. With fewer ahead it never has any to drop.
const AHEAD: u16 = 16;

type Failure = Box<dyn std::error::Error>;

struct Wanted {
    queue: ShortString,
    reject: Option<String>,
    ids: BTreeSet<String>,
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stderr, reason = "this is a command line tool")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("consume: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let wanted = wanted(std::env::args().skip(1))?;
    let url = std::env::var("AMQPOST_BROKER_URL")
        .unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned());
    // The gateway takes several addresses; any of a cluster will do here.
    let url = url.split(',').next().unwrap_or(&url);
    let connecting = Connection::connect(url, ConnectionProperties::default());
    let connection = tokio::time::timeout(LIMIT, connecting).await??;
    let consuming = consume(&connection, &wanted);
    if wanted.ids.is_empty() {
        consuming.await?;
    } else {
        // Whatever was left in the queue comes first, and may be much.
        let consumed = tokio::time::timeout(LIMIT * 10, consuming).await;
        consumed.map_err(|_| format!("not all of them came within {:?}", LIMIT * 10))??;
    }
    connection.close(200, "done".into()).await?;
    Ok(())
}

fn wanted(mut arguments: impl Iterator<Item = String>) -> Result<Wanted, Failure> {
    let queue = arguments.next().ok_or("name a queue")?;
    let (mut reject, mut ids) = (None, BTreeSet::new());
    while let Some(argument) = arguments.next() {
        if argument == "--reject" {
            reject = Some(arguments.next().ok_or("--reject needs an id")?);
        } else {
            ids.insert(argument);
        }
    }
    ids.extend(reject.clone());
    let queue = ShortString::try_new(queue)?;
    Ok(Wanted { queue, reject, ids })
}

async fn consume(connection: &Connection, wanted: &Wanted) -> Result<(), Failure> {
    let channel = connection.create_channel().await?;
    channel.basic_qos(AHEAD, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let name = ShortString::from("amqpost-example");
    let mut consumer = channel
        .basic_consume(wanted.queue.clone(), name, options, FieldTable::default())
        .await?;
    let (mut missing, mut others) = (wanted.ids.clone(), 0_usize);
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery?;
        let id = id_of(&delivery);
        let rejected = wanted.reject.is_some() && id == wanted.reject;
        // What is to be done about a message is done here, before it is acknowledged.
        if wanted.ids.is_empty() || id.as_ref().is_some_and(|id| wanted.ids.contains(id)) {
            show(&delivery, id.as_deref(), rejected);
        } else {
            others += 1;
        }
        if rejected {
            let options = BasicRejectOptions { requeue: false };
            delivery.acker.reject(options).await?;
        } else {
            delivery.acker.ack(BasicAckOptions::default()).await?;
        }
        if id.is_some_and(|id| missing.remove(&id)) && missing.is_empty() {
            break;
        }
    }
    if !missing.is_empty() {
        return Err("the broker has ended the consumer".into());
    }
    tell(others);
    Ok(())
}

/// The id that the gateway answered when it accepted the message.
fn id_of(delivery: &Delivery) -> Option<String> {
    let headers = delivery.properties.headers().as_ref()?;
    match headers.inner().get("x-amqpost-id")? {
        AMQPValue::LongString(id) => Some(id.to_string()),
        _ => None,
    }
}

/// Why and from which queue the message was dead-lettered last.
fn death_of(delivery: &Delivery) -> Option<String> {
    let headers = delivery.properties.headers().as_ref()?;
    let AMQPValue::FieldArray(deaths) = headers.inner().get("x-death")? else {
        return None;
    };
    let AMQPValue::FieldTable(last) = deaths.as_slice().first()? else {
        return None;
    };
    let field = |name| match last.inner().get(name) {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        _ => "?".to_owned(),
    };
    Some(format!("{} from {}", field("reason"), field("queue")))
}

#[expect(clippy::print_stdout, reason = "this is a command line tool")]
fn show(delivery: &Delivery, id: Option<&str>, rejected: bool) {
    let verb = if rejected { "rejected" } else { "acked" };
    let payload = String::from_utf8_lossy(&delivery.data);
    let death = death_of(delivery).map(|death| format!("  x-death: {death}"));
    println!(
        "{verb:<13} {:<37} {payload}{}",
        id.unwrap_or("-"),
        death.unwrap_or_default()
    );
}

#[expect(clippy::print_stdout, reason = "this is a command line tool")]
fn tell(others: usize) {
    if others > 0 {
        println!("({others} others were acknowledged too, from before)");
    }
}
