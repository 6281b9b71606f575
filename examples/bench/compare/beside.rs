//! What is measured beside the ways to publish: latencies at a fixed rate, HTTP alone, and memory.

use std::time::{Duration, Instant};

use super::Gateway;
use super::amqpost_tests::broker_node::PrivateNode;
use super::case::{Case, Way};
use super::load::{self, Request};
use super::measured::{Cpu, Latency, Paced, Report, Sample};
use super::paced::{self, Pace};
use super::reference::Reference;
use crate::{Failure, cpu};

/// Requests a second.
pub const RATES: [u32; 2] = [5_000, 10_000];
/// Requests a second that wait for their final status, among the others.
const WAITING_PER_SECOND: u32 = 100;

/// A process that answers posts of single messages.
pub struct Posted {
    pub pid: String,
    pub address: String,
    pub request: Request,
    pub requests: usize,
}

impl Posted {
    /// Sends all requests over 64 connections.
    pub async fn measure(self, node: &PrivateNode) -> Result<Sample, Failure> {
        let Self {
            pid,
            address,
            request,
            requests,
        } = self;
        let before = Cpu::now(&pid, node.beam_pid());
        let began = Instant::now();
        let send = move || load::send(&address, &request, requests, 64);
        let accepted = tokio::task::spawn_blocking(send).await??;
        let seconds = began.elapsed().as_secs_f64();
        let used = Cpu::now(&pid, node.beam_pid()).since(&before);
        let resident_mib = cpu::resident_mib(&pid);
        Ok(Sample::new(
            requests,
            seconds,
            &used,
            true,
            accepted,
            resident_mib,
        ))
    }
}

/// Single posts at fixed rates.
pub async fn paced(
    node: &PrivateNode,
    gateway: &Gateway,
    rates: &[u32],
    lasts: Duration,
    report: &mut Report,
) -> Result<(), Failure> {
    let queue = Case::SMALL.declare(&node.url()).await?;
    let payload = "x".repeat(Case::SMALL.payload_bytes);
    for per_second in rates.iter().copied() {
        let before = Cpu::now(&gateway.pid(), node.beam_pid());
        let run = |way: Way, per_second, connections| {
            let request = way.request(gateway.address(), &queue, &payload);
            let address = gateway.address().to_owned();
            let pace = Pace {
                per_second,
                lasts,
                connections,
            };
            tokio::task::spawn_blocking(move || paced::send(&address, &request, &pace))
        };
        let waiting = run(Way::Waiting, WAITING_PER_SECOND, 16);
        let accepted = run(Way::Single, per_second, 64).await??;
        let settled = waiting.await??;
        gateway.wait_ready("\"pending_messages\":0").await;
        let used = Cpu::now(&gateway.pid(), node.beam_pid()).since(&before);
        report.paced.push(Paced {
            per_second,
            seconds: lasts.as_secs_f64(),
            gateway_us: used.publisher_us(accepted.len() + settled.len()),
            accepted: Latency::of(accepted),
            settled: Latency::of(settled),
        });
    }
    Case::SMALL.delete(&node.url(), &queue).await
}

/// Posts to a handler that only reads the body and answers.
pub async fn reference(
    node: &PrivateNode,
    reference: &Reference,
    scale: f64,
) -> Result<Sample, Failure> {
    let address = reference.address.clone();
    let payload = "x".repeat(Case::SMALL.payload_bytes);
    let request = Way::Single.request(&address, "key", &payload);
    let requests = Way::Single.messages(Case::SMALL.payload_bytes, scale);
    let posts = Posted {
        pid: reference.pid(),
        address,
        request,
        requests,
    };
    posts.measure(node).await
}

/// Memory while messages pile up, since no broker is there.
pub async fn resident(report: &mut Report) -> Result<(), Failure> {
    // Nobody listens on a port that was given and taken back.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let nobody = format!("amqp://guest:guest@127.0.0.1:{port}/%2f");
    let gateway = Gateway::start(&nobody, false).await?;
    let request = Way::Batch(100).request(gateway.address(), "key", &"x".repeat(256));
    let address = gateway.address().to_owned();
    tokio::task::spawn_blocking(move || load::send(&address, &request, 1000, 8)).await??;
    gateway.wait_ready("\"pending_messages\":100000").await;
    report.resident_mib_100k_pending = Some(cpu::resident_mib(&gateway.pid()));
    Ok(())
}
