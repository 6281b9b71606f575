//! Who may see everybody's messages sees them wherever messages are seen; webhooks stay each caller's own.

use std::time::Duration;

use serde_json::json;

use super::super::model::{ALICE, Answer, BOB, Rig};
use super::{NEVER, OPERATOR, Rights, Status, call, callers, get, named, publish};
use crate::domain::access::{Callers, Sight};

fn rig() -> Rig {
    Rig::with_callers(callers(Rights::default(), Rights::default()))
}

#[tokio::test]
async fn single_messages_and_payloads_are_seen() {
    let rig = rig();
    for key in [ALICE, BOB] {
        let id = publish(&rig, key, Status::Returned).await;
        let told = get(&rig, OPERATOR, &format!("/v1/messages/{id}")).await;
        assert_eq!(told.json()["id"], id.to_string());
        let payload = get(&rig, OPERATOR, &format!("/v1/messages/{id}/payload")).await;
        assert_eq!(payload.body, b"1");
        let body = json!({"ids": [id.to_string(), NEVER]}).to_string();
        let found = call(&rig, OPERATOR, "POST", "/v1/messages/lookup", &body).await;
        assert_eq!(found.json()["messages"][0]["id"], id.to_string());
        assert_eq!(found.json()["not_found"], json!([NEVER]));
    }
    let never = get(&rig, OPERATOR, &format!("/v1/messages/{NEVER}")).await;
    assert_eq!(never.code(), "not_found");
}

#[tokio::test]
async fn lists_groups_and_numbers_are_of_everybody() {
    let rig = rig();
    for (key, status) in [
        (ALICE, Status::Pending),
        (BOB, Status::Returned),
        (OPERATOR, Status::Confirmed),
    ] {
        publish(&rig, key, status).await;
    }
    let list = get(&rig, OPERATOR, "/v1/messages").await.json();
    assert_eq!(list["messages"].as_array().map(Vec::len), Some(3));
    let counts = json!({"pending": 1, "confirmed": 1, "returned": 1, "failed": 0});
    let stats = get(&rig, OPERATOR, "/v1/stats").await.json();
    assert_eq!(stats["counts"], counts);
    let oldest = rig.model.accepted.lock()[0].id.to_string();
    assert_eq!(stats["backlog"]["oldest"]["id"], oldest);
    let group = get(&rig, OPERATOR, "/v1/groups/g").await.json();
    let expected = json!({"group": "g", "total": 3, "pending": 1, "confirmed": 1, "returned": 1,
                          "failed": 0});
    assert_eq!(group, expected);
    let own = get(&rig, BOB, "/v1/groups/g").await.json();
    assert_eq!(own["total"], 1);
}

#[tokio::test]
async fn who_waits_for_a_group_of_everybody_hears_of_each() {
    let rig = rig();
    publish(&rig, ALICE, Status::Confirmed).await;
    let bobs = publish(&rig, BOB, Status::Pending).await;
    let headers = [("authorization", OPERATOR), ("prefer", "wait=60")];
    let waiting = rig.get_with("/v1/groups/g?expect=2", &headers);
    let settling = async {
        tokio::task::yield_now().await;
        rig.model.settle(bobs, Status::Returned);
    };
    let both = async { tokio::join!(waiting, settling).0 };
    let told = tokio::time::timeout(Duration::from_secs(20), both).await;
    let told = told.expect("the wait ends").json();
    assert_eq!((&told["total"], &told["returned"]), (&json!(2), &json!(1)));
}

#[tokio::test]
async fn others_messages_are_cancelled_and_replayed() {
    let rig = rig();
    let pending = publish(&rig, ALICE, Status::Pending).await;
    let returned = publish(&rig, BOB, Status::Returned).await;
    let act = async |id, what| {
        let path = format!("/v1/messages/{id}/{what}");
        call(&rig, OPERATOR, "POST", &path, "")
            .await
            .status
            .as_u16()
    };
    assert_eq!(act(pending, "cancel").await, 200);
    assert_eq!(act(returned, "replay").await, 202);
    // They stay whose they were.
    let owned = get(&rig, BOB, &format!("/v1/messages/{returned}")).await;
    assert_eq!(owned.json()["replays"], 1);
}

#[tokio::test]
async fn a_replay_of_everybodys_is_seen_by_who_sees_everybodys() {
    let rig = rig();
    publish(&rig, ALICE, Status::Returned).await;
    let begin = async |key| {
        let wish = r#"{"status":"returned","exchange":"e"}"#;
        let begun = call(&rig, key, "POST", "/v1/replays", wish).await;
        assert_eq!(begun.status.as_u16(), 202, "{begun:?}");
        begun.header("location").expect("a place").to_owned()
    };
    let ask = async |key, place: &str| get(&rig, key, place).await.status.as_u16();
    let (of_all, of_alice) = (begin(OPERATOR).await, begin(ALICE).await);
    assert_eq!(
        (ask(OPERATOR, &of_all).await, ask(ALICE, &of_all).await),
        (200, 404)
    );
    assert_eq!(
        (ask(OPERATOR, &of_alice).await, ask(ALICE, &of_alice).await),
        (200, 200)
    );
    assert_eq!(ask(BOB, &of_alice).await, 404);
}

#[tokio::test]
async fn keys_and_webhooks_stay_each_callers_own() {
    let rig = rig();
    let keyed = r#"{"exchange":"e","payload":1,"idempotency_key":"key"}"#;
    call(&rig, ALICE, "POST", "/v1/messages", keyed).await;
    let hook = r#"{"url":"https://hooks.example/in"}"#;
    let made = call(&rig, ALICE, "POST", "/v1/webhooks", hook).await.json();
    let path = format!("/v1/webhooks/{}", made["id"].as_str().expect("an id"));
    assert_eq!(get(&rig, OPERATOR, &path).await.code(), "not_found");
    let listed = get(&rig, OPERATOR, "/v1/webhooks").await.json();
    assert_eq!(listed, json!({"webhooks": []}));
    // A key means something only together with whose it is.
    let by_key = "/v1/messages?idempotency_key=key";
    let found = async |key| {
        get(&rig, key, by_key).await.json()["messages"]
            .as_array()
            .map(Vec::len)
    };
    assert_eq!(
        (found(OPERATOR).await, found(ALICE).await),
        (Some(0), Some(1))
    );
    // A webhook of the operator's tells of the operator's own messages.
    let made = call(&rig, OPERATOR, "POST", "/v1/webhooks", hook)
        .await
        .json();
    let path = format!(
        "/v1/webhooks/{}/deliveries",
        made["id"].as_str().expect("an id")
    );
    publish(&rig, ALICE, Status::Returned).await;
    let told = async || {
        get(&rig, OPERATOR, &path).await.json()["deliveries"]
            .as_array()
            .map(Vec::len)
    };
    assert_eq!(told().await, Some(0));
    publish(&rig, OPERATOR, Status::Returned).await;
    assert_eq!(told().await, Some(1));
}

#[tokio::test]
async fn the_figures_of_all_are_for_who_sees_all() {
    let rig = rig();
    for key in [ALICE, BOB] {
        let refused = get(&rig, key, "/metrics").await;
        assert_eq!(refused.status.as_u16(), 403, "{refused:?}");
        assert_eq!(refused.code(), "forbidden");
        // Whatever else is wrong with the request.
        assert_eq!(get(&rig, key, "/metrics?x=1").await.code(), "forbidden");
    }
    assert_eq!(get(&rig, OPERATOR, "/metrics").await.status.as_u16(), 200);
    assert_eq!(rig.get("/metrics").await.code(), "unauthorized");
    // Who comes without a key where others have some is one caller of several.
    let open = Rig::with_keys(true);
    assert_eq!(open.get("/metrics").await.code(), "forbidden");
    // Where nobody has a name, everything is everybody's.
    let mut nobody = Callers::default();
    nobody.allow_anonymous = true;
    let nobody = Rig::with_callers(nobody);
    assert_eq!(nobody.get("/metrics").await.status.as_u16(), 200);
    assert_eq!(Rig::new().get("/metrics").await.status.as_u16(), 200);
}

#[tokio::test]
async fn new_rights_hold_from_the_next_request_on() {
    let rig = rig();
    let id = publish(&rig, ALICE, Status::Returned).await;
    let path = format!("/v1/messages/{id}");
    let ask = async |key| -> Answer { get(&rig, key, &path).await };
    assert_eq!(ask(BOB).await.code(), "not_found");
    let all = Rights {
        see: Sight::All,
        ..Rights::default()
    };
    rig.callers
        .send_replace(callers(Rights::default(), all).into());
    assert_eq!(ask(BOB).await.status.as_u16(), 200);
    // With the key of Alice alone left, those of the others are nobody's.
    let mut left = Callers::default();
    left.name(named("bob"), Rights::default());
    rig.callers.send_replace(left.into());
    for key in [ALICE, BOB, OPERATOR] {
        assert_eq!(ask(key).await.code(), "unauthorized");
    }
}
