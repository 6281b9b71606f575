//! The end of a process: announced before it begins, and a failure when a part of it has failed.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use reqwest::Method;
use serde_json::json;

use super::support::process::{self, ProcessGroup};
use super::support::wait::{self, SOON};
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

/// A stream that takes nothing more until it is read from, and its other end.
fn clogged() -> (UnixStream, UnixStream) {
    let (mut clogged, reader) = UnixStream::pair().expect("two sockets");
    clogged.set_nonblocking(true).expect("it is ours");
    let full = loop {
        if let Err(error) = clogged.write(&[b'\n'; 4096]) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    clogged.set_nonblocking(false).expect("it is ours");
    reader.set_read_timeout(Some(SOON)).expect("a time limit");
    (clogged, reader)
}

#[tokio::test]
async fn a_stop_is_orderly_as_soon_as_the_first_request_is_answered() {
    let mut gateway = gateway(&[]).await;
    gateway.kill_9();
    // It is held where it says that it listens, which is when it has begun to.
    let (log, mut reader) = clogged();
    let filter = "off,amqpost::app=info,amqpost::app::storage=off,amqpost::app::descriptors=off";
    let mut command = gateway.command(&["serve"]);
    command
        .env("AMQPOST_LOG_FILTER", filter)
        .stderr(OwnedFd::from(log));
    let mut running = ProcessGroup::start(&mut command, None);
    // Its end of the stream is with the command, and the end of the log is seen when only the gateway has it.
    drop(command);
    wait::until("it is ready", SOON, || async {
        let ready = gateway.try_request(Method::GET, "/readyz", &[], "").await;
        ready.ok().filter(|answer| answer.status == 200)
    })
    .await;
    process::signal("TERM", &running.id().to_string());
    let mut told = String::new();
    reader.read_to_string(&mut told).expect("its log is text");
    let ended = running.wait(SOON);
    assert!(ended.success(), "{ended}: {}", told.trim());
    assert!(told.contains("signal=\"SIGTERM\""), "{}", told.trim());
}
