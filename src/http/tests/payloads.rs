//! Stored bytes, given back.

use super::model::Rig;
use super::refusing::assert_refused;
use crate::domain::{MessageId, Status};

async fn publish(rig: &Rig, headers: &[(&str, &str)], body: &'static [u8]) -> MessageId {
    let answer = rig.post("/v1/exchanges/e/messages", headers, body).await;
    assert_eq!(answer.status.as_u16(), 202, "{answer:?}");
    let accepted = rig.model.accepted.lock();
    accepted.last().expect("a message").id
}

#[tokio::test]
async fn bytes_come_back_so_that_a_browser_runs_nothing_of_them() {
    for (given, encoding, told) in [
        (None, None, "application/octet-stream"),
        (
            Some("text/html; charset=utf-8"),
            None,
            "text/html; charset=utf-8",
        ),
        (Some("odd"), None, "application/octet-stream"),
        (
            Some("text/html, text/plain"),
            None,
            "application/octet-stream",
        ),
        (Some("text/plain"), Some("identity"), "text/plain"),
        (
            Some("application/json"),
            Some("gzip"),
            "application/octet-stream",
        ),
    ] {
        let rig = Rig::new();
        let headers: Vec<_> = [("content-type", given), ("content-encoding", encoding)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let id = publish(&rig, &headers, b"\x1f\x8b\0<script>").await;
        let answer = rig.get(&format!("/v1/messages/{id}/payload")).await;
        assert_eq!(answer.status.as_u16(), 200);
        assert_eq!(answer.body, b"\x1f\x8b\0<script>");
        let disposition = format!("attachment; filename=\"{id}\"");
        for (name, value) in [
            ("content-type", Some(told)),
            ("content-encoding", None),
            ("amqpost-content-type", given),
            ("amqpost-content-encoding", encoding),
            ("content-disposition", Some(disposition.as_str())),
            ("x-content-type-options", Some("nosniff")),
            (
                "content-security-policy",
                Some("sandbox; default-src 'none'"),
            ),
            ("cache-control", Some("no-store")),
        ] {
            assert_eq!(
                answer.header(name),
                value,
                "{name} of {given:?} {encoding:?}"
            );
        }
    }
}

#[tokio::test]
async fn properties_beyond_ascii_are_told_as_they_are() {
    let rig = Rig::new();
    let body =
        r#"{"payload":"x","properties":{"content_type":"\u00e4/b","content_encoding":"\u00e4"}}"#;
    assert_eq!(rig.publish(body).await.status.as_u16(), 202);
    let id = rig.model.only().id;
    let answer = rig.get(&format!("/v1/messages/{id}/payload")).await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    let told = answer
        .headers
        .get("amqpost-content-type")
        .expect("a header");
    assert_eq!(told.as_bytes(), "ä/b".as_bytes());
}

#[tokio::test]
async fn a_payload_that_is_no_longer_kept_is_gone() {
    let rig = Rig::new();
    let id = publish(&rig, &[], b"x").await;
    let path = format!("/v1/messages/{id}/payload");
    rig.model.settle(id, Status::Confirmed);
    let answer = rig.get(&path).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (410, "payload_not_kept")
    );
    let returned = publish(&rig, &[], b"y").await;
    rig.model.settle(returned, Status::Returned);
    assert_eq!(
        rig.get(&format!("/v1/messages/{returned}/payload"))
            .await
            .body,
        b"y"
    );
    let fresh = Rig::new();
    for id in ["0193a5c4-0000-7000-8000-000000000000", "x", "%ff"] {
        let answer = fresh.get(&format!("/v1/messages/{id}/payload")).await;
        assert_refused(&fresh, &answer, 404, "not_found", id);
    }
}
