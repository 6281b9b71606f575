//! What a real broker refuses: permissions, sizes, properties, exchanges that vanish under load.
//!
//! One private node, on which every test has users and exchanges of its own.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "support/mod.rs"]
mod support;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amqpost::domain::{MessageId, ReasonCode, Status};
use serde_json::{Value, json};
use support::broker_node::PrivateNode;
use support::gateway::{Answer, Gateway};
use support::queues::{Kind, Place};
use support::stack::{Shape, Stack, draft};
use support::wait::{self, SOON};
use tokio::task::JoinSet;

/// More than any message of these tests, the ones that are meant apart. The limit is the node's.
const SIZE_MAX: usize = 50_000;

/// The node, with a small limit for messages.
async fn node() -> &'static PrivateNode {
    let node = PrivateNode::shared().await;
    // Up to 3.13 a channel asks for the first when it opens, since 4.0 for the second each time.
    node.eval(&format!(
        "application:set_env(rabbit, max_message_size, {SIZE_MAX}),
         persistent_term:put(max_message_size, {SIZE_MAX})"
    ))
    .await;
    node
}

/// A user who may write to what `write` matches, and do all else; gives the URL.
async fn user(node: &PrivateNode, name: &str, write: &str) -> String {
    node.eval(&format!(
        r#"rabbit_auth_backend_internal:add_user(<<"{name}">>, <<"secret">>, <<"test">>),
           rabbit_auth_backend_internal:set_permissions(
               <<"{name}">>, <<"/">>, <<".*">>, <<"{write}">>, <<".*">>, <<"test">>)"#
    ))
    .await;
    format!("amqp://{name}:secret@127.0.0.1:{}/%2f", node.port())
}

async fn gateway(url: &str) -> Arc<Gateway> {
    Arc::new(Gateway::start([("AMQPOST_BROKER_URL", url), ("AMQPOST_LANES", "2")]).await)
}

/// Posts refused messages among good ones, all at the same time, and gives the answers of the
/// refused. The good ones are confirmed and arrive.
async fn among_good_ones(gateway: &Arc<Gateway>, good: &Place, refused: &Value) -> Vec<Answer> {
    let mut posting = JoinSet::new();
    for number in 0..100 {
        let message = if number % 20 == 10 {
            refused.clone()
        } else {
            json!({"exchange": good.exchange, "routing_key": good.routing_key, "payload": "good",
                   "ordering_key": format!("key {}", number % 8)})
        };
        let gateway = Arc::clone(gateway);
        posting.spawn(async move {
            gateway
                .post_with(&message, &[("prefer", "wait=30, return=representation")])
                .await
        });
    }
    let answers = posting.join_all().await;
    let (good_ones, refused_ones): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|answer| answer.json["exchange"] == good.exchange.as_str());
    assert_eq!((good_ones.len(), refused_ones.len()), (95, 5));
    for answer in &good_ones {
        assert_eq!(answer.json["status"], "confirmed", "{}", answer.text);
        // A neighbour of what the broker closed a channel for may have been sent twice.
        let again = answer.json["attempts"].as_u64() > Some(1);
        assert_eq!(answer.json["duplicate_possible"], again, "{}", answer.text);
    }
    let arrived = good.take_all().await;
    let mut seen = HashSet::new();
    for one in &arrived {
        let first = seen.insert(one.amqpost_id());
        assert!(
            first || one.duplicate_possible(),
            "a duplicate without flag"
        );
    }
    assert_eq!(seen.len(), 95);
    refused_ones
}

fn assert_failed(answer: &Answer, code: &str, reply_code: u16, words: &str) {
    assert_eq!(answer.json["status"], "failed", "{}", answer.text);
    assert_eq!(answer.json["reason"]["code"], code, "{}", answer.text);
    assert_eq!(answer.json["reason"]["reply_code"], reply_code);
    let said = answer.text_at("/reason/reply_text");
    assert!(said.contains(words), "{said}");
}

#[tokio::test]
async fn a_user_who_may_not_write_to_one_exchange_can_write_to_the_others() {
    let node = node().await;
    let allowed = Place::declare(&node.url(), Kind::Quorum).await;
    let forbidden = Place::declare(&node.url(), Kind::Classic).await;
    let url = user(node, "writer", &format!("^{}$", allowed.exchange)).await;
    let gateway = gateway(&url).await;
    let refused = json!({"exchange": forbidden.exchange, "routing_key": forbidden.routing_key,
                         "payload": "refused"});
    // Since 4.0 it says what access.
    let words = format!(
        "access to exchange '{}' in vhost '/' refused for user 'writer'",
        forbidden.exchange
    );
    // The broker cuts long words.
    let words = &words[..words.len().min(200)];
    for answer in among_good_ones(&gateway, &allowed, &refused).await {
        assert_failed(&answer, "access_refused", 403, words);
    }
    assert!(forbidden.take_all().await.is_empty());
}

#[tokio::test]
async fn a_user_may_be_kept_to_some_topics() {
    let node = node().await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    let topic = Place::declare_topic(&node.url()).await;
    let url = user(node, "talker", ".*").await;
    node.eval(&format!(
        r#"rabbit_auth_backend_internal:set_topic_permissions(<<"talker">>, <<"/">>,
               <<"{}">>, <<"^open[.]">>, <<".*">>, <<"test">>)"#,
        topic.exchange
    ))
    .await;
    topic.bind("#").await;
    let gateway = gateway(&url).await;
    let secret =
        json!({"exchange": topic.exchange, "routing_key": "secret.plans", "payload": "refused"});
    for answer in among_good_ones(&gateway, &place, &secret).await {
        assert_failed(&answer, "access_refused", 403, "'secret.plans'");
    }
    let open = json!({"exchange": topic.exchange, "routing_key": "open.talk", "payload": "heard"});
    let answer = gateway.post_with(&open, &[("prefer", "wait=30")]).await;
    assert_eq!(answer.json["status"], "confirmed", "{}", answer.text);
    let heard = topic.take_all().await;
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].payload, b"heard");
}

#[tokio::test]
async fn an_internal_exchange_takes_nothing_from_outside() {
    let node = node().await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    let internal = Place::declare(&node.url(), Kind::Classic).await;
    internal.make_internal().await;
    let gateway = gateway(&node.url()).await;
    let refused = json!({"exchange": internal.exchange, "routing_key": internal.routing_key,
                         "payload": "refused"});
    for answer in among_good_ones(&gateway, &place, &refused).await {
        assert_failed(&answer, "access_refused", 403, "internal");
    }
    assert!(internal.take_all().await.is_empty());
}

#[tokio::test]
async fn a_message_over_the_brokers_limit_fails_and_one_at_the_limit_does_not() {
    let node = node().await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    let sized = Place::declare(&node.url(), Kind::Classic).await;
    let gateway = gateway(&node.url()).await;
    let message = |bytes: usize| {
        json!({"exchange": sized.exchange, "routing_key": sized.routing_key,
               "payload": "x".repeat(bytes)})
    };
    let words = format!(
        "message size {} is larger than configured max size",
        SIZE_MAX + 1
    );
    for answer in among_good_ones(&gateway, &place, &message(SIZE_MAX + 1)).await {
        assert_failed(&answer, "message_too_large", 406, &words);
    }
    let answer = gateway
        .post_with(&message(SIZE_MAX), &[("prefer", "wait=30")])
        .await;
    assert_eq!(answer.json["status"], "confirmed", "{}", answer.text);
    assert_eq!(sized.take_all().await.len(), 1);
}

/// The rules of the HTTP interface refuse it before; the broker is asked here without them.
#[tokio::test]
async fn a_user_id_that_is_not_the_connections_fails_its_message_only() {
    let node = node().await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    let shape = Shape {
        lanes: 1,
        ..Shape::default()
    };
    let stack = Stack::start(&[node.url()], &shape);
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for number in 0..200 {
        let mut message = draft(&place.exchange, &place.routing_key, number.to_string());
        if number % 40 == 20 {
            message.properties.user_id = Some("joe".into());
            bad.push(stack.accept(message).await);
        } else {
            good.push(stack.accept(message).await);
        }
    }
    stack.quiet(Duration::from_secs(30)).await;
    for id in bad {
        let outcome = stack.outcome(id).await;
        assert_eq!(outcome.status, Status::Failed, "{outcome:?}");
        let reason = outcome.reason.expect("a failed message has a reason");
        assert_eq!(reason.code, ReasonCode::PreconditionFailed);
        assert_eq!(reason.reply_code, Some(406));
        let words = reason.reply_text.expect("the broker said something");
        assert!(words.contains("user_id property set to 'joe'"), "{words}");
    }
    let arrived = place.take_all().await;
    let firsts = first_deliveries(&arrived);
    assert_eq!(
        firsts,
        good.iter().map(ToString::to_string).collect::<Vec<_>>()
    );
    stack.stop().await;
}

/// Ids in the order of their first arrival; every further one must be flagged.
fn first_deliveries(arrived: &[support::queues::Arrived]) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut firsts = Vec::new();
    for one in arrived {
        let id = one.amqpost_id().expect("every message carries its id");
        if seen.insert(id.clone()) {
            firsts.push(id);
        } else {
            assert!(one.duplicate_possible(), "{id} came twice without a flag");
        }
    }
    firsts
}

/// One that was accepted.
struct Accepted {
    id: MessageId,
    key: usize,
    /// Whether its exchange was gone before it was accepted.
    late: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_that_is_deleted_under_load_fails_what_comes_after_and_loses_nothing() {
    const KEYS: usize = 8;
    const BEFORE: usize = 2000;
    let node = node().await;
    let stays = Arc::new(Place::declare(&node.url(), Kind::Quorum).await);
    let goes = Arc::new(Place::declare(&node.url(), Kind::Quorum).await);
    for key in 0..KEYS {
        stays.bind(&format!("key.{key}")).await;
        goes.bind(&format!("key.{key}")).await;
    }
    let stack = Arc::new(Stack::start(&[node.url()], &Shape::default()));
    let deleted = Arc::new(AtomicBool::new(false));

    let mut writers = JoinSet::new();
    for key in 0..KEYS {
        for (place, is_going) in [(&stays, false), (&goes, true)] {
            let (stack, exchange) = (Arc::clone(&stack), place.exchange.clone());
            let deleted = Arc::clone(&deleted);
            writers.spawn(write(stack, exchange, key, is_going, deleted));
        }
    }
    // In the middle of the load, with messages in flight.
    wait::until("the load is on", SOON, || async {
        (goes.ready().await as usize >= BEFORE).then_some(())
    })
    .await;
    goes.delete_exchange().await;
    deleted.store(true, Ordering::SeqCst);
    let written = writers.join_all().await;
    stack.quiet(Duration::from_mins(1)).await;

    let (mut stayed, mut gone) = (Vec::new(), Vec::new());
    for (is_going, accepted) in written {
        if is_going { &mut gone } else { &mut stayed }.extend(accepted);
    }
    let in_stays = first_deliveries(&stays.take_all().await);
    let in_goes = first_deliveries(&goes.take_all().await);

    // Who had nothing to do with it: all arrive, in order.
    for one in &stayed {
        let outcome = stack.outcome(one.id).await;
        assert_eq!(outcome.status, Status::Confirmed, "{outcome:?}");
    }
    assert_order(&in_stays, &stayed);
    assert_eq!(in_stays.len(), stayed.len());

    // Who wrote to it: confirmed is in the queue, failed was late or in flight.
    let there: HashSet<_> = in_goes.iter().cloned().collect();
    let mut failed_keys = HashSet::new();
    let (mut confirmed, mut failed) = (0, 0);
    for one in &gone {
        let outcome = stack.outcome(one.id).await;
        let arrived = there.contains(&one.id.to_string());
        match outcome.status {
            Status::Confirmed => {
                confirmed += 1;
                assert!(arrived && !one.late, "{outcome:?}");
                assert!(
                    !failed_keys.contains(&one.key),
                    "it overtook one that failed"
                );
            }
            Status::Failed => {
                failed += 1;
                failed_keys.insert(one.key);
                let reason = outcome.reason.as_ref().expect("it failed for a reason");
                assert_eq!(reason.code, ReasonCode::ExchangeNotFound);
                assert!(!arrived || outcome.duplicate_possible, "{outcome:?}");
            }
            // The broker takes the bindings away first: what comes in between finds an exchange without any.
            Status::Returned => {
                assert!(!arrived && !one.late, "{outcome:?}");
            }
            Status::Pending => panic!("{outcome:?}"),
        }
    }
    assert!(confirmed >= BEFORE && failed > 0, "{confirmed}, {failed}");
    assert_order(&in_goes, &gone);
    Arc::into_inner(stack)
        .expect("the writers are done")
        .stop()
        .await;
}

/// Writes with one key until some came after the deletion.
async fn write(
    stack: Arc<Stack>,
    exchange: String,
    key: usize,
    is_going: bool,
    deleted: Arc<AtomicBool>,
) -> (bool, Vec<Accepted>) {
    const LATE_ONES: usize = 20;
    let mut accepted = Vec::new();
    let mut late_ones = 0;
    while late_ones < LATE_ONES {
        if stack.relay.health().pending_messages > 1000 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let late = deleted.load(Ordering::SeqCst);
        late_ones += usize::from(late);
        let payload = accepted.len().to_string();
        let message = draft(&exchange, &format!("key.{key}"), payload);
        let id = stack.accept(message).await;
        accepted.push(Accepted { id, key, late });
    }
    (is_going, accepted)
}

/// What arrived of each key has kept the order of acceptance.
fn assert_order(arrived: &[String], accepted: &[Accepted]) {
    let place: HashMap<String, (usize, usize)> = accepted
        .iter()
        .enumerate()
        .map(|(number, one)| (one.id.to_string(), (one.key, number)))
        .collect();
    let mut last: HashMap<usize, usize> = HashMap::new();
    for id in arrived {
        let (key, number) = place[id];
        if let Some(before) = last.insert(key, number) {
            assert!(before < number, "{id} of key {key} was overtaken");
        }
    }
}
