//! HTTPS as clients see it.

use std::time::{Duration, Instant};

use reqwest::{Client, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::https;
use super::support::authority::Authority;
use super::support::broker_node::shared_broker_url;
use super::support::callers::message;
use super::support::gateway::{Gateway, trusting};
use super::support::queues::{Kind, Place};
use super::support::wait::{self, SOON};

async fn connect(gateway: &Gateway) -> TcpStream {
    let address = gateway.url();
    let (_, address) = address.split_once("//").expect("a URL");
    TcpStream::connect(address).await.expect("a connection")
}

/// Publishes, waits for the outcome, and tells the protocol that the answer came by.
async fn publish(client: &Client, gateway: &Gateway, place: &Place) -> Version {
    let answer = client
        .post(format!("{}/v1/messages", gateway.url()))
        .header("prefer", "wait=30")
        .json(&message(place, "sealed"))
        .send()
        .await
        .expect("an answer");
    let version = answer.version();
    let json: serde_json::Value = answer.json().await.expect("JSON");
    assert_eq!(json["status"], "confirmed", "{json}");
    version
}

#[tokio::test]
async fn messages_are_published_by_http_1_1_and_by_http_2() {
    let authority = Authority::create();
    let gateway = https(&authority, &authority.issue("gateway"), &[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let trusting = || trusting(&authority.certificate());
    for (client, version) in [
        (trusting().http1_only(), Version::HTTP_11),
        (trusting(), Version::HTTP_2),
    ] {
        let client = client.build().expect("a client");
        assert_eq!(publish(&client, &gateway, &place).await, version);
    }
    assert_eq!(place.take_all().await.len(), 2);
}

#[tokio::test]
async fn http_2_is_also_spoken_in_the_clear_to_who_begins_with_it() {
    let gateway = Gateway::start([("AMQPOST_BROKER_URL", shared_broker_url())]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let client = Client::builder().no_proxy().http2_prior_knowledge();
    let client = client.build().expect("a client");
    assert_eq!(publish(&client, &gateway, &place).await, Version::HTTP_2);
}

#[tokio::test]
async fn a_client_that_trusts_another_authority_does_not_get_through() {
    let authority = Authority::create();
    let gateway = https(&authority, &authority.issue("gateway"), &[]).await;
    let stranger = trusting(&Authority::create().certificate());
    let client = stranger.build().expect("a client");
    let refused = client
        .get(format!("{}/healthz", gateway.url()))
        .send()
        .await;
    assert!(refused.expect_err("it is not trusted").is_connect());
    assert_eq!(gateway.get_path("/healthz").await.status, 200);
}

#[tokio::test]
async fn who_speaks_http_in_the_clear_to_it_is_told_so_and_ended() {
    let authority = Authority::create();
    let gateway = https(&authority, &authority.issue("gateway"), &[]).await;
    for (said, told) in [
        (
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "https://",
        ),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
        ("\r\n", ""),
    ] {
        let mut stream = connect(&gateway).await;
        stream.write_all(said.as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        // A reset is an end too.
        let _ = wait::within("an end", SOON, reading).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains(told), "{answer}");
        assert!(
            told.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn slow_handshakes_hurt_nobody_and_are_ended() {
    const SLOW: usize = 300;
    let authority = Authority::create();
    let settings = [
        ("AMQPOST_TLS_HANDSHAKE_SECONDS_MAX", "3"),
        ("AMQPOST_CONNECTIONS_MAX", "310"),
    ];
    let gateway = https(&authority, &authority.issue("gateway"), &settings).await;
    let mut slow = Vec::new();
    for number in 0..SLOW {
        let mut stream = connect(&gateway).await;
        if number % 2 == 0 {
            // The head of a handshake, of which the rest never comes.
            stream
                .write_all(&[22, 3, 1, 2, 0, 1])
                .await
                .expect("written");
        }
        slow.push(stream);
    }
    let client = trusting(&authority.certificate())
        .build()
        .expect("a client");
    let asked = Instant::now();
    let answer = client
        .get(format!("{}/healthz", gateway.url()))
        .send()
        .await;
    assert_eq!(answer.expect("an answer").status(), 200);
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );
    for mut stream in slow {
        let mut said = Vec::new();
        let _ = wait::within("an end", SOON, stream.read_to_end(&mut said)).await;
    }
    assert_eq!(gateway.get_path("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_health_check_asks_through_tls_whatever_the_certificate_says() {
    let authority = Authority::create();
    let gateway = https(&authority, &authority.issue("gateway"), &[]).await;
    let mut check = gateway.command(&["healthcheck", "--ready"]);
    let output = check.output().expect("the binary starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        printed,
        format!("{}/readyz answers 200 OK\n", gateway.url())
    );
}
