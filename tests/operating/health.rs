//! `amqpost healthcheck`.

use super::support::gateway::command;
use super::{gateway, run};

#[tokio::test]
async fn a_gateway_that_serves_is_healthy_and_ready_without_a_broker() {
    let gateway = gateway(&[]).await;
    let (code, printed, _) = run(&mut gateway.command(&["healthcheck"]));
    assert_eq!(code, 0);
    assert_eq!(
        printed,
        format!("{}/healthz answers 200 OK\n", gateway.url())
    );
    let (code, printed, _) = run(&mut gateway.command(&["healthcheck", "--ready"]));
    assert_eq!(
        (code, printed.contains("/readyz answers 200")),
        (0, true),
        "{printed}"
    );
}

#[tokio::test]
async fn a_gateway_that_is_gone_or_stands_still_is_not_healthy() {
    let mut gateway = gateway(&[]).await;
    let pid = gateway.pid().to_string();
    super::support::process::signal("STOP", &pid);
    let mut check = gateway.command(&["healthcheck", "--timeout-seconds=1"]);
    let (code, _, told) = run(&mut check);
    super::support::process::signal("CONT", &pid);
    assert_eq!(
        (code, told.contains("does not answer within 1 s")),
        (1, true),
        "{told}"
    );
    gateway.kill_9();
    let (code, _, told) = run(&mut check);
    assert_eq!(
        (code, told.contains("does not answer: Connection refused")),
        (1, true),
        "{told}"
    );
}

#[test]
fn a_configuration_that_is_faulty_is_not_healthy() {
    let (code, _, told) = run(command().args(["healthcheck", "--listen=here"]));
    assert_eq!(
        (code, told.contains("--listen: listen: must be an address")),
        (1, true),
        "{told}"
    );
}
