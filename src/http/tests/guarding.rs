//! Only this machine is served, unless everybody is.

use axum::body::Body;
use axum::http::{Request, StatusCode, Version};

use super::model::Rig;
use crate::domain::access::Callers;

async fn refused(rig: &Rig, uri: &str, headers: &[(&str, &str)]) -> Option<String> {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = rig
        .send(request.body(Body::empty()).expect("a request"))
        .await;
    answer.status.is_client_error().then(|| answer.code())
}

#[tokio::test]
async fn other_hosts_and_other_sites_are_refused() {
    let rig = Rig::new();
    let host = ("host", "localhost:8080");
    for (uri, headers, expected) in [
        ("/healthz", &[host][..], None),
        ("/healthz", &[], Some("malformed_request")),
        (
            "/healthz",
            &[("host", "example.com")],
            Some("host_not_allowed"),
        ),
        ("/healthz", &[host, host], Some("malformed_request")),
        (
            "/nothing",
            &[("host", "example.com")],
            Some("host_not_allowed"),
        ),
        (
            "http://example.com/healthz",
            &[host],
            Some("host_not_allowed"),
        ),
        ("http://127.0.0.1/healthz", &[host], None),
        (
            "/healthz",
            &[host, ("origin", "http://localhost:3000")],
            None,
        ),
        (
            "/healthz",
            &[host, ("origin", "https://example.com")],
            Some("cross_site_request"),
        ),
        (
            "/healthz",
            &[host, ("origin", "null")],
            Some("cross_site_request"),
        ),
        ("/healthz", &[host, ("sec-fetch-site", "same-origin")], None),
        ("/healthz", &[host, ("sec-fetch-site", "none")], None),
        (
            "/healthz",
            &[host, ("sec-fetch-site", "same-site")],
            Some("cross_site_request"),
        ),
        (
            "/healthz",
            &[host, ("sec-fetch-site", "cross-site")],
            Some("cross_site_request"),
        ),
    ] {
        let code = refused(&rig, uri, headers).await;
        assert_eq!(code.as_deref(), expected, "{uri} {headers:?}");
    }
}

#[tokio::test]
async fn messages_from_other_hosts_and_other_sites_are_refused_on_their_short_way_too() {
    let rig = Rig::new();
    let host = ("host", "localhost");
    for (headers, expected) in [
        (vec![("host", "example.com")], "host_not_allowed"),
        (
            vec![host, ("origin", "https://example.com")],
            "cross_site_request",
        ),
    ] {
        let mut request = Request::post("/v1/messages").header("content-type", "application/json");
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let body = r#"{"exchange":"e","routing_key":"k","payload":"p"}"#;
        let answer = rig
            .send(request.body(body.into()).expect("a request"))
            .await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{headers:?}");
        assert_eq!(answer.code(), expected, "{headers:?}");
    }
}

#[tokio::test]
async fn an_old_client_needs_no_host() {
    let mut request = Request::get("/healthz")
        .body(Body::empty())
        .expect("a request");
    *request.version_mut() = Version::HTTP_10;
    assert_eq!(Rig::new().send(request).await.status, StatusCode::OK);
}

#[tokio::test]
async fn everybody_is_served_when_that_was_said() {
    let mut callers = Callers::default();
    callers.allow_anonymous = true;
    let rig = Rig::with_callers(callers);
    let headers = [("host", "example.com"), ("origin", "https://example.com")];
    assert_eq!(refused(&rig, "/healthz", &headers).await, None);
}
