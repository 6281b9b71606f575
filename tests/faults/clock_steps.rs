//! A clock that is set while the gateway is away, by itself.

use std::time::Duration;

use super::bad_disk;
use super::gateway_faults::{clock_variables, set_clock};
use super::support::broker_node::shared_broker_url;
use super::support::callers::message;
use super::support::gateway::Gateway;
use super::support::queues::{Kind, Place};

/// Much more than the delay, and much less than the step.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
#[expect(
    clippy::print_stderr,
    reason = "what this machine cannot do is not seen, and that is said"
)]
async fn a_delay_is_as_long_as_it_was_when_the_clock_is_set_back_while_the_gateway_is_away() {
    let scratch = tempfile::tempdir().expect("there is room for temporary files");
    let clock = scratch.path().join("clock");
    let library = match bad_disk::faketime() {
        Ok(library) => library,
        Err(why) => return eprintln!("left out: {why}"),
    };
    set_clock(&clock, 7_200).expect("the directory is ours");
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let mut variables = clock_variables(&clock, &library);
    variables.push(("AMQPOST_BROKER_URL".into(), shared_broker_url()));
    let mut gateway = Gateway::start(variables).await;
    let mut delayed = message(&place, "later");
    delayed["delay_ms"] = 2_000.into();
    let accepted = gateway.post(&delayed).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    gateway.kill_9();
    set_clock(&clock, 0).expect("the directory is ours");
    gateway.restart().await;
    let last = gateway.wait_final_within(&accepted.id(), SOON).await;
    assert_eq!(last.message_status(), "confirmed", "{}", last.text);
    assert_eq!(place.take(1).await.len(), 1);
}
