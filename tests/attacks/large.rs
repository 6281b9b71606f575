//! Bodies as large as they may be hold up nobody: whatever takes long to read is read apart.

use std::sync::Arc;

use reqwest::Method;

use super::Target;
use super::neighbours::{OnlyAttack, beside};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// Bodies at the same time: more than there are threads that serve connections.
const AT_ONCE: usize = 4;
const ROUNDS: usize = 2;

#[tokio::test]
async fn large_json_is_no_burden_for_the_neighbours() {
    let only = OnlyAttack::begin().await;
    let target = Arc::new(Target::start(&[]).await);
    // As much work as there can be: an array of very many numbers, and one message with one faulty field.
    let numbers = "1,".repeat((16 << 20) / 2 - 200);
    let good = target
        .message("\u{1}")
        .replace("\"\\u0001\"", &format!("[{numbers}1]"));
    let bad = good.replace("\"exchange\"", "\"exchanges\"");
    assert!(good.len() < 16 << 20);
    let attack = async {
        for _ in 0..ROUNDS {
            let posting = (0..AT_ONCE).map(|_| {
                target
                    .gateway
                    .request(Method::POST, "/v1/messages", &JSON, bad.clone())
            });
            for answer in futures_util::future::join_all(posting).await {
                assert_eq!(answer.status, 422, "{}", answer.text);
            }
        }
    };
    beside(&only, &target, "large JSON", attack).await;
    assert!(
        target
            .arrived()
            .await
            .iter()
            .all(|payload| payload == "good")
    );
}

#[tokio::test]
async fn a_large_payload_with_a_key_is_no_burden_for_the_neighbours() {
    let only = OnlyAttack::begin().await;
    let target = Arc::new(Target::start(&[]).await);
    let path = format!("/v1/exchanges/{}/messages", target.place.exchange);
    let keyed = [("idempotency-key", "one")];
    let first = target
        .gateway
        .request(Method::POST, &path, &keyed, "")
        .await;
    assert_eq!(first.status, 202, "{}", first.text);
    // Each is compared with the first one, and is another.
    let large = "x".repeat(16 << 20);
    let attack = async {
        for _ in 0..ROUNDS {
            let posting = (0..AT_ONCE).map(|_| {
                target
                    .gateway
                    .request(Method::POST, &path, &keyed, large.clone())
            });
            for answer in futures_util::future::join_all(posting).await {
                assert_eq!(
                    answer.json["code"], "idempotency_key_reused",
                    "{}",
                    answer.text
                );
            }
        }
    };
    beside(&only, &target, "large payloads with a key", attack).await;
}
