//! The end of a process: announced before it begins, and a failure when a part of it has failed.

use serde_json::json;

use super::support::process;
use super::{gateway, run};

#[tokio::test]
async fn readiness_is_denied_before_the_end_while_everything_is_still_served() {
    let mut gateway = gateway(&[("AMQPOST_SHUTDOWN_DELAY_SECONDS", "600")]).await;
    let ready = gateway.get_path("/readyz").await;
    assert_eq!(
        (ready.status.as_u16(), &ready.json["stopping"]),
        (200, &json!(false))
    );
    process::signal("TERM", &gateway.pid().to_string());
    let leaving = gateway
        .wait_for("/readyz", |answer| answer.status == 503)
        .await;
    assert_eq!(leaving.json["status"], "not_ready");
    assert_eq!(leaving.json["stopping"], true);
    assert_eq!(leaving.json["store"]["state"], "ok");
    // New connections, messages, questions: all as before.
    let accepted = gateway
        .post(&json!({"routing_key": "nobody", "payload": 1}))
        .await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    assert_eq!(
        gateway.get(&accepted.id()).await.message_status(),
        "pending"
    );
    let (lives, ..) = run(&mut gateway.command(&["healthcheck"]));
    let (is_ready, _, told) = run(&mut gateway.command(&["healthcheck", "--ready"]));
    assert_eq!((lives, is_ready), (0, 1), "{told}");
    assert!(told.contains("/readyz answers 503"), "{told}");
    // Whoever asks again does not want to wait.
    assert!(gateway.terminate().success());
}

#[tokio::test]
async fn a_part_that_fails_ends_the_process_with_a_failure() {
    // The journal looks now and then whether its store is still there.
    let mut gateway = gateway(&[]).await;
    std::fs::remove_dir_all(gateway.directory().join("amqpost-data")).expect("the store is there");
    let ended = gateway.wait_end();
    assert_eq!(ended.code(), Some(1));
    let log = gateway.log();
    assert!(log.contains("amqpost: journal has ended: "), "{log}");
}
