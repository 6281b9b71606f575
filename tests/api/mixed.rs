//! Good and unroutable messages over all three ways to publish, at the same time.

use std::collections::HashMap;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::support::broker_node::shared_broker_url;
use super::support::gateway::Gateway;
use super::support::queues::{Arrived, Kind, Place};
use super::{accepted_ids, all_final, gateway, post};

/// What was sent: the id, whether a queue wants it, and the bytes.
type Sent = Vec<(String, bool, Vec<u8>)>;

/// Every fifth goes nowhere.
fn is_wanted(number: usize) -> bool {
    number % 5 != 3
}

fn routing_key(place: &Place, number: usize) -> String {
    if is_wanted(number) {
        place.routing_key.clone()
    } else {
        "to nowhere".to_owned()
    }
}

async fn singles(gateway: Arc<Gateway>, place: Arc<Place>) -> Sent {
    let mut sent = Sent::new();
    for number in 0..25 {
        let payload = json!({"single": number, "text": "ä\u{0}\n"});
        let body = json!({"exchange": place.exchange, "routing_key": routing_key(&place, number),
                          "payload": payload});
        let answer = gateway.post(&body).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        sent.push((
            answer.id(),
            is_wanted(number),
            payload.to_string().into_bytes(),
        ));
    }
    sent
}

async fn raws(gateway: Arc<Gateway>, place: Arc<Place>) -> Sent {
    let mut sent = Sent::new();
    for number in 0..25 {
        // All bytes, and none at all.
        let payload: Vec<u8> = (0..=255).cycle().take(number * 20).collect();
        let key = routing_key(&place, number).replace(' ', "%20");
        let path = format!(
            "/v1/exchanges/{}/messages?routing_key={key}",
            place.exchange
        );
        let headers = [("amqp-type", "raw"), ("amqp-header-number", "n")];
        let answer = gateway
            .request(Method::POST, &path, &headers, payload.clone())
            .await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        sent.push((answer.id(), is_wanted(number), payload));
    }
    sent
}

async fn batches(gateway: Arc<Gateway>, place: Arc<Place>, as_lines: bool) -> Sent {
    let mut sent = Sent::new();
    for batch in 0..5 {
        let payload = |number: usize| format!("{as_lines} {batch} {number}");
        let mut items: Vec<_> = (0..100)
            .map(|number| {
                json!({"exchange": place.exchange, "routing_key": routing_key(&place, number),
                       "payload": payload(number)})
            })
            .collect();
        // Faulty ones among them change nothing for the others.
        items.insert(50, json!({"payload": 1, "nonsense": 1}));
        let answer = if as_lines {
            let lines: Vec<_> = items.iter().map(Value::to_string).collect();
            let headers = [("content-type", "application/x-ndjson")];
            let path = "/v1/messages/batch";
            gateway
                .request(Method::POST, path, &headers, lines.join("\n"))
                .await
        } else {
            post(
                &gateway,
                "/v1/messages/batch",
                &[],
                &json!({"messages": items}),
            )
            .await
        };
        assert_eq!(answer.status, 207, "{}", answer.text);
        assert_eq!(
            answer.json["results"][50]["error"]["code"],
            "invalid_message"
        );
        let ids = accepted_ids(&answer);
        assert_eq!(ids.len(), 100);
        for (number, id) in ids.into_iter().enumerate() {
            sent.push((id, is_wanted(number), payload(number).into_bytes()));
        }
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_of_every_way_ends_as_it_must_and_arrives_byte_for_byte() {
    let gateway = gateway(&[]).await;
    let place = Arc::new(Place::declare(&shared_broker_url(), Kind::Quorum).await);
    let mut sending = JoinSet::new();
    sending.spawn(singles(gateway.clone(), place.clone()));
    sending.spawn(raws(gateway.clone(), place.clone()));
    sending.spawn(batches(gateway.clone(), place.clone(), false));
    sending.spawn(batches(gateway.clone(), place.clone(), true));
    let sent: Sent = sending.join_all().await.concat();
    assert_eq!(sent.len(), 25 + 25 + 500 + 500);

    let ids: Vec<_> = sent.iter().map(|(id, ..)| id.clone()).collect();
    for (message, (id, wanted, payload)) in all_final(&gateway, &[], &ids).await.iter().zip(&sent) {
        let expected = if *wanted { "confirmed" } else { "returned" };
        assert_eq!(message["status"], expected, "{message}");
        assert_eq!(message["id"], *id);
        assert_eq!(message["size_bytes"], payload.len());
        let reason = if *wanted {
            Value::Null
        } else {
            json!("no_route")
        };
        assert_eq!(message["reason"]["code"], reason);
    }

    let arrived = place.take_all().await;
    let wanted: HashMap<_, _> = (sent.iter())
        .filter(|(_, wanted, _)| *wanted)
        .map(|(id, _, payload)| (id.clone(), payload.clone()))
        .collect();
    assert_eq!(arrived.len(), wanted.len());
    let got: HashMap<_, _> = (arrived.into_iter())
        .map(|one| (one.amqpost_id().expect("an id"), one.payload))
        .collect();
    assert!(got == wanted, "some payload is not what was sent");
}

#[tokio::test]
async fn the_items_of_a_batch_arrive_in_its_order() {
    let gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let items: Vec<_> = (0..1000)
            .map(|number| {
                json!({"exchange": place.exchange, "routing_key": place.routing_key,
                       "payload": number})
            })
            .collect();
        let answer = post(
            &gateway,
            "/v1/messages/batch",
            &[],
            &json!({"messages": items}),
        )
        .await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        ids.extend(accepted_ids(&answer));
    }
    for id in &ids {
        assert_eq!(gateway.wait_final(id).await.message_status(), "confirmed");
    }
    let order: Vec<_> = (place.take_all().await.iter())
        .filter_map(Arrived::amqpost_id)
        .collect();
    assert!(
        order == ids,
        "the order of arrival is not that of the batches"
    );
}
