//! Connections go to addresses that were checked.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::receiver::{Receiver, Reply};
use super::{Names, answered, limits, post, send, sender};
use crate::clock;
use crate::domain::webhook::{AllowList, ErrorClass, Target, TryEnd};
use crate::notify::webhooks::{Resolve, Resolving, SendLimits, Sender, SystemResolver};

/// Two receivers on the same port: one on an address that may be sent to, one that may not.
async fn pair() -> (Receiver, Receiver) {
    let script = |_: &super::receiver::Received| Reply::status(200);
    let outside = Receiver::listen(IpAddr::from([127, 0, 0, 1]), None, script).await;
    let inside = Receiver::listen_on((IpAddr::from([127, 6, 6, 6]), outside.port()), script).await;
    (outside, inside)
}

fn url(receiver: &Receiver) -> String {
    format!("http://hooks.example:{}/", receiver.port())
}

#[tokio::test]
async fn a_name_is_connected_to_where_it_was_checked_though_it_leads_elsewhere_a_moment_later() {
    let (outside, inside) = pair().await;
    let names = Names::of(&[&["127.0.0.1"], &["127.6.6.6"]]);
    let sender = sender(&names, limits());
    assert_eq!(send(&sender, &url(&outside)).await, answered(200));
    assert_eq!(names.asked(), 1, "a name is resolved once for a connection");
    assert_eq!((outside.count(), inside.connections()), (1, 0));
}

#[tokio::test]
async fn a_new_connection_is_checked_anew() {
    let (outside, inside) = pair().await;
    let names = Names::of(&[&["127.0.0.1"], &["127.6.6.6"]]);
    let mut limits = limits();
    limits.idle.connections_max = 0;
    let sender = sender(&names, limits);
    assert_eq!(send(&sender, &url(&outside)).await, answered(200));
    let refused = TryEnd::NoAnswer(ErrorClass::AddressRefused);
    assert_eq!(send(&sender, &url(&outside)).await, refused);
    assert_eq!((outside.count(), inside.connections()), (1, 0));
}

#[tokio::test]
async fn one_address_that_may_not_be_sent_to_spoils_a_name() {
    let (outside, inside) = pair().await;
    for answer in [
        ["127.0.0.1", "127.6.6.6"],
        ["127.6.6.6", "127.0.0.1"],
        ["127.0.0.1", "::1"],
        ["127.0.0.1", "169.254.169.254"],
        ["127.0.0.1", "::ffff:127.6.6.6"],
    ] {
        let sender = sender(&Names::of(&[&answer]), limits());
        let refused = TryEnd::NoAnswer(ErrorClass::AddressRefused);
        assert_eq!(send(&sender, &url(&outside)).await, refused, "{answer:?}");
    }
    assert_eq!((outside.connections(), inside.connections()), (0, 0));
}

#[tokio::test]
async fn an_address_in_a_target_is_checked_again_when_it_is_sent_to() {
    let (outside, inside) = pair().await;
    let all: AllowList = "0.0.0.0/0".parse().expect("a list");
    let target = Target::parse(&url(&inside).replace("hooks.example", "127.6.6.6"), &all);
    let target = target.expect("a URL under another list");
    let end = sender(&Names::none(), limits())
        .send(&target, &post())
        .await;
    assert_eq!(end, TryEnd::NoAnswer(ErrorClass::AddressRefused));
    assert_eq!((outside.connections(), inside.connections()), (0, 0));
}

#[tokio::test]
async fn an_address_that_does_not_answer_costs_a_moment_when_there_is_another() {
    // 127.1.0.1 refuses, since nobody listens there.
    let (outside, _inside) = pair().await;
    let sender = sender(&Names::of(&[&["127.1.0.1", "127.0.0.1"]]), limits());
    let started: Instant = clock::monotonic();
    assert_eq!(send(&sender, &url(&outside)).await, answered(200));
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_name_without_an_address_is_a_fault_of_dns() {
    let sender = sender(&Names::none(), limits());
    let end = send(&sender, "http://hooks.example/").await;
    assert_eq!(end, TryEnd::NoAnswer(ErrorClass::Dns));
}

/// Never answers.
struct Silent;

impl Resolve for Silent {
    fn resolve<'a>(&'a self, _: &'a str) -> Resolving<'a> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_resolver_that_does_not_answer_is_given_up() {
    let limits = SendLimits {
        connect: Duration::from_millis(50),
        ..limits()
    };
    let sender = Sender::new(Arc::new(Silent), None, AllowList::default(), limits);
    let end = send(&sender, "http://hooks.example/").await;
    assert_eq!(end, TryEnd::NoAnswer(ErrorClass::Dns));
}

#[tokio::test]
async fn the_system_resolves_its_own_name() {
    let resolver = SystemResolver::default();
    let found = resolver
        .resolve("localhost")
        .await
        .expect("every system has it");
    assert!(
        !found.is_empty() && found.iter().all(IpAddr::is_loopback),
        "{found:?}"
    );
}
