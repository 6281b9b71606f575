//! A replay of many.

use std::time::{Duration, Instant};

use lapin::Channel;
use lapin::options::QueueDeleteOptions;

use super::gateway::{Gateway, Load};
use super::webhooks::rate;
use super::{Failure, PAYLOAD, cpu, declare};

/// Publishes messages that are all returned, makes their queue, and replays them; then publishes as
/// many new ones.
pub async fn measure(
    uri: &str,
    channel: &Channel,
    queue: &str,
    messages: usize,
) -> Result<(), Failure> {
    let gateway = Gateway::start(uri, false).await?;
    gateway.wait_ready("\"state\":\"up\"").await;
    let later = format!("{queue}.later");
    let load = Load {
        queue: &later,
        messages: messages - messages % 800,
        connections: 8,
        batch: 100,
        payload: std::str::from_utf8(&PAYLOAD)?,
        terms: "",
    };
    let pid = gateway.pid();
    let began = Instant::now();
    gateway.publish(&load).await?;
    let took = began.elapsed().as_secs_f64();
    println!("returned at {:.0}/s", rate(load.messages, took));
    declare(channel, &later).await?;
    let began = Instant::now();
    gateway.publish(&load).await?;
    let took = began.elapsed().as_secs_f64();
    println!("published at {:.0}/s", rate(load.messages, took));
    let (before, spent) = (cpu::resident_mib(&pid), cpu::seconds(&pid));
    let body = format!(r#"{{"status":"returned","routing_key":"{later}"}}"#);
    let began = Instant::now();
    let answer = gateway.ask("POST", "/v1/replays", &body).await?;
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    let path = format!("/v1/replays/{}", answer["id"].as_str().ok_or("no id")?);
    let mut most = before;
    let state = loop {
        let state = gateway.ask("GET", &path, "").await?;
        most = most.max(cpu::resident_mib(&pid));
        if state.contains("\"done\"") {
            break state;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let done = began.elapsed().as_secs_f64();
    gateway.wait_ready("\"pending_messages\":0").await;
    let settled = began.elapsed().as_secs_f64();
    most = most.max(cpu::resident_mib(&pid));
    println!(
        "{state}: done after {done:.2} s, all settled after {settled:.2} s, {:.0}/s, {:.1} us of CPU \
         each; {most:.0} MiB resident at most, {before:.0} before",
        rate(load.messages, settled),
        1e6 * (cpu::seconds(&pid) - spent) / rate(load.messages, 1.0),
    );
    let began = Instant::now();
    gateway.publish(&load).await?;
    let took = began.elapsed().as_secs_f64();
    println!("published at {:.0}/s", rate(load.messages, took));
    let numbers = gateway.ask("GET", "/v1/stats", "").await?;
    println!("{numbers}");
    channel
        .queue_delete(later.as_str().into(), QueueDeleteOptions::default())
        .await?;
    Ok(())
}
