//! What is told, to whom, and how soon.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::reader::Follower;
use super::support::broker_node::shared_broker_url;
use super::support::callers::gateway;
use super::support::queues::{Kind, Place};
use super::{post_batch, settled};

#[tokio::test]
async fn each_outcome_is_told_soon_once_and_as_it_can_be_asked_for() {
    let gateway = gateway(&shared_broker_url(), &[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let mut follower = Follower::new(format!("{}/v1/events", gateway.url()), &[], None);
    follower.come().await;
    let mut worst = Duration::ZERO;
    for round in 1..=10 {
        post_batch(&gateway, &[], &place, 10).await;
        follower.read(round * 10).await;
        let told = follower.events.last().expect("an event").json();
        worst = worst.max(since(told["settled_at"].as_str().expect("a time")));
    }
    assert!(worst < Duration::from_secs(2), "{worst:?}");
    follower.assert_in_order();
    assert!(follower.is_quiet().await);
    for event in &follower.events {
        let told = event.json();
        let id = told["id"].as_str().expect("an id");
        assert_eq!(gateway.get(id).await.json, told);
        let status = told["status"].as_str().expect("a status");
        assert_eq!(event.event, format!("message.{status}"));
    }
    let told: HashSet<_> = follower.messages().into_iter().collect();
    assert_eq!(told.len(), 100);
    assert_eq!(follower.connections, 1);
}

/// How long ago that was, by the clock on the wall.
fn since(time: &str) -> Duration {
    let time: jiff::Timestamp = time.parse().expect("a time");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("later");
    let then = u64::try_from(time.as_millisecond()).expect("later");
    now.saturating_sub(Duration::from_millis(then))
}

#[tokio::test]
async fn callers_and_filters_divide_the_events() {
    let keys = [(
        "AMQPOST_API_KEYS",
        "alice:key-of-alice-0123456789,bob:key-of-bob-0123456789",
    )];
    let gateway = gateway(&shared_broker_url(), &keys).await;
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let alice = [("authorization", "Bearer key-of-alice-0123456789")];
    let bob = [("authorization", "Bearer key-of-bob-0123456789")];
    let follow = |query: &str, who| {
        Follower::new(format!("{}/v1/events{query}", gateway.url()), who, Some(0))
    };
    let nobody = reqwest::get(format!("{}/v1/events", gateway.url())).await;
    assert_eq!(nobody.expect("an answer").status(), 401);
    // Half is told from the store, and half as it happens.
    let mut all = follow("", &alice);
    let mut confirmed = follow("?status=confirmed", &alice);
    let mut returned = follow("?reason=no_route&routing_key=nowhere", &alice);
    let mut bobs = follow("", &bob);
    let mut of_alice = post_batch(&gateway, &alice, &place, 30).await;
    let mut of_bob = post_batch(&gateway, &bob, &place, 30).await;
    settled(&gateway).await;
    for (follower, count) in [
        (&mut all, 30),
        (&mut confirmed, 20),
        (&mut returned, 10),
        (&mut bobs, 30),
    ] {
        follower.read(count).await;
    }
    of_bob.extend(post_batch(&gateway, &bob, &place, 30).await);
    of_alice.extend(post_batch(&gateway, &alice, &place, 30).await);
    for (follower, count, ids) in [
        (&mut all, 60, &of_alice),
        (&mut confirmed, 40, &of_alice),
        (&mut returned, 20, &of_alice),
        (&mut bobs, 60, &of_bob),
    ] {
        follower.read(count).await;
        follower.assert_in_order();
        assert!(follower.is_quiet().await);
        let told: HashSet<_> = follower.messages().into_iter().collect();
        assert_eq!(told.len(), count);
        assert!(told.iter().all(|id| ids.contains(id)), "{}", follower.url);
        assert_eq!((follower.connections, follower.gaps.len()), (1, 0));
    }
    assert!(
        confirmed
            .events
            .iter()
            .all(|one| one.event == "message.confirmed")
    );
    assert!(
        returned
            .events
            .iter()
            .all(|one| one.event == "message.returned")
    );
}
