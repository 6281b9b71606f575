//! `GET /v1/groups/{group}`.

use std::pin::Pin;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::model::{ALICE, Answer, BOB, Rig};
use crate::domain::{MessageId, Status};

async fn publish(rig: &Rig, group: &str) -> MessageId {
    let body = json!({"payload": 1, "group": group}).to_string();
    assert_eq!(rig.publish(body).await.status.as_u16(), 202);
    let accepted = rig.model.accepted.lock();
    accepted.last().expect("a message").id
}

fn counts(group: &str, counts: [u64; 4]) -> Value {
    let [pending, confirmed, returned, failed] = counts;
    json!({
        "group": group, "total": counts.iter().sum::<u64>(), "pending": pending,
        "confirmed": confirmed, "returned": returned, "failed": failed,
    })
}

async fn wait(rig: &Rig, query: &str) -> Answer {
    let path = format!("/v1/groups/g{query}");
    rig.get_with(&path, &[("prefer", "wait=60")]).await
}

#[tokio::test]
async fn a_group_is_counted_by_status() {
    let rig = Rig::new();
    let first = publish(&rig, "g").await;
    let second = publish(&rig, "g").await;
    publish(&rig, "other").await;
    assert_eq!(
        rig.get("/v1/groups/g").await.json(),
        counts("g", [2, 0, 0, 0])
    );
    rig.model.settle(first, Status::Confirmed);
    rig.model.settle(second, Status::Returned);
    let third = publish(&rig, "g").await;
    rig.act(&format!("/v1/messages/{third}/cancel")).await;
    let answer = rig.get("/v1/groups/g").await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (200, counts("g", [0, 1, 1, 1]))
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("vary"), Some("Prefer"));
    assert_eq!(answer.header("preference-applied"), None);
    rig.act(&format!("/v1/messages/{second}/replay")).await;
    assert_eq!(
        rig.get("/v1/groups/g").await.json(),
        counts("g", [1, 1, 0, 1])
    );
}

#[tokio::test]
async fn names_are_percent_encoded() {
    let rig = Rig::new();
    for (encoded, group) in [
        ("a%2Fb", "a/b"),
        ("a%20b+c", "a b+c"),
        ("%c3%a4", "ä"),
        ("%25zz", "%zz"),
        ("..%2f", "../"),
    ] {
        publish(&rig, group).await;
        let answer = rig.get(&format!("/v1/groups/{encoded}")).await;
        assert_eq!(answer.json()["group"], group, "{encoded}");
    }
    for encoded in ["a%2fc", "%ff", "a/b", ""] {
        let answer = rig.get(&format!("/v1/groups/{encoded}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (404, "not_found".into()),
            "{encoded}"
        );
    }
}

#[tokio::test]
async fn each_caller_has_groups_of_its_own() {
    let rig = Rig::with_keys(false);
    let body = r#"{"payload":1,"group":"g"}"#;
    rig.publish_with(&[("authorization", ALICE)], body).await;
    let ask = async |key| {
        let headers = [("authorization", key)];
        rig.get_with("/v1/groups/g", &headers).await
    };
    assert_eq!(ask(BOB).await.code(), "not_found");
    rig.publish_with(&[("authorization", BOB)], body).await;
    rig.publish_with(&[("authorization", BOB)], body).await;
    assert_eq!(ask(ALICE).await.json()["total"], 1);
    assert_eq!(ask(BOB).await.json()["total"], 2);
    assert_eq!(rig.get("/v1/groups/g").await.code(), "unauthorized");
}

/// Time stands still while anything goes on, so a second is over only when nothing more comes.
async fn still_waits(ask: &mut Pin<&mut impl Future<Output = Answer>>) {
    let answer = timeout(Duration::from_secs(1), ask).await;
    assert!(answer.is_err(), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_nothing_is_pending_and_as_many_as_expected_were_accepted() {
    let rig = Rig::new();
    let first = publish(&rig, "g").await;
    let ask = wait(&rig, "?expect=2");
    tokio::pin!(ask);
    still_waits(&mut ask).await;
    rig.model.settle(first, Status::Confirmed);
    still_waits(&mut ask).await;
    let second = publish(&rig, "g").await;
    still_waits(&mut ask).await;
    // What happens elsewhere ends no wait.
    let other = publish(&rig, "h").await;
    rig.model.settle(other, Status::Confirmed);
    still_waits(&mut ask).await;
    rig.model.settle(second, Status::Returned);
    let answer = ask.await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (200, counts("g", [0, 1, 1, 0]))
    );
    assert_eq!(answer.header("preference-applied"), Some("wait=60"));
    // What is settled is told at once.
    assert_eq!(wait(&rig, "").await.json(), counts("g", [0, 1, 1, 0]));
    assert_eq!(wait(&rig, "?expect=2").await.status.as_u16(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_runs_out_is_still_a_200_with_the_last_counts() {
    let rig = Rig::new();
    let first = publish(&rig, "g").await;
    publish(&rig, "g").await;
    let ask = wait(&rig, "");
    tokio::pin!(ask);
    still_waits(&mut ask).await;
    rig.model.settle(first, Status::Confirmed);
    let answer = ask.await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (200, counts("g", [1, 1, 0, 0]))
    );
    let settled = wait(&rig, "?expect=3").await;
    assert_eq!(settled.json(), counts("g", [1, 1, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_group_is_waited_for_only_when_messages_are_expected() {
    let rig = Rig::new();
    for query in ["", "?expect=0"] {
        let answer = wait(&rig, query).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (404, "not_found".into())
        );
    }
    let ask = wait(&rig, "?expect=1");
    tokio::pin!(ask);
    still_waits(&mut ask).await;
    let only = publish(&rig, "g").await;
    still_waits(&mut ask).await;
    rig.model.settle(only, Status::Confirmed);
    assert_eq!(ask.await.json(), counts("g", [0, 1, 0, 0]));
    assert_eq!(rig.get("/v1/groups/x?expect=1").await.code(), "not_found");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_never_comes_is_unknown_at_the_end() {
    let answer = wait(&Rig::new(), "?expect=1").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (404, "not_found".into())
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_answered_when_the_stop_comes() {
    let rig = Rig::new();
    publish(&rig, "g").await;
    let ask = wait(&rig, "");
    tokio::pin!(ask);
    still_waits(&mut ask).await;
    rig.stop.send(true).expect("somebody listens");
    let answer = timeout(Duration::from_secs(1), ask).await;
    assert_eq!(answer.expect("an answer").json(), counts("g", [1, 0, 0, 0]));
}

#[tokio::test]
async fn a_number_that_is_expected_is_whole() {
    let rig = Rig::new();
    publish(&rig, "g").await;
    for bad in ["", "-1", "+1", "1.5", "x", "18446744073709551616"] {
        let answer = rig.get(&format!("/v1/groups/g?expect={bad}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (400, "invalid_query".into()),
            "{bad}"
        );
    }
    for query in ["expect=1&expect=1", "wait=5", "limit=1"] {
        let answer = rig.get(&format!("/v1/groups/g?{query}")).await;
        assert_eq!(answer.code(), "invalid_query", "{query}");
    }
    let answer = rig.get("/v1/groups/g?expect=18446744073709551615").await;
    assert_eq!(answer.status.as_u16(), 200);
}
