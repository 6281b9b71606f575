//! History that is forgotten, and a store that is another one.

use serde_json::json;

use super::reader::Follower;
use super::support::broker_node::shared_broker_url;
use super::support::callers::gateway;
use super::support::queues::{Kind, Place};
use super::support::wait;
use super::{post_batch, settled};

#[tokio::test]
async fn what_is_forgotten_is_a_gap_for_those_whom_it_concerns() {
    // Room for some hundred records of confirmed and returned messages.
    let small = [("AMQPOST_HISTORY_BYTES_MAX", "60000")];
    let gateway = gateway(&shared_broker_url(), &small).await;
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let follow = |query: &str, last_id| {
        Follower::new(
            format!("{}/v1/events{query}", gateway.url()),
            &[],
            Some(last_id),
        )
    };
    for round in 0..3 {
        let key = &place.routing_key;
        let item = json!({"exchange": place.exchange, "routing_key": key, "payload": 1});
        super::post_items(&gateway, &[], &vec![item; 300]).await;
        settled(&gateway).await;
        if round == 0 {
            post_batch(&gateway, &[], &place, 300).await;
        }
    }
    // Confirmed ones make way, also without any more messages; all of the returned ones stay.
    let forgotten = wait::until("confirmed ones are forgotten", wait::SOON, || async {
        let stats = gateway
            .get_path("/v1/messages?status=confirmed&limit=1000")
            .await;
        let kept = stats.json["messages"].as_array().expect("messages").len();
        (kept < 700).then_some(1100 - kept)
    })
    .await;
    let mut returned = follow("?status=returned", 1);
    returned.read(100).await;
    assert!(returned.is_quiet().await);
    assert_eq!(returned.gaps, Vec::<serde_json::Value>::new());
    let mut everything = follow("", 1);
    everything.read(101).await;
    let gap = everything
        .gaps
        .first()
        .expect("a gap before the events")
        .clone();
    assert_eq!((everything.gaps.len(), &gap["from"]), (1, &json!(1)));
    let to = gap["to"].as_u64().expect("a position");
    assert!(to >= forgotten as u64 && to < 1200, "{to}");
    // Behind it nothing is missing.
    let behind = usize::try_from(1200 - to).expect("few");
    let before = (everything.events.iter())
        .filter(|event| event.id <= Some(to))
        .count();
    everything.read(before + behind).await;
    assert!(everything.is_quiet().await);
    everything.assert_in_order();
    let last: Vec<_> = everything.events[before..]
        .iter()
        .map(|event| event.id)
        .collect();
    assert_eq!(last, (to + 1..=1200).map(Some).collect::<Vec<_>>());
    // From the oldest that is kept, there is nothing to be told of.
    let mut oldest = follow("", 0);
    oldest.read(before + behind).await;
    assert_eq!((oldest.gaps.len(), oldest.events), (0, everything.events));
}

#[tokio::test]
async fn a_position_of_another_store_is_a_gap_and_everything_that_is_kept() {
    let in_memory = [("AMQPOST_STORE_URL", "memory:")];
    let mut gateway = gateway(&shared_broker_url(), &in_memory).await;
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let mut follower = Follower::new(format!("{}/v1/events", gateway.url()), &[], None);
    follower.come().await;
    post_batch(&gateway, &[], &place, 50).await;
    follower.read(50).await;
    assert_eq!(follower.last_id, Some(50));
    // What was in memory is gone, and positions start anew.
    gateway.restart().await;
    follower.come().await;
    post_batch(&gateway, &[], &place, 20).await;
    follower.read(70).await;
    assert_eq!(follower.gaps, [json!({"from": 50, "to": 0})]);
    assert_eq!(follower.last_id, Some(20));
    assert_eq!(follower.connections, 2);
}
