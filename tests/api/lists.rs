//! Lists while messages come and settle.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::support::broker_node::shared_broker_url;
use super::support::gateway::Gateway;
use super::support::queues::{Kind, Place};
use super::{accepted_ids, all_final, gateway, post};

/// The ids of a whole list, page by page.
async fn walk(gateway: &Gateway, query: &str) -> Vec<String> {
    let (mut ids, mut path) = (Vec::new(), format!("/v1/messages?{query}"));
    loop {
        let page = gateway.get_path(&path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let messages = page.json["messages"].as_array().expect("messages");
        ids.extend(
            messages
                .iter()
                .filter_map(|one| one["id"].as_str().map(str::to_owned)),
        );
        assert!(ids.len() < 10_000, "the list does not end");
        match page.json["next_cursor"].as_str() {
            Some(next) => path = format!("/v1/messages?{query}&cursor={next}"),
            None => return ids,
        }
    }
}

#[tokio::test]
async fn a_list_has_every_message_once_newest_first_also_while_more_come() {
    let gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let mut all = Vec::new();
    for key in [place.routing_key.as_str(), "to nowhere", "to nowhere"] {
        let item = json!({"exchange": place.exchange, "routing_key": key, "payload": key});
        let batch = json!({"messages": vec![item; 70]});
        all.extend(accepted_ids(
            &post(&gateway, "/v1/messages/batch", &[], &batch).await,
        ));
    }
    // While some are still settling, and while more come.
    let more = async {
        for _ in 0..20 {
            let item = json!({"exchange": place.exchange, "routing_key": "later", "payload": 1});
            assert_eq!(gateway.post(&item).await.status, 202);
        }
    };
    let newest_first: Vec<_> = all.iter().rev().cloned().collect();
    let (listed, ()) = tokio::join!(walk(&gateway, "limit=9"), more);
    let known: HashSet<_> = all.iter().collect();
    let of_before: Vec<_> = listed.into_iter().filter(|id| known.contains(id)).collect();
    assert_eq!(of_before, newest_first);

    all_final(&gateway, &[], &all).await;
    assert_eq!(
        walk(&gateway, "status=confirmed&limit=33").await,
        newest_first[140..]
    );
    let returned = walk(
        &gateway,
        "status=returned&reason=no_route&routing_key=to+nowhere",
    )
    .await;
    assert_eq!(returned, newest_first[..140]);
    let exchange = format!(
        "exchange={}&routing_key={}",
        place.exchange, place.routing_key
    );
    assert_eq!(walk(&gateway, &exchange).await, newest_first[140..]);
    assert!(walk(&gateway, "status=failed").await.is_empty());

    let stats = gateway.get_path("/v1/stats").await.json;
    assert_eq!(stats["counts"]["confirmed"], 70, "{stats}");
    assert!(stats["rates"]["accepted"].as_f64() > Some(0.0), "{stats}");
    let payload = format!("/v1/messages/{}/payload", newest_first[0]);
    let payload = gateway.request(Method::GET, &payload, &[], "").await;
    assert_eq!(
        (payload.status.as_u16(), payload.text.as_str()),
        (200, "to nowhere")
    );
    assert_eq!(
        payload.header("content-type"),
        Some("application/octet-stream")
    );
    let gone = gateway
        .get_path(&format!("/v1/messages/{}/payload", all[0]))
        .await;
    assert_eq!(
        (gone.status.as_u16(), &gone.json["code"]),
        (410, &Value::from("payload_not_kept"))
    );
}
