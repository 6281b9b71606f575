//! Bad requests, with the exact answer, and that nothing of them was done.

use axum::body::Body;
use axum::http::Request;
use proptest::prelude::*;

use super::super::model::Rig;
use super::{HOOK, NEVER, call, make_one};

/// Bodies that neither make nor change a webhook, with what is wrong with them.
const FAULTS: [(&str, &[&str]); 26] = [
    (r#"{"url":""}"#, &["/url"]),
    (r#"{"url":null}"#, &["/url"]),
    (r#"{"url":["https://hooks.example"]}"#, &["/url"]),
    (r#"{"url":"hooks.example"}"#, &["/url"]),
    (r#"{"url":"ftp://hooks.example/"}"#, &["/url"]),
    (r#"{"url":"https://me:secret@hooks.example/"}"#, &["/url"]),
    (r#"{"url":"https://hooks.example/#x"}"#, &["/url"]),
    (r#"{"url":"https://hooks.example:0/"}"#, &["/url"]),
    (r#"{"url":"http://127.0.0.1/"}"#, &["/url"]),
    (r#"{"url":"http://2130706433/"}"#, &["/url"]),
    (r#"{"url":"http://localhost:8080/"}"#, &["/url"]),
    (r#"{"url":"http://192.168.0.1/"}"#, &["/url"]),
    (r#"{"url":"http://100.64.0.1/"}"#, &["/url"]),
    (r#"{"url":"http://169.254.169.254/"}"#, &["/url"]),
    (r#"{"url":"http://[fe80::1]/"}"#, &["/url"]),
    (r#"{"url":"http://[64:ff9b::7f00:1]/"}"#, &["/url"]),
    (r#"{"url":"http://224.0.0.1/"}"#, &["/url"]),
    (r#"{"url":"http://0.0.0.0/"}"#, &["/url"]),
    (r#"{"url":"https://h.example","events":[]}"#, &["/events"]),
    (r#"{"url":"https://h.example","events":{}}"#, &["/events"]),
    (
        r#"{"url":"https://h.example","events":["confirmed"]}"#,
        &["/events/0"],
    ),
    (r#"{"url":"https://h.example","filter":"e"}"#, &["/filter"]),
    (
        r#"{"url":"https://h.example","filter":{"group":""}}"#,
        &["/filter/group"],
    ),
    (
        r#"{"url":"https://h.example","filter":{"routing_key":"k"}}"#,
        &["/filter/routing_key"],
    ),
    (r#"{"url":"https://h.example","enabled":1}"#, &["/enabled"]),
    (
        r#"{"url":"http://10.0.0.1","secret":"whsec_x","url":"x","event":[],"enabled":[]}"#,
        &["/secret", "/url", "/event", "/enabled"],
    ),
];

#[tokio::test]
async fn every_fault_of_a_webhook_is_told_and_nothing_is_made_or_changed() {
    let rig = Rig::new();
    let path = make_one(&rig, HOOK).await;
    let before = rig.model.webhooks();
    for (body, expected) in FAULTS {
        for (method, path) in [("POST", "/v1/webhooks"), ("PATCH", &*path)] {
            let answer = call(&rig, method, path, body).await;
            assert_eq!(answer.status.as_u16(), 422, "{method} {body}");
            assert_eq!(answer.code(), "invalid_request", "{method} {body}");
            assert_eq!(answer.pointers(), expected, "{method} {body}");
        }
    }
    let answer = call(&rig, "POST", "/v1/webhooks", "{}").await;
    assert_eq!(answer.pointers(), ["/url"]);
    let answer = call(&rig, "PATCH", &path, r#"{"enabled":null}"#).await;
    assert_eq!(answer.pointers(), ["/enabled"]);
    assert!(rig.model.webhooks() == before, "something has changed");
}

#[tokio::test]
async fn a_refusal_says_where_a_url_leads() {
    let rig = Rig::new();
    let answer = call(&rig, "POST", "/v1/webhooks", r#"{"url":"http://0x7f.1/"}"#).await;
    let detail = answer.json()["errors"][0]["detail"].clone();
    assert_eq!(
        detail,
        "leads to 127.0.0.1, a loopback address, which is not allowed"
    );
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_malformed() {
    let rig = Rig::new();
    let path = make_one(&rig, HOOK).await;
    for body in [
        "[]",
        "{",
        "null",
        "\"https://hooks.example\"",
        "{\"url\":}",
        "{} {}",
    ] {
        for (method, path) in [("POST", "/v1/webhooks"), ("PATCH", &*path)] {
            let answer = call(&rig, method, path, body).await;
            assert_eq!(
                (answer.status.as_u16(), &*answer.code()),
                (400, "malformed_json"),
                "{body}"
            );
        }
    }
    assert_eq!(rig.model.webhooks().len(), 1);
}

#[tokio::test]
async fn only_json_is_taken() {
    let rig = Rig::new();
    let path = make_one(&rig, HOOK).await;
    for (method, path) in [("POST", "/v1/webhooks"), ("PATCH", &*path)] {
        for content_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/merge-patch+json",
        ] {
            let request = Request::builder().method(method).uri(path);
            let request = request
                .header("host", "localhost")
                .header("content-type", content_type);
            let request = request.body(Body::from(HOOK)).expect("a request");
            let answer = rig.send(request).await;
            assert_eq!(
                (answer.status.as_u16(), &*answer.code()),
                (415, "unsupported_media_type")
            );
        }
    }
    assert_eq!(rig.model.webhooks().len(), 1);
}

/// Every operation without a body, and every one with a faulty id.
#[tokio::test]
async fn what_would_silently_mean_nothing_is_refused() {
    let rig = Rig::new();
    let path = make_one(&rig, HOOK).await;
    let delivery = "00000000-0000-8000-8000-000000000001";
    let operations = [
        ("POST", "/v1/webhooks".to_owned(), HOOK),
        ("GET", "/v1/webhooks".to_owned(), ""),
        ("GET", path.clone(), ""),
        ("PATCH", path.clone(), "{}"),
        ("POST", format!("{path}/rotate-secret"), ""),
        ("GET", format!("{path}/deliveries"), ""),
        ("POST", format!("{path}/deliveries/{delivery}/resend"), ""),
        ("DELETE", path.clone(), ""),
    ];
    let before = rig.model.webhooks();
    for (method, path, body) in &operations {
        let answer = call(&rig, method, &format!("{path}?x=1"), body).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (400, "invalid_query"),
            "{method} {path}"
        );
        let request = Request::builder()
            .method(*method)
            .uri(path)
            .header("host", "localhost");
        let request = request
            .header("amqp-priority", "1")
            .header("content-type", "application/json");
        let answer = rig
            .send(request.body(Body::from(*body)).expect("a request"))
            .await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (422, "invalid_request"),
            "{method} {path}"
        );
        if *method != "GET" && body.is_empty() {
            let answer = call(&rig, method, path, "{}").await;
            assert_eq!(
                (answer.status.as_u16(), &*answer.code()),
                (422, "invalid_request"),
                "{method} {path}"
            );
        }
        let unknown = path.replace(&before[0].id.to_string(), "x");
        if unknown != *path {
            for id in ["x", "%ff", NEVER, "0193a5c4"] {
                let unknown = path.replace(&before[0].id.to_string(), id);
                let answer = call(&rig, method, &unknown, body).await;
                assert_eq!(
                    (answer.status.as_u16(), &*answer.code()),
                    (404, "not_found"),
                    "{unknown}"
                );
            }
        }
    }
    for (method, path) in [
        ("PUT", &*path),
        ("DELETE", "/v1/webhooks"),
        ("GET", &*format!("{path}/rotate-secret")),
        ("POST", &*format!("{path}/deliveries")),
    ] {
        let answer = call(&rig, method, path, "").await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (405, "method_not_allowed"),
            "{method} {path}"
        );
        assert!(answer.header("allow").is_some());
    }
    assert!(rig.model.webhooks() == before, "something has changed");
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

proptest! {
    #[test]
    fn any_fields_make_a_webhook_or_are_refused_but_never_a_5xx(
        url in "\\PC{0,30}|https?://[a-z0-9.:\\[\\]%/?#@-]{0,30}",
        field in prop::sample::select(vec!["events", "filter", "enabled", "x"]),
        value in "(null|true|1|\"\\PC{0,9}\"|\\{\\}|\\{\"group\":(null|\"g\"|1)\\}|\\[(\"message.failed\")?\\])",
    ) {
        let url = serde_json::Value::from(url);
        let body = format!(r#"{{"url":{url},"{field}":{value}}}"#);
        let answer = run(call(&Rig::new(), "POST", "/v1/webhooks", &body));
        prop_assert!([201, 400, 422].contains(&answer.status.as_u16()), "{:?}", answer);
    }
}
