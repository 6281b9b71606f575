//! The comparison that everybody can run: `scripts/bench`.
//!
//! A private broker node, and on it in turns, round after round: a bare AMQP publisher on the socket, a
//! bare pipelined lapin publisher, the gateway in batches, single posts, raw posts and single posts that
//! wait, other gateways where they are installed (`peers.rs`), and a handler that only reads and answers, for
//! what HTTP costs. Then single posts at a fixed rate, for the latencies, and the management API. Told are
//! medians and the span of the rounds, as a table, as JSON (`--json FILE`) and as a picture (`--svg FILE`).
//! `--quick` takes two to five minutes, with `--payload BYTES` for another size; `--only WORDS` measures the ways of that
//! name beside the two bare publishers and the bare handler.

mod bare_socket;
mod beside;
mod case;
mod load;
mod management;
mod measured;
mod paced;
mod peers;
mod plot;
pub mod reference;
mod table;
pub mod turns;

use std::time::Duration;

use amqpost_tests::broker_node::PrivateNode;
use case::{Case, QueueKind, Way};
use measured::Report;
use peers::Peer;
use reference::Reference;

use super::amqpost_tests;
use super::gateway::Gateway;
use super::{Failure, argument, flag, text_argument};

/// How much is measured.
struct Plan {
    rounds: usize,
    /// Against the numbers of messages of a full run.
    scale: f64,
    kinds: Vec<QueueKind>,
    payloads: Vec<usize>,
    paced_for: Duration,
    /// What the names of the gateway's ways contain; everything without.
    only: Option<String>,
}

impl Plan {
    fn of_arguments() -> Self {
        let only = text_argument("--only");
        if flag("--quick") {
            return Self {
                only,
                rounds: argument("--rounds", 3),
                scale: 0.5,
                kinds: vec![QueueKind::Quorum],
                payloads: vec![argument("--payload", 256)],
                paced_for: Duration::from_secs(3),
            };
        }
        Self {
            only,
            rounds: argument("--rounds", 5),
            scale: 1.0,
            kinds: vec![QueueKind::Quorum, QueueKind::Classic],
            payloads: vec![256, 4096, 65_536],
            paced_for: Duration::from_secs(20),
        }
    }

    /// The first round, of number 0, warms everything up and does not count.
    fn scale_of(&self, round: usize) -> f64 {
        if round == 0 {
            self.scale / 5.0
        } else {
            self.scale
        }
    }

    /// The ways that are wanted, and those that they are compared with.
    fn ways(&self, case: Case) -> impl Iterator<Item = Way> {
        let only = self.only.as_deref().unwrap_or("");
        let is_wanted = move |way: Way| way.is_bare() || way.name().contains(only);
        (Way::ALL.into_iter()).filter(move |way| is_wanted(*way) && way.fits(case.payload_bytes))
    }

    fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for kind in &self.kinds {
            for payload_bytes in &self.payloads {
                cases.push(Case {
                    kind: *kind,
                    payload_bytes: *payload_bytes,
                });
            }
        }
        cases
    }
}

/// Everything, on a node of its own.
pub async fn run() -> Result<(), Failure> {
    let plan = Plan::of_arguments();
    let node = PrivateNode::start().await;
    let gateway = Gateway::start(&node.url(), false).await?;
    gateway.wait_ready("\"lanes_up\":4").await;
    let mut report = Report::new(plan.rounds);
    let reference = Reference::start()?;
    for case in plan.cases() {
        measure_case(&node, &gateway, &reference, &plan, case, &mut report).await?;
    }
    drop(reference);
    if plan.only.is_none() {
        beside::paced(&node, &gateway, &beside::RATES, plan.paced_for, &mut report).await?;
        beside::resident(&mut report).await?;
        management::measure(&node, &mut report, plan.rounds).await?;
    }
    println!("{}", table::of(&report));
    if let Some(file) = text_argument("--json") {
        std::fs::write(file, serde_json::to_vec_pretty(&report)?)?;
    }
    if let Some(file) = text_argument("--svg") {
        std::fs::write(file, plot::of(&report))?;
    }
    Ok(())
}

/// Single posts at one fixed rate alone, `--rate N` a second for `--seconds N`.
pub async fn paced() -> Result<(), Failure> {
    let rate = u32::try_from(argument("--rate", 5000))?;
    let lasts = Duration::from_secs(u64::try_from(argument("--seconds", 20))?);
    let node = PrivateNode::start().await;
    let gateway = Gateway::start(&node.url(), false).await?;
    gateway.wait_ready("\"lanes_up\":4").await;
    let rounds = argument("--rounds", 3);
    let mut report = Report::new(rounds);
    for _ in 0..rounds {
        beside::paced(&node, &gateway, &[rate], lasts, &mut report).await?;
    }
    println!("{}", table::paced(&report));
    Ok(())
}

/// All ways to publish in turns, as often as there are rounds.
async fn measure_case(
    node: &PrivateNode,
    gateway: &Gateway,
    reference: &Reference,
    plan: &Plan,
    case: Case,
    report: &mut Report,
) -> Result<(), Failure> {
    let queue = case.declare(&node.url()).await?;
    let peers = if case == Case::SMALL && plan.only.is_none() {
        Peer::installed(&node.url(), &queue).await?
    } else {
        Vec::new()
    };
    for round in 0..=plan.rounds {
        for way in plan.ways(case) {
            let messages = way.messages(case.payload_bytes, plan.scale_of(round));
            let sample = way.measure(node, gateway, &queue, case, messages).await?;
            if round > 0 {
                report.add(way.name(), case, sample);
            }
        }
        for peer in &peers {
            let sample = peer.measure(node, plan.scale_of(round)).await?;
            if round > 0 {
                report.add(peer.name(), case, sample);
            }
        }
        if case == Case::SMALL {
            let sample = beside::reference(node, reference, plan.scale_of(round)).await?;
            if round > 0 {
                report.add(reference::NAME, None, sample);
            }
        }
        eprintln!("{case}: round {round} of {}", plan.rounds);
    }
    case.delete(&node.url(), &queue).await
}
