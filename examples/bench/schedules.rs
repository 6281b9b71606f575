//! How punctual scheduled messages are, and what many of them cost.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use super::gateway::{Gateway, Load};
use super::webhooks::rate;
use super::{Failure, PAYLOAD, cpu, percentiles};

const SCHEDULED: usize = 2000;
const SPREAD_MS: i64 = 10_000;

/// 2000 messages fall due within ten seconds: how late they are settled, alone and beside others.
pub async fn measure(uri: &str, queue: &str) -> Result<(), Failure> {
    let gateway = Gateway::start(uri, false).await?;
    gateway.wait_ready("\"state\":\"up\"").await;
    for per_second in [0, 1000, 5000] {
        let ids = schedule(&gateway, queue).await?;
        let spent = cpu::seconds(&gateway.pid());
        let began = Instant::now();
        if per_second > 0 {
            let load = Load {
                queue,
                messages: per_second * 14,
                connections: 4,
                batch: per_second / 100,
                payload: std::str::from_utf8(&PAYLOAD)?,
                terms: "",
            };
            gateway.post_steadily(&load, per_second).await?;
        }
        let published = began.elapsed().as_secs_f64();
        gateway.wait_ready("\"pending_messages\":0").await;
        let mut late = Vec::new();
        for ids in ids.chunks(1000) {
            let body = serde_json::json!({ "ids": ids }).to_string();
            let found = gateway.ask("POST", "/v1/messages/lookup", &body).await?;
            late.extend(between(&found, "deliver_at")?);
        }
        let others = gateway.ask("GET", "/v1/messages?limit=1000", "").await?;
        println!(
            "beside {:.0}/s: {} settled {} ms after their time; the last of all {} ms after acceptance; \
             {:.1} s of CPU",
            rate(per_second * 14, published),
            late.len(),
            percentiles(late),
            percentiles(between(&others, "accepted_at")?),
            cpu::seconds(&gateway.pid()) - spent,
        );
    }
    Ok(())
}

/// Schedules them from two seconds from now on; gives their ids.
async fn schedule(gateway: &Gateway, queue: &str) -> Result<Vec<String>, Failure> {
    let first = Timestamp::now().as_millisecond() + 2000;
    let mut ids = Vec::new();
    for part in 0..SCHEDULED / 200 {
        let items: Result<Vec<String>, Failure> = (0..200)
            .map(|item| {
                let number = i64::try_from(part * 200 + item)?;
                let at = first + number * SPREAD_MS / i64::try_from(SCHEDULED)?;
                let at = Timestamp::from_millisecond(at)?;
                Ok(format!(
                    r#"{{"routing_key":"{queue}","payload":"x","deliver_at":"{at}"}}"#
                ))
            })
            .collect();
        let body = format!(r#"{{"messages":[{}]}}"#, items?.join(","));
        let answer = gateway.ask("POST", "/v1/messages/batch", &body).await?;
        let answer: Value = serde_json::from_str(&answer)?;
        let results = answer["results"].as_array().ok_or("no results")?;
        ids.extend(
            results
                .iter()
                .filter_map(|one| Some(one["id"].as_str()?.to_owned())),
        );
    }
    Ok(ids)
}

/// Milliseconds from a time of each message to its settlement.
fn between(answer: &str, from: &str) -> Result<Vec<f64>, Failure> {
    let answer: Value = serde_json::from_str(answer)?;
    let messages = answer["messages"].as_array().ok_or("no messages")?;
    let at = |message: &Value, name: &str| -> Result<Timestamp, Failure> {
        Ok(message[name].as_str().ok_or("no time")?.parse()?)
    };
    let took = messages.iter().map(|message| {
        let took = at(message, "settled_at")?.duration_since(at(message, from)?);
        Ok(took.as_secs_f64() * 1000.0)
    });
    took.collect()
}

/// So many messages of one group wait for a day: what they take, and what asking about the group does.
pub async fn measure_far(uri: &str, queue: &str, messages: usize) -> Result<(), Failure> {
    let mut gateway = Gateway::start(uri, false).await?;
    gateway.wait_ready("\"state\":\"up\"").await;
    let empty = cpu::resident_mib(&gateway.pid());
    let began = Instant::now();
    gateway
        .post(&Load {
            queue,
            messages,
            connections: 4,
            batch: 500,
            payload: std::str::from_utf8(&PAYLOAD)?,
            terms: r#","delay_ms":86400000,"group":"g""#,
        })
        .await?;
    println!(
        "{messages} scheduled at {:.0}/s: {:.0} MiB resident, {empty:.0} before; files of {} MiB",
        rate(messages, began.elapsed().as_secs_f64()),
        cpu::resident_mib(&gateway.pid()),
        gateway.store_bytes() >> 20
    );
    let mut took = Vec::new();
    let mut told = String::new();
    for _ in 0..500 {
        let began = Instant::now();
        told = gateway.ask("GET", "/v1/groups/g", "").await?;
        took.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    println!("{told} in {} ms, with a new connection", percentiles(took));
    let accepts = gateway.restart(uri).await?;
    println!(
        "after kill -9 it accepted within {:.2} s, {:.0} MiB resident",
        accepts.as_secs_f64(),
        cpu::resident_mib(&gateway.pid())
    );
    gateway.wait_ready("\"state\":\"up\"").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let spent = cpu::seconds(&gateway.pid());
    tokio::time::sleep(Duration::from_secs(5)).await;
    println!(
        "{:.1} % of a core when idle, {:.0} MiB resident",
        20.0 * (cpu::seconds(&gateway.pid()) - spent),
        cpu::resident_mib(&gateway.pid())
    );
    Ok(())
}
