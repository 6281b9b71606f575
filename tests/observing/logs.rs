//! The log: one line for a request, found by its id, and nothing in it that is a caller's secret.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::broker_node::shared_broker_url;
use super::support::gateway::{Answer, Gateway};
use super::support::queues::{Kind, Place};
use super::support::wait;

const KEY: &str = "0123456789abcdef-of-shop";
const BEARER: (&str, &str) = ("authorization", "Bearer 0123456789abcdef-of-shop");
const JSON: (&str, &str) = ("content-type", "application/json");

/// What must never be in a log, each in some place where a caller or an operator has put it.
const SECRETS: [&str; 9] = [
    KEY,
    "a-wrong-key-that-nobody-has",
    "the-payload-of-a-message",
    "the-value-of-a-header",
    "the-content-of-a-faulty-body",
    "the-token-of-a-callback",
    "the-token-of-a-query",
    "the-password-of-the-broker",
    "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
];

/// The lines of the access log, as JSON.
fn requests(gateway: &Gateway) -> Vec<Value> {
    let lines = gateway.log();
    let lines = lines.lines().map(serde_json::from_str);
    let lines = lines.map(|line: Result<Value, _>| line.expect("every line is JSON"));
    lines
        .filter(|line| line["target"] == "amqpost::access")
        .collect()
}

async fn ask(gateway: &Gateway, headers: &[(&str, &str)]) -> Answer {
    let path = "/v1/messages/0193a5c4-0000-7000-8000-000000000000";
    gateway.request(Method::GET, path, headers, "").await
}

#[tokio::test]
async fn a_request_is_one_line_with_the_id_that_its_answer_has() {
    let settings = [
        ("AMQPOST_BROKER_URL", "amqp://127.0.0.1:1"),
        ("AMQPOST_LOG_FORMAT", "json"),
        ("AMQPOST_LOG_FILTER", "info,amqpost::access=debug"),
    ];
    let gateway = Gateway::start(settings).await;
    let given = ask(&gateway, &[("x-request-id", "order-4711/7")]).await;
    assert_eq!(given.header("x-request-id"), Some("order-4711/7"));
    let improper = ask(&gateway, &[("x-request-id", "two words")]).await;
    let made = improper.header("x-request-id").expect("an id").to_owned();
    assert!(
        made.len() == 32 && made.bytes().all(|b| b.is_ascii_hexdigit()),
        "{made}"
    );
    let alive = gateway.get_path("/healthz").await;
    let good = alive.header("x-request-id").expect("an id").to_owned();

    let lines = requests(&gateway);
    for (id, status, message) in [
        ("order-4711/7", 404, "refused"),
        (&*made, 404, "refused"),
        (&*good, 200, "answered"),
    ] {
        let of_it: Vec<_> = lines
            .iter()
            .filter(|line| line["fields"]["request_id"] == id)
            .collect();
        assert_eq!(of_it.len(), 1, "{id}: {lines:?}");
        let fields = &of_it[0]["fields"];
        assert_eq!(
            (&fields["status"], &fields["message"]),
            (&json!(status), &json!(message))
        );
        assert_eq!(fields["method"], "GET");
        assert!(fields["duration_seconds"].as_f64().is_some(), "{fields}");
    }
    assert!(!gateway.log().contains("two words"));
}

#[tokio::test]
async fn nothing_secret_is_logged_at_the_usual_level_or_while_debugging() {
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    for filter in ["info", "debug", "trace"] {
        let keys = format!("shop:{KEY}");
        let secrets = format!("shop:{}", SECRETS[8]);
        let settings = [
            ("AMQPOST_BROKER_URL", shared_broker_url()),
            ("AMQPOST_API_KEYS", keys),
            ("AMQPOST_WEBHOOK_SECRETS", secrets),
            ("AMQPOST_WEBHOOK_ALLOW", "127.0.0.0/8".into()),
            ("AMQPOST_LOG_FILTER", filter.into()),
        ];
        let gateway = Gateway::start(settings).await;
        let stranger = tell_secrets(&gateway, &place).await;
        let log = gateway.log();
        let told: Vec<_> = SECRETS
            .iter()
            .filter(|secret| log.contains(**secret))
            .collect();
        assert!(told.is_empty(), "{filter}: {told:?} in {log}");
        // It did log what happened.
        assert!(log.contains("refused"), "{log}");
        assert_eq!(log.contains("answered"), filter != "info", "{log}");
        // Strangers cannot fill it, and can be looked for.
        assert_eq!(
            log.contains(&stranger),
            filter != "info",
            "{stranger}: {log}"
        );
    }
}

/// Requests good and bad, with all kinds of secrets in them. Gives the id of one without a valid key.
async fn tell_secrets(gateway: &Gateway, place: &Place) -> String {
    let message = json!({
        "exchange": place.exchange, "routing_key": place.routing_key,
        "payload": "the-payload-of-a-message",
        "properties": {"headers": {"token": "the-value-of-a-header"}},
        "callback_url": "http://127.0.0.1:1/?token=the-token-of-a-callback",
    });
    let wait = ("prefer", "wait=30");
    let post = |headers: Vec<(&'static str, &'static str)>, body: String| async move {
        gateway
            .request(Method::POST, "/v1/messages", &headers, body)
            .await
    };
    let good = post(vec![JSON, BEARER, wait], message.to_string()).await;
    assert_eq!(good.json["status"], "confirmed", "{}", good.text);
    let wrong = ("authorization", "Bearer a-wrong-key-that-nobody-has");
    let refused = post(vec![JSON, wrong], message.to_string()).await;
    assert_eq!(refused.status, 401, "{}", refused.text);
    let id = refused.header("x-request-id").expect("an id").to_owned();
    for faulty in [
        "{the-content-of-a-faulty-body",
        r#"{"exchange":"e","payload":1,"the-content-of-a-faulty-body":1}"#,
    ] {
        let refused = post(vec![JSON, BEARER], faulty.to_owned()).await;
        assert!(refused.status.is_client_error(), "{}", refused.text);
    }
    let path = "/v1/messages?token=the-token-of-a-query";
    let refused = gateway.request(Method::GET, path, &[BEARER], "").await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    id
}

#[tokio::test]
async fn the_password_of_the_broker_is_not_logged_when_it_is_refused() {
    let url = shared_broker_url();
    let (_, host) = url.rsplit_once('@').expect("a URL with a user");
    let url = format!("amqp://guest:the-password-of-the-broker@{host}");
    let settings = [
        ("AMQPOST_BROKER_URL", &*url),
        ("AMQPOST_LOG_FILTER", "debug"),
    ];
    let gateway = Gateway::start(settings).await;
    wait::until("the refusal is logged", wait::SOON, || async {
        gateway.log().contains("ACCESS_REFUSED").then_some(())
    })
    .await;
    assert!(
        !gateway.log().contains("the-password-of-the-broker"),
        "{}",
        gateway.log()
    );
}
