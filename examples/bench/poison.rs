//! What bad messages cost their neighbours.

use std::time::{Duration, Instant};

use lapin::options::{ExchangeDeclareOptions, ExchangeDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Channel, ExchangeKind};

use super::gateway::Gateway;
use super::{Failure, PAYLOAD, argument, median};

/// One bad message in so many.
const ONE_IN: usize = 1000;
/// For so long one bad message is sent every second.
const SECONDS: u64 = 20;

/// Tells the rate of good messages with and without bad ones among them, and how long good ones take
/// to be settled while there is a bad one every second. Bad are messages to an exchange that is not
/// there, which asking finds out, and to one that is internal, for which the broker closes channels.
pub async fn measure(
    gateway: &Gateway,
    channel: &Channel,
    queue: &str,
    messages: usize,
    connections: usize,
) -> Result<(), Failure> {
    let internal = format!("{queue}.internal");
    let options = ExchangeDeclareOptions {
        internal: true,
        ..ExchangeDeclareOptions::default()
    };
    let kind = ExchangeKind::Direct;
    channel
        .exchange_declare(
            internal.as_str().into(),
            kind,
            options,
            FieldTable::default(),
        )
        .await?;
    let body = |exchange: &str| -> Result<String, Failure> {
        let payload = std::str::from_utf8(&PAYLOAD)?;
        Ok(format!(
            r#"{{"exchange":"{exchange}","routing_key":"{queue}","payload":"{payload}"}}"#
        ))
    };
    let good = body("")?;
    let bad = [
        ("missing", body(&format!("{queue}.missing"))?),
        ("internal", body(&internal)?),
    ];
    for (name, bad) in &bad {
        rates(gateway, name, &good, bad, messages, connections).await?;
    }
    for (name, bad) in &bad {
        times(gateway, name, &good, bad).await?;
    }
    channel
        .exchange_delete(internal.as_str().into(), ExchangeDeleteOptions::default())
        .await?;
    Ok(())
}

async fn rates(
    gateway: &Gateway,
    name: &str,
    good: &str,
    bad: &str,
    messages: usize,
    connections: usize,
) -> Result<(), Failure> {
    let good = gateway.request(good, "return=minimal");
    let bad = gateway.request(bad, "return=minimal");
    let (mut clean, mut mixed) = (Vec::new(), Vec::new());
    for round in 0..2 * argument("--rounds", 5) {
        let (rates, bad) = if round % 2 == 0 {
            (&mut clean, &good)
        } else {
            (&mut mixed, &bad)
        };
        let request = |number| {
            if number % ONE_IN == ONE_IN / 2 {
                bad
            } else {
                &good
            }
        };
        let began = Instant::now();
        let send = gateway.send(messages, connections, |number| request(number).clone());
        send.await?;
        gateway.wait_ready("\"pending_messages\":0").await;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 messages")]
        rates.push(messages as f64 / began.elapsed().as_secs_f64());
    }
    let (clean, mixed) = (median(clean), median(mixed));
    println!(
        "{name}: {mixed:.0}/s with one bad message in {ONE_IN}, {clean:.0}/s without, ratio {:.2}",
        mixed / clean
    );
    Ok(())
}

/// Each good message is asked about until it is settled, at a load that leaves the machine room.
async fn times(gateway: &Gateway, name: &str, good: &str, bad: &str) -> Result<(), Failure> {
    const CONNECTIONS: usize = 8;
    let good = gateway.request(good, "wait=30, return=minimal");
    let bad = gateway.request(bad, "return=minimal");
    let until = Instant::now() + Duration::from_secs(SECONDS);
    let posting = async {
        let mut took = Vec::new();
        while Instant::now() < until {
            took.extend(
                gateway
                    .send(CONNECTIONS * 10, CONNECTIONS, |_| good.clone())
                    .await?,
            );
        }
        Ok::<_, Failure>(took)
    };
    let poisoning = async {
        while Instant::now() < until {
            gateway.send(1, 1, |_| bad.clone()).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok::<_, Failure>(())
    };
    let (mut took, ()) = tokio::try_join!(posting, poisoning)?;
    took.sort();
    let at = |percent: usize| {
        took.get(took.len() * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "{name}, one a second: {} good ones settled in {:?} (median), {:?} (99 %), {:?} (slowest)",
        took.len(),
        at(50),
        at(99),
        took.last().copied().unwrap_or_default()
    );
    Ok(())
}
