//! Several builds of the gateway on one broker, round after round in turns: what a change gives.
//!
//! `bench -- turns PROGRAM PROGRAM... [--way WORDS] [--payload BYTES] [--messages N] [--rounds N]`, with the way as
//! [`Way::name`] has it: "single posts" unless it is said. Runs of two builds one after the other differ by more
//! than most changes give, since the machine does; here each round has all of them, and the ratio is told with its
//! standard error.

use std::path::PathBuf;

use super::amqpost_tests::broker_node::PrivateNode;
use super::case::{Case, Way};
use super::measured::{Ratio, Sample, Spread};
use super::{Failure, Gateway, argument, text_argument};

/// Rounds of all programs on a node of its own.
pub async fn run() -> Result<(), Failure> {
    let programs = programs();
    if programs.is_empty() {
        return Err("say which programs".into());
    }
    let words = text_argument("--way").unwrap_or_else(|| "single posts".to_owned());
    let is_it = |way: &Way| way.is_gateway() && way.name().contains(&words);
    let way = Way::ALL.into_iter().find(is_it).ok_or("no such way")?;
    let case = Case {
        payload_bytes: argument("--payload", Case::SMALL.payload_bytes),
        ..Case::SMALL
    };
    if !way.fits(case.payload_bytes) {
        return Err("a batch of such messages is more than the gateway takes".into());
    }
    // Whole batches.
    let messages = argument("--messages", way.messages(case.payload_bytes, 0.3));
    let messages = messages.next_multiple_of(1000);
    let rounds = argument("--rounds", 12).max(2);

    let node = PrivateNode::start().await;
    let queue = case.declare(&node.url()).await?;
    let mut builds = Vec::new();
    for program in &programs {
        let gateway = Gateway::start_program(program.clone(), &node.url(), false).await?;
        gateway.wait_ready("\"lanes_up\":4").await;
        builds.push((gateway, Vec::new()));
    }
    // The first round warms everything up.
    for round in 0..=rounds {
        // Each second one the other way round: what comes after another may suffer from it.
        let mut turn: Vec<_> = builds.iter_mut().collect();
        if round % 2 == 1 {
            turn.reverse();
        }
        for (gateway, samples) in turn {
            let sample = way.measure(&node, gateway, &queue, case, messages).await?;
            if round > 0 {
                samples.push(sample);
            }
        }
        eprintln!("{}: round {round} of {rounds}", way.name());
    }
    println!(
        "{}, {case}: {rounds} rounds of {messages} messages",
        way.name()
    );
    for (program, (_, samples)) in programs.iter().zip(&builds) {
        println!("{}: {}", program.display(), told(samples, &builds[0].1));
    }
    case.delete(&node.url(), &queue).await
}

/// What is named without a flag.
fn programs() -> Vec<PathBuf> {
    let mut programs = Vec::new();
    let mut arguments = std::env::args().skip(2);
    while let Some(one) = arguments.next() {
        if one.starts_with("--") {
            arguments.next();
        } else {
            programs.push(one.into());
        }
    }
    programs
}

fn told(samples: &[Sample], first: &[Sample]) -> String {
    let rate = |sample: &Sample| sample.per_second;
    let us = |sample: &Sample| sample.publisher_us;
    format!(
        "{:.0}/s at {:.1} us; {} of the rate of the first and {} of its CPU",
        Spread::of(samples.iter().map(rate)).median,
        Spread::of(samples.iter().map(us)).median,
        Ratio::of(samples.iter().map(rate), first.iter().map(rate)),
        Ratio::of(samples.iter().map(us), first.iter().map(us)),
    )
}
