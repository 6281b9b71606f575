//! What is refused is told, and everything else is declared and published.

use lapin::options::QueueDeleteOptions;
use serde_json::{Value, json};

use super::support::broker_node::PrivateNode;
use super::support::callers::assert_confirmed;
use super::support::queues::{self, unique};
use super::{Wanted, declare, is_there, quorum, topology_is};

fn codes(topology: &Value) -> Vec<(&str, &str)> {
    let problems = topology["problems"].as_array().expect("an array");
    problems
        .iter()
        .map(|problem| {
            let text = |field: &str| problem[field].as_str().expect("a text");
            (text("entry"), text("code"))
        })
        .collect()
}

#[tokio::test]
async fn what_differs_is_told_the_rest_works_and_mending_is_noticed() {
    let node = PrivateNode::shared().await;
    let differing = unique("differing");
    declare(&node.url(), &differing, false, Some("classic"))
        .await
        .expect("declared");
    let wanted = Wanted::new().with_queues([quorum(&differing)]);
    let gateway = wanted.gateway(&node.url()).await;
    let id = wanted.post(&gateway).await;
    assert_confirmed(&gateway.wait_final(&id).await);

    let topology = topology_is(&gateway, "mismatch").await;
    let entry = format!("queue {differing:?}");
    assert_eq!(codes(&topology), [(entry.as_str(), "precondition_failed")]);
    let detail = topology["problems"][0]["detail"].as_str().expect("a text");
    assert!(
        detail.contains("inequivalent arg 'x-queue-type'"),
        "{detail}"
    );
    let log = gateway.log();
    assert!(log.contains(detail), "{log}");

    let connection = queues::connect(&node.url()).await;
    let channel = connection.create_channel().await.expect("a channel");
    channel
        .queue_delete(differing.as_str().into(), QueueDeleteOptions::default())
        .await
        .expect("deleted");
    topology_is(&gateway, "declared").await;
    declare(&node.url(), &differing, false, Some("quorum"))
        .await
        .expect("it is a quorum queue now");
}

/// For a type that it does not know the broker closes the connection, and since 3.13 the channel. Long
/// names make it cut its text within a character: lapin does not read that, and since 4.0 the broker itself
/// fails over it.
#[tokio::test]
async fn no_refusal_hurts_the_other_entries() {
    let node = PrivateNode::shared().await;
    let long = [
        format!("{}{}", unique("l"), "é".repeat(80)),
        format!("{}x{}", unique("l"), "é".repeat(80)),
    ];
    for name in &long {
        declare(&node.url(), name, false, Some("classic"))
            .await
            .expect("declared");
    }
    let mut wanted = Wanted::new().with_queues(
        long.iter()
            .map(|name| quorum(name))
            .chain([json!({"name": unique("odd"), "arguments": {"x-max-length": "many"}})]),
    );
    let good = wanted.json["exchanges"][0].clone();
    wanted.json["exchanges"] = json!([{"name": unique("odd"), "type": "x-no-such-type"}, good]);
    let binding = wanted.json["bindings"][0].clone();
    let mut nowhere = binding.clone();
    nowhere["destination"] = "no-such-queue".into();
    wanted.json["bindings"] = json!([nowhere, binding]);

    let gateway = wanted.gateway(&node.url()).await;
    let id = wanted.post(&gateway).await;
    assert_confirmed(&gateway.wait_final(&id).await);
    let topology = topology_is(&gateway, "mismatch").await;
    let mut codes: Vec<_> = codes(&topology).into_iter().map(|(_, code)| code).collect();
    let version = node.eval("rabbit_misc:version()").await;
    // Of the two long names one is cut between characters.
    let (of_type, of_long) = if version.starts_with("\"3.") {
        ("refused", ["no_answer", "precondition_failed"])
    } else {
        ("precondition_failed", ["refused", "refused"])
    };
    codes[1..3].sort_unstable();
    assert_eq!(codes[0], of_type, "{version}: {topology}");
    assert_eq!(codes[1..3], of_long, "{version}: {topology}");
    assert_eq!(
        codes[3..],
        ["precondition_failed", "not_found"],
        "{topology}"
    );
}

#[tokio::test]
async fn a_missing_permission_is_told_without_secrets() {
    let node = PrivateNode::shared().await;
    node.eval(
        r#"rabbit_auth_backend_internal:add_user(<<"modest">>, <<"s3cret">>, <<"test">>),
           rabbit_auth_backend_internal:set_permissions(
               <<"modest">>, <<"/">>, <<"^amqpost-test-exchange">>, <<".*">>, <<".*">>, <<"test">>)"#,
    )
    .await;
    let url = format!("amqp://modest:s3cret@127.0.0.1:{}/%2f", node.port());
    let mut wanted = Wanted::new();
    wanted.json["bindings"] = json!([]);
    let gateway = wanted.gateway(&url).await;
    let topology = topology_is(&gateway, "mismatch").await;
    let entry = format!("queue {:?}", wanted.queue);
    assert_eq!(codes(&topology), [(entry.as_str(), "access_refused")]);
    assert!(!is_there(&node.url(), &wanted.queue).await);
    assert!(!gateway.log().contains("s3cret"));
    // Publishing goes on.
    let id = wanted.post(&gateway).await;
    assert_eq!(gateway.wait_final(&id).await.json["status"], "returned");
}
