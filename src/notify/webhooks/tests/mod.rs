//! Tests with real sockets.

mod board;
mod connecting;
mod delivering;
mod keeping;
mod neighbours;
mod receiver;
mod sending;
mod speed;
mod tls;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Post, Resolve, Resolving, SendLimits, Sender};
use crate::domain::webhook::TryEnd;

/// Answers the first question with the first of its answers, the second with the second, and so on,
/// and from then on with the last.
struct Names {
    answers: Vec<Vec<&'static str>>,
    asked: AtomicUsize,
}

impl Names {
    fn of(answers: &[&[&'static str]]) -> Arc<Self> {
        Arc::new(Self {
            answers: answers.iter().map(|answer| answer.to_vec()).collect(),
            asked: AtomicUsize::new(0),
        })
    }

    /// For tests that name addresses only.
    fn none() -> Arc<Self> {
        Self::of(&[&[]])
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, _: &'a str) -> Resolving<'a> {
        let at = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = &self.answers[at.min(self.answers.len() - 1)];
        let addresses = answer.iter().map(|text| text.parse::<IpAddr>());
        let addresses = addresses.collect::<Result<_, _>>().expect("addresses");
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

fn limits() -> SendLimits {
    SendLimits {
        connect: Duration::from_secs(2),
        total: Duration::from_secs(5),
        ..SendLimits::default()
    }
}

/// A sender that may send to 127.0.0.0/8 but for 127.6.6.6, which stands for everything that it may
/// not send to.
fn sender(names: &Arc<Names>, limits: SendLimits) -> Sender {
    let open = "127.0.0.0/16,127.1.0.0/16";
    let allow = open.parse().expect("a list");
    Sender::new(Arc::<Names>::clone(names), None, allow, limits)
}

fn post() -> Post {
    Post {
        id: "an-id".into(),
        timestamp_seconds: 1_795_341_600,
        signatures: "v1,abc v1,def".into(),
        body: r#"{"type":"message.confirmed"}"#.into(),
        trace: None,
    }
}

async fn send(sender: &Sender, url: &str) -> TryEnd {
    let target = sender.target(url).expect("a URL that may be sent to");
    sender.send(&target, &post()).await
}

fn answered(status: u16) -> TryEnd {
    TryEnd::Answered {
        status,
        retry_after: None,
    }
}
