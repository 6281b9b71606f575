//! The figures of `/metrics` are those of what has happened.

use reqwest::Method;
use serde_json::json;

use super::scrape::Scrape;
use super::support::broker_node::shared_broker_url;
use super::support::callers::{broker_is_up, gateway, message};
use super::support::gateway::Gateway;
use super::support::process;
use super::support::queues::{Kind, Place, unique};

const WAIT: (&str, &str) = ("prefer", "wait=30");

#[tokio::test]
async fn what_became_of_messages_is_counted_by_status_and_reason() {
    let gateway = gateway(&shared_broker_url(), &[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let good = message(&place, "12345678");
    let mut lost = good.clone();
    lost["routing_key"] = json!("nobody");
    let mut poison = good.clone();
    poison["exchange"] = json!(unique("missing"));
    let mut later = good.clone();
    later["delay_ms"] = json!(3_600_000);
    for _ in 0..2 {
        gateway.post_with(&good, &[WAIT]).await;
    }
    gateway.post_with(&lost, &[WAIT]).await;
    gateway.post_with(&poison, &[WAIT]).await;
    let cancelled = gateway.post(&later).await.id();
    let path = format!("/v1/messages/{cancelled}/cancel");
    let answer = gateway.request(Method::POST, &path, &[], "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    gateway.post(&later).await;

    let scrape = Scrape::of(&gateway).await;
    let settled = |status, reason| {
        let labels = [("status", status), ("reason", reason)];
        scrape.value("amqpost_settled_messages_total", &labels)
    };
    assert_eq!(settled("confirmed", "none"), 2);
    assert_eq!(settled("returned", "no_route"), 1);
    assert_eq!(settled("failed", "exchange_not_found"), 1);
    assert_eq!(settled("failed", "cancelled"), 1);
    assert_eq!(settled("failed", "nacked"), 0);
    assert_eq!(scrape.sum("amqpost_settled_messages_total"), 5);
    assert_eq!(scrape.value("amqpost_accepted_messages_total", &[]), 6);
    assert_eq!(
        scrape.value("amqpost_accepted_payload_bytes_total", &[]),
        48
    );
    assert_eq!(
        scrape.value("amqpost_accept_duration_seconds_count", &[]),
        6
    );
    // One was cancelled before it was tried, and one waits.
    assert_eq!(
        scrape.value("amqpost_settle_duration_seconds_count", &[]),
        4
    );
    assert!(scrape.value("amqpost_commit_duration_seconds_count", &[]) >= 6);
    assert_eq!(scrape.value("amqpost_pending_messages", &[]), 1);
    assert_eq!(scrape.value("amqpost_scheduled_messages", &[]), 1);
    assert!(scrape.value("amqpost_pending_bytes", &[]) > 500);
    assert_eq!(scrape.value("amqpost_in_flight_messages", &[]), 0);
    assert_eq!(
        scrape.value("amqpost_stored_messages", &[("status", "returned")]),
        1
    );
    assert!(scrape.value("amqpost_store_bytes", &[]) > 0);
    let handovers = |outcome| scrape.value("amqpost_handovers_total", &[("outcome", outcome)]);
    assert_eq!((handovers("confirmed"), handovers("returned")), (2, 1));
    let requests = |route, status| {
        let labels = [("method", "POST"), ("route", route), ("status", status)];
        scrape.value("amqpost_http_requests_total", &labels)
    };
    assert_eq!(requests("/v1/messages", "2xx"), 6);
    assert_eq!(requests("/v1/messages/{id}/cancel", "2xx"), 1);
    assert_eq!(requests("/v1/messages", "5xx"), 0);
}

#[tokio::test]
async fn a_replay_is_counted_and_a_refusal_by_its_code() {
    let gateway = gateway(&shared_broker_url(), &[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let mut lost = message(&place, "later");
    lost["routing_key"] = json!("nobody");
    let id = gateway.post_with(&lost, &[WAIT]).await.id();
    place.bind("nobody").await;
    let path = format!("/v1/messages/{id}/replay");
    gateway.request(Method::POST, &path, &[], "").await;
    gateway.wait_final(&id).await;
    let refused = gateway.request(Method::POST, &path, &[], "").await;
    assert_eq!(refused.status, 409, "{}", refused.text);

    let scrape = Scrape::of(&gateway).await;
    assert_eq!(scrape.value("amqpost_replayed_messages_total", &[]), 1);
    let code = [("code", "not_replayable")];
    assert_eq!(scrape.value("amqpost_http_problems_total", &code), 1);
    // How long a life after a replay takes says nothing of the way from acceptance.
    assert_eq!(
        scrape.value("amqpost_settle_duration_seconds_count", &[]),
        1
    );
}

#[tokio::test]
async fn the_broker_and_the_backlog_are_told_while_it_is_away_and_when_it_is_there() {
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let away = Gateway::start([("AMQPOST_BROKER_URL", "amqp://127.0.1:1")]).await;
    away.post(&message(&place, "waits")).await;
    let scrape = Scrape::of(&away).await;
    assert_eq!(scrape.value("amqpost_accepting", &[]), 1);
    assert_eq!(scrape.value("amqpost_lanes", &[]), 4);
    assert_eq!(scrape.sum("amqpost_lane_up"), 0);
    assert_eq!(scrape.value("amqpost_pending_messages", &[]), 1);
    assert!(scrape.value("amqpost_oldest_pending_age_seconds", &[]) < 60);

    let gateway = gateway(&shared_broker_url(), &[("AMQPOST_LANES", "3")]).await;
    broker_is_up(&gateway).await;
    let scrape = Scrape::of(&gateway).await;
    assert_eq!(scrape.all("amqpost_lane_up").len(), 3);
    assert_eq!(scrape.sum("amqpost_lane_up"), 3);
    assert_eq!(scrape.value("amqpost_oldest_pending_age_seconds", &[]), 0);
}

/// Prometheus, who may see and nothing else, and a caller who publishes.
const CALLERS: &str = r#"
[callers.watch]
# printf 0123456789abcdef-watch | sha256sum
keys = ["sha256:7eb73b8ef350ecdbe4c9e03ec17bb5b318aeaa267eac4f75225c9cfe99ae1809"]
publish = []
act = []
see = "all"
[callers.shop]
# printf 0123456789abcdef-shop | sha256sum
keys = ["sha256:fbd319e835019cb8f0166882f1bf46d603c1a278d1ff7b5a04a3ad2ab0d4246f"]
"#;
const WATCH: (&str, &str) = ("authorization", "Bearer 0123456789abcdef-watch");
const SHOP: (&str, &str) = ("authorization", "Bearer 0123456789abcdef-shop");

/// A file with [`CALLERS`], for as long as its directory is kept.
fn callers() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("there is room");
    let file = directory.path().join("amqpost.toml");
    std::fs::write(&file, CALLERS).expect("the directory is ours");
    let file = file.display().to_string();
    (directory, file)
}

#[tokio::test]
async fn where_keys_are_needed_the_metrics_are_for_who_sees_all() {
    let (_directory, file) = callers();
    let gateway = gateway(&shared_broker_url(), &[("AMQPOST_CONFIG", &file)]).await;
    let refused = gateway.get_path("/metrics").await;
    assert_eq!(refused.status, 401, "{}", refused.text);
    let refused = gateway.request(Method::GET, "/metrics", &[SHOP], "").await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    let told = gateway.request(Method::GET, "/metrics", &[WATCH], "").await;
    Scrape::read(&told);
}

#[tokio::test]
async fn the_management_listener_needs_no_key_and_answers_nothing_else() {
    let port = process::free_port();
    let address = format!("127.0.0.1:{port}");
    let (_directory, file) = callers();
    let settings = [
        ("AMQPOST_CONFIG", &*file),
        ("AMQPOST_MANAGEMENT_LISTEN", &*address),
    ];
    let gateway = gateway(&shared_broker_url(), &settings).await;
    let ask = |path: &'static str| {
        let url = format!("http://{address}{path}");
        async { reqwest::get(url).await.expect("an answer") }
    };
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(path).await.status(), 200, "{path}");
    }
    let told = ask("/metrics").await.text().await.expect("a text");
    let ordinary = gateway.request(Method::GET, "/metrics", &[WATCH], "").await;
    let names = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with("# TYPE"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(names(&told), names(&ordinary.text));
    for path in ["/v1/stats", "/v1/messages", "/openapi.yaml", "/"] {
        assert_eq!(ask(path).await.status(), 404, "{path}");
    }
}
