//! A large backlog: how much memory it takes, how soon a restart accepts, how fast it drains.

use std::time::Instant;

use super::gateway::{Gateway, Load};
use super::{Failure, bare_lapin, cpu};
use lapin::Channel;

/// Bytes of each payload.
const PAYLOAD_BYTES: usize = 1024;
/// Nothing listens there.
const AWAY: &str = "amqp://guest:guest@127.0.0.1:1/%2f";

/// Accepts `messages` while the broker is away, kills the gateway, and lets it drain.
pub async fn measure(
    uri: &str,
    channel: &Channel,
    queue: &str,
    messages: usize,
    connections: usize,
) -> Result<(), Failure> {
    let mut gateway = Gateway::start(AWAY, false).await?;
    gateway
        .post(&Load {
            queue,
            messages,
            connections,
            batch: 1,
            payload: &"x".repeat(PAYLOAD_BYTES),
            terms: "",
        })
        .await?;
    println!(
        "{messages} pending, broker away: {:.0} MiB resident, files of {} MiB",
        cpu::resident_mib(&gateway.pid()),
        gateway.store_bytes() >> 20
    );
    let accepts = gateway.restart(uri).await?;
    println!(
        "after kill -9 it accepted within {:.2} s",
        accepts.as_secs_f64()
    );
    let began = Instant::now();
    gateway.wait_ready("\"pending_messages\":0").await;
    let drained = rate(messages, began);
    println!(
        "drained at {drained:.0} messages/s, {:.0} MiB resident",
        cpu::resident_mib(&gateway.pid())
    );
    let began = Instant::now();
    let lapins = messages.min(200_000);
    bare_lapin::publish(channel, queue, lapins, 0, &[b'x'; PAYLOAD_BYTES]).await?;
    let lapin = rate(lapins, began);
    println!("lapin {lapin:.0} messages/s, ratio {:.2}", drained / lapin);
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 messages")]
fn rate(messages: usize, began: Instant) -> f64 {
    messages as f64 / began.elapsed().as_secs_f64()
}
