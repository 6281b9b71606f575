//! What webhooks can do, and what they cost those who publish.

use std::time::{Duration, Instant};

use super::gateway::{Gateway, Load};
use super::receiver::Receiver;
use super::{Failure, PAYLOAD, argument, cpu, median, percentiles};

/// Nothing listens there.
const DEAD: &str = "http://127.0.0.1:1/hook";
const SECONDS: usize = 15;

/// Deliveries a second of one standing webhook while publishing goes on, at given rates and as fast as
/// it goes; then how long after a settlement the webhook arrives when little is published.
pub async fn measure(uri: &str, queue: &str) -> Result<(), Failure> {
    let gateway = Gateway::start(uri, false).await?;
    gateway.wait_ready("\"state\":\"up\"").await;
    let receiver = Receiver::start().await?;
    let body = format!(r#"{{"url":"{}"}}"#, receiver.url());
    gateway.ask("POST", "/v1/webhooks", &body).await?;
    let mut sent = 0;
    for (per_second, batch, connections, seconds) in [
        (20, 1, 1, 25),
        (2000, 20, 4, SECONDS),
        (3000, 30, 4, SECONDS),
        (4000, 40, 4, SECONDS),
        (usize::MAX, 100, 8, SECONDS),
    ] {
        let messages = per_second.min(20_000) * seconds;
        let messages = messages - messages % (batch * connections);
        let load = Load {
            queue,
            messages,
            connections,
            batch,
            payload: std::str::from_utf8(&PAYLOAD)?,
            terms: "",
        };
        receiver.take_took();
        let (began, computed) = (Instant::now(), cpu::seconds(&gateway.pid()));
        gateway.post_steadily(&load, per_second).await?;
        gateway.wait_ready("\"pending_messages\":0").await;
        let (published, during) = (began.elapsed().as_secs_f64(), receiver.count() - sent);
        sent += messages;
        receiver.arrived(sent).await;
        let (told, computed) = (
            began.elapsed().as_secs_f64(),
            cpu::seconds(&gateway.pid()) - computed,
        );
        println!(
            "published {:.0}/s: {:.0} webhooks/s while publishing, {:.0}/s after it, {:.0}/s in all; \
             settlement to arrival {} ms; {:.0} us of CPU a message, {:.0} MiB",
            rate(messages, published),
            rate(during, published),
            rate(messages - during, told - published),
            rate(messages, told),
            percentiles(receiver.take_took()),
            1e6 * computed / rate(messages, 1.0),
            cpu::resident_mib(&gateway.pid()),
        );
    }
    Ok(())
}

/// The rate of publishing of one gateway with so many deliveries waiting for a receiver that is not
/// there, and of one without, in turns.
pub async fn measure_dead(uri: &str, queue: &str, waiting: usize) -> Result<(), Failure> {
    let (clean, dead) = (
        Gateway::start(uri, false).await?,
        Gateway::start(uri, false).await?,
    );
    for gateway in [&clean, &dead] {
        gateway.wait_ready("\"state\":\"up\"").await;
    }
    let body = format!(r#"{{"url":"{DEAD}","filter":{{"group":"dead"}}}}"#);
    dead.ask("POST", "/v1/webhooks", &body).await?;
    let mut load = Load {
        queue,
        messages: waiting,
        connections: 8,
        batch: 100,
        payload: std::str::from_utf8(&PAYLOAD)?,
        terms: r#","group":"dead""#,
    };
    // Both have the same history.
    clean.publish(&load).await?;
    dead.publish(&load).await?;
    load.terms = "";
    idle(&clean, "clean").await;
    idle(&dead, "dead").await;
    let rounds = argument("--rounds", 5);
    for (batch, connections, messages) in [(100, 8, waiting), (1, 64, waiting / 2)] {
        (load.batch, load.connections) = (batch, connections);
        load.messages = messages - messages % (batch * connections);
        let (mut rates, mut micros) = ([vec![], vec![]], [vec![], vec![]]);
        for round in 0..2 * rounds {
            // ABBA, so that a drift of the machine hurts both.
            let which = usize::from(round % 4 == 1 || round % 4 == 2);
            let gateway = [&clean, &dead][which];
            let (began, computed) = (Instant::now(), cpu::seconds(&gateway.pid()));
            gateway.publish(&load).await?;
            rates[which].push(rate(load.messages, began.elapsed().as_secs_f64()));
            let computed = cpu::seconds(&gateway.pid()) - computed;
            micros[which].push(1e6 * computed / rate(load.messages, 1.0));
        }
        println!("{rates:.0?}");
        let ([clean, dead], [clean_us, dead_us]) = (rates.map(median), micros.map(median));
        println!(
            "batches of {batch}: {clean:.0}/s at {clean_us:.1} us without, {dead:.0}/s at {dead_us:.1} us \
             with {waiting} waiting, ratio {:.3}",
            dead / clean
        );
    }
    Ok(())
}

async fn idle(gateway: &Gateway, name: &str) {
    let (began, computed) = (Instant::now(), cpu::seconds(&gateway.pid()));
    tokio::time::sleep(Duration::from_secs(5)).await;
    println!(
        "{name}: {:.1} % of a core when idle",
        100.0 * (cpu::seconds(&gateway.pid()) - computed) / began.elapsed().as_secs_f64()
    );
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 messages")]
pub fn rate(messages: usize, seconds: f64) -> f64 {
    messages as f64 / seconds
}
