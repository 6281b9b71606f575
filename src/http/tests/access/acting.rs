//! Who may replay, cancel and use webhooks.

use super::super::model::{ALICE, BOB};
use super::{Act, NEVER, Status, call, get, only, publish, rig_of_alice};
use crate::domain::access::Sight;
use crate::relay::Replay;

/// Every request that needs a right beside seeing, about something that is there and something that is
/// not; a body that is broken would be told after that.
fn wishes(id: &str) -> Vec<(Act, &'static str, String)> {
    let webhook = format!("/v1/webhooks/{id}");
    vec![
        (Act::Replay, "POST", format!("/v1/messages/{id}/replay")),
        (Act::Replay, "POST", "/v1/replays".to_owned()),
        (Act::Cancel, "POST", format!("/v1/messages/{id}/cancel")),
        (Act::Webhooks, "POST", "/v1/webhooks".to_owned()),
        (Act::Webhooks, "PATCH", webhook.clone()),
        (Act::Webhooks, "DELETE", webhook.clone()),
        (Act::Webhooks, "POST", format!("{webhook}/rotate-secret")),
        (
            Act::Webhooks,
            "POST",
            format!("{webhook}/deliveries/x/resend"),
        ),
    ]
}

#[tokio::test]
async fn without_a_right_nothing_is_done_and_nothing_told() {
    for right in Act::ALL {
        let others: Vec<_> = Act::ALL.into_iter().filter(|act| *act != right).collect();
        let rig = rig_of_alice(only(&others));
        let own = publish(&rig, ALICE, Status::Returned).await;
        let bobs = publish(&rig, BOB, Status::Returned).await;
        for id in [&own.to_string(), &bobs.to_string(), NEVER, "no-uuid"] {
            for (act, method, path) in wishes(id).into_iter().filter(|(act, ..)| *act == right) {
                for (path, body) in [(path.clone(), ""), (path.clone(), "{"), (path + "?x=1", "")] {
                    let answer = call(&rig, ALICE, method, &path, body).await;
                    let told = (answer.status.as_u16(), answer.code());
                    assert_eq!(
                        told,
                        (403, "forbidden".to_owned()),
                        "{act:?} {method} {path}"
                    );
                }
            }
        }
        let replays = get(&rig, ALICE, &format!("/v1/messages/{own}"))
            .await
            .json();
        assert_eq!(replays["replays"], 0);
        assert!(rig.model.webhooks().is_empty());
    }
}

#[tokio::test]
async fn with_one_right_the_others_are_not_given() {
    for right in Act::ALL {
        let rig = rig_of_alice(only(&[right]));
        for (act, method, path) in wishes(NEVER) {
            let answer = call(&rig, ALICE, method, &path, "").await;
            assert_eq!(
                answer.code() == "forbidden",
                act != right,
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn to_see_ones_own_webhooks_needs_no_right() {
    let rig = rig_of_alice(only(&[]));
    assert_eq!(get(&rig, ALICE, "/v1/webhooks").await.status.as_u16(), 200);
    let path = format!("/v1/webhooks/{NEVER}/deliveries");
    assert_eq!(get(&rig, ALICE, &path).await.code(), "not_found");
}

#[tokio::test]
async fn to_see_everything_is_not_to_act() {
    let mut rights = only(&[]);
    rights.see = Sight::All;
    let rig = rig_of_alice(rights);
    let id = publish(&rig, BOB, Status::Returned).await;
    let path = format!("/v1/messages/{id}");
    assert_eq!(get(&rig, ALICE, &path).await.status.as_u16(), 200);
    let replay = call(&rig, ALICE, "POST", &format!("{path}/replay"), "").await;
    assert_eq!(replay.code(), "forbidden");
}

#[tokio::test]
async fn what_its_caller_may_not_publish_any_more_is_not_replayed() {
    let rig = rig_of_alice(only(&[Act::Replay]));
    let id = publish(&rig, ALICE, Status::Returned).await;
    rig.model.replayings.lock().push_back(Replay::Forbidden);
    let answer = call(
        &rig,
        ALICE,
        "POST",
        &format!("/v1/messages/{id}/replay"),
        "",
    )
    .await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (403, "forbidden".into())
    );
}
