//! `amqpost store`, with the gateway running and not.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use super::proxy;
use super::support::broker_node::shared_broker_url;
use super::support::callers::{gateway, post_some};
use super::support::queues::{Kind, Place};

fn store(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_amqpost"))
        .arg("store")
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("the command runs")
}

fn said(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn operators_see_check_and_copy_a_store_that_is_in_use_and_one_that_is_not() {
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let mut network = proxy().await;
    network.refuse().await;
    let mut gateway = gateway(&network.amqp_url(), &[]).await;
    let ids = post_some(&gateway, &place, 30).await;
    let directory = gateway.directory();
    for (copy, running) in [("running.db", true), ("stopped.db", false)] {
        if !running {
            assert!(gateway.terminate().success());
        }
        let info = said(&store(&directory, &["info"]));
        assert!(info.contains("pending            30 messages"), "{info}");
        assert!(
            info.contains(if running {
                "no, or a gateway"
            } else {
                "closed cleanly     yes"
            }),
            "{info}"
        );
        assert!(said(&store(&directory, &["check"])).contains("is whole"));
        let list = said(&store(&directory, &["list", "--limit", "10"]));
        let listed: Vec<_> = list
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert_eq!(listed, ids[..10]);
        assert!(list.contains(&place.exchange), "{list}");
        said(&store(&directory, &["backup", copy]));
        let url = format!("sqlite:{copy}");
        let copied = said(&store(&directory, &["--store-url", &url, "list"]));
        assert_eq!(copied.lines().count(), 30);
        let again = store(&directory, &["backup", copy]);
        assert!(!again.status.success(), "a copy overwrites nothing");
    }
}

#[tokio::test]
async fn operators_see_whose_a_message_is_and_when_it_is_due() {
    let keys = ("AMQPOST_API_KEYS", "billing:billings-key-0123456789");
    let mut network = proxy().await;
    network.refuse().await;
    let gateway = gateway(&network.amqp_url(), &[keys]).await;
    let key = ("authorization", "Bearer billings-key-0123456789");
    let now = json!({"routing_key": "now", "payload": "x"});
    let later = json!({"routing_key": "later", "payload": "x", "delay_ms": 3_600_000});
    let mut scheduled = None;
    for message in [&now, &later] {
        let answer = gateway.post_with(message, &[key]).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        scheduled = Some(answer);
    }
    let due = scheduled.expect("two were posted").text_at("/deliver_at");
    let list = said(&store(&gateway.directory(), &["list"]));
    let lines: Vec<_> = list.lines().collect();
    let [now, later] = lines[..] else {
        panic!("{list}");
    };
    assert!(now.ends_with("\"now\"  1 bytes  of billing"), "{now}");
    let due = format!("\"later\"  1 bytes  of billing  due {due}");
    assert!(later.ends_with(&due), "{later}");
}

#[tokio::test]
async fn a_damaged_store_is_told_and_not_opened() {
    let mut gateway = gateway(&shared_broker_url(), &[]).await;
    let file = gateway.directory().join("amqpost-data/amqpost.db");
    assert!(gateway.terminate().success());
    let bytes = std::fs::read(&file).expect("the file");
    std::fs::write(&file, &bytes[..bytes.len() / 2]).expect("written");
    let url = format!("sqlite:{}", file.display());
    let (status, log) =
        super::support::gateway::Gateway::start_in_vain([("AMQPOST_STORE_URL", url)]);
    assert!(!status.success());
    assert!(
        log.contains("damaged") || log.contains("not an amqpost store"),
        "{log}"
    );
    assert!(!store(&gateway.directory(), &["check"]).status.success());
}
