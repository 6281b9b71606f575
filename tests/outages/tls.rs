//! Brokers behind TLS, trusted by a certificate authority of the test's own.

use super::support::authority::{Authority, quoted};
use super::support::broker_node::PrivateNode;
use super::support::process;
use super::support::queues::{Kind, Place, unique};
use super::{assert_confirmed, assert_down, broker_is_up, gateway, message, node};

/// Lets the node listen with TLS on one more port, and gives the URL.
async fn listen(authority: &Authority, node: &PrivateNode) -> String {
    let port = process::free_port();
    let broker = authority.issue("broker");
    node.eval(&format!(
        "{{ok, _}} = application:ensure_all_started(ssl),
         ok = rabbit_networking:start_ssl_listener({port},
             [{{cacertfile, {}}}, {{certfile, {}}}, {{keyfile, {}}}], 2)",
        quoted(&authority.certificate()),
        quoted(&broker.cert),
        quoted(&broker.key)
    ))
    .await;
    format!("amqps://guest:guest@127.0.0.1:{port}/%2f")
}

#[tokio::test]
async fn messages_are_published_and_exchanges_asked_about_through_tls() {
    let node = node().await;
    let authority = Authority::create();
    let url = listen(&authority, &node).await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    let certificate = authority.certificate().display().to_string();
    let settings = [
        ("SSL_CERT_FILE", certificate.as_str()),
        ("AMQPOST_LOG_FILTER", "amqpost=debug"),
    ];
    let gateway = gateway(&url, &settings).await;
    let wait = [("prefer", "wait=30")];
    let answer = gateway.post_with(&message(&place, "sealed"), &wait).await;
    assert_confirmed(&answer);
    broker_is_up(&gateway).await;
    let large = message(&place, &"sealed ".repeat(100_000));
    assert_confirmed(&gateway.post_with(&large, &wait).await);
    let missing = serde_json::json!({"exchange": unique("missing"), "payload": "lost"});
    let answer = gateway.post_with(&missing, &wait).await;
    assert_eq!(answer.json["reason"]["code"], "exchange_not_found");
    let log = gateway.log();
    assert!(!log.contains("cannot ask"), "{log}");
    assert_eq!(place.take_all().await.len(), 2);
}

#[tokio::test]
async fn a_broker_that_another_authority_vouches_for_is_not_spoken_to() {
    let node = node().await;
    let authority = Authority::create();
    let url = listen(&authority, &node).await;
    let place = Place::declare(&node.url(), Kind::Classic).await;
    let stranger = Authority::create();
    let certificate = stranger.certificate().display().to_string();
    let gateway = gateway(&url, &[("SSL_CERT_FILE", certificate.as_str())]).await;
    assert_down(&gateway, &place, "certificate").await;
    assert!(place.take_all().await.is_empty());
}
