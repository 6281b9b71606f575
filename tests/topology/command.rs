//! `amqpost topology check` and `declare`.

use serde_json::json;

use super::support::broker_node::PrivateNode;
use super::support::queues::unique;
use super::{Wanted, command, declare, is_there, quorum};

#[tokio::test]
async fn check_tells_what_is_missing_what_differs_and_what_is_there_and_changes_nothing() {
    let node = PrivateNode::shared().await;
    let url = node.url();
    let differing = unique("differing");
    let mut wanted = Wanted::new();
    let (queue, exchange) = (wanted.queue.clone(), wanted.exchange.clone());

    let (code, said) = command(&url, "check", &wanted.file());
    assert_eq!(code, 3, "{said}");
    assert!(
        said.contains(&format!("to be declared   exchange {exchange:?}")),
        "{said}"
    );
    assert!(
        said.contains(&format!("to be declared   queue {queue:?}")),
        "{said}"
    );
    assert!(said.contains("to be declared   binding \"key\""), "{said}");
    assert!(
        said.contains("0 as in the file, 3 to be declared, 0 would be refused"),
        "{said}"
    );
    assert!(!is_there(&url, &queue).await, "checking has declared");

    let (code, said) = command(&url, "declare", &wanted.file());
    assert_eq!(code, 0, "{said}");
    assert_eq!(said.matches("is there  ").count(), 3, "{said}");
    assert!(is_there(&url, &queue).await);

    let (code, said) = command(&url, "check", &wanted.file());
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("unknown          binding \"key\""), "{said}");
    assert!(
        said.contains("AMQP cannot be asked about bindings"),
        "{said}"
    );
    assert!(
        said.contains("2 as in the file, 0 to be declared"),
        "{said}"
    );

    declare(&url, &differing, false, None)
        .await
        .expect("declared");
    wanted = wanted.with_queues([quorum(&differing), quorum(&unique("missing"))]);
    wanted.json["bindings"][0]["source"] = "no-such-exchange".into();
    for verb in ["check", "declare", "check"] {
        let (code, said) = command(&url, verb, &wanted.file());
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains(&format!(
                "differs          queue {differing:?}: PRECONDITION_FAILED"
            )),
            "{said}"
        );
        assert!(
            said.contains("refused          binding \"key\" from exchange \"no-such-exchange\""),
            "{said}"
        );
        assert!(said.contains("note             bindings[0]"), "{said}");
    }
}

#[test]
fn a_mistake_and_a_broker_that_is_away_are_failures_of_their_own_words() {
    let mut wanted = Wanted::new();
    let nowhere = "amqp://guest:s3cret@127.0.0.1:1/%2f";
    let (code, said) = command(nowhere, "check", &wanted.file());
    assert_eq!(code, 1);
    assert!(
        said.contains("refused") && !said.contains("s3cret"),
        "{said}"
    );
    wanted.json["queues"] = json!([{"name": ""}]);
    let (code, said) = command(nowhere, "check", &wanted.file());
    assert_eq!(code, 1);
    assert!(
        said.contains("queues[0]") && said.contains("topology.json"),
        "{said}"
    );
}
