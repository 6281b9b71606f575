//! `GET /v1/events`, as a client reads it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tokio::task::JoinSet;

use super::super::Settings;
use super::model::{ALICE, BOB, Rig};
use super::silent::Silent;
use crate::domain::{Limits, MessageId, Status};
use crate::store::ReadStore;
use crate::store::memory::{HistoryBudget, MemoryStore};

/// Nothing here takes so long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stream that is being read.
struct Reading {
    body: Body,
    text: String,
}

impl Reading {
    /// The next block, without the empty line.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            let frame = frame.expect("something comes")?.expect("no error");
            let bytes = frame.into_data().expect("data");
            self.text
                .push_str(std::str::from_utf8(&bytes).expect("UTF-8"));
        }
    }

    /// The name, the id and the message of the next block, which is an event.
    async fn event(&mut self) -> (String, u64, serde_json::Value) {
        let block = self.block().await.expect("an event");
        let [event, id, data] = block.lines().collect::<Vec<_>>()[..] else {
            panic!("{block}");
        };
        let value = |line: &str, name: &str| {
            let value = line
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix(": "));
            value
                .unwrap_or_else(|| panic!("{name} in {block}"))
                .to_owned()
        };
        (
            value(event, "event"),
            value(id, "id").parse().expect("a number"),
            serde_json::from_str(&value(data, "data")).expect("JSON"),
        )
    }
}

/// With the task that reads for all.
struct Streaming {
    rig: Rig,
    _tail: JoinSet<()>,
}

impl Streaming {
    fn over(rig: Rig) -> Self {
        let mut tail = JoinSet::new();
        let events = Arc::clone(&rig.model.events);
        tail.spawn(events.tail(Arc::clone(&rig.gateway.store), rig.stop.subscribe()));
        Self { rig, _tail: tail }
    }

    async fn open(&self, query: &str, headers: &[(&str, &str)]) -> Reading {
        let mut request = Request::get(format!("/v1/events{query}")).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let response = self.rig.endpoints.answer(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store"),
            ("x-accel-buffering", "no"),
        ] {
            assert_eq!(response.headers()[name], value);
        }
        Reading {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// Publishes and settles, as this caller.
    async fn settle(&self, caller: &str, routing_key: &str, status: Status) -> MessageId {
        let body = format!(r#"{{"exchange":"e","routing_key":"{routing_key}","payload":1}}"#);
        let answer = self
            .rig
            .publish_with(&[("authorization", caller)], body)
            .await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        let id = self.rig.model.accepted.lock().last().expect("a message").id;
        self.rig.model.settle(id, status);
        id
    }
}

#[tokio::test]
async fn each_final_status_is_an_event_with_the_message_in_one_line() {
    let all = Streaming::over(Rig::new());
    all.settle("", "before", Status::Confirmed).await;
    let mut reading = all.open("", &[]).await;
    assert_eq!(
        reading.block().await.expect("the opening"),
        "retry: 2000\nid: 1"
    );
    let id = all.settle("", "a \u{2028} b", Status::Returned).await;
    let (event, position, message) = reading.event().await;
    assert_eq!((&*event, position), ("message.returned", 2));
    assert_eq!(message["id"], id.to_string());
    assert_eq!(message["status"], "returned");
    assert_eq!(message["reason"]["reply_code"], 312);
    let asked = all.rig.get(&format!("/v1/messages/{id}")).await.json();
    assert_eq!(message, asked);
    for (status, name) in [
        (Status::Confirmed, "message.confirmed"),
        (Status::Failed, "message.failed"),
    ] {
        all.settle("", "key", status).await;
        assert_eq!(reading.event().await.0, name);
    }
}

#[tokio::test]
async fn a_stream_goes_on_behind_the_last_event_and_zero_is_everything() {
    let all = Streaming::over(Rig::new());
    for _ in 0..5 {
        all.settle("", "key", Status::Confirmed).await;
    }
    for last in 0..=5 {
        let last_event_id = last.to_string();
        let mut reading = all.open("", &[("last-event-id", &last_event_id)]).await;
        let opening = reading.block().await.expect("the opening");
        assert_eq!(opening, format!("retry: 2000\nid: {last}"));
        for expected in last + 1..=5 {
            assert_eq!(reading.event().await.1, expected);
        }
        assert!(reading.text.is_empty());
    }
}

#[tokio::test]
async fn the_filters_are_those_of_the_list_and_callers_see_their_own() {
    let all = Streaming::over(Rig::with_keys(false));
    let mine = ("authorization", ALICE);
    let open = async |query: &str| {
        let mut reading = all.open(query, &[mine]).await;
        reading.block().await;
        reading
    };
    let mut everything = open("").await;
    let mut returned = open("?status=returned&exchange=e").await;
    let mut one_key = open("?routing_key=b").await;
    let mut no_route = open("?reason=no_route").await;
    let mut another_exchange = open("?exchange=f").await;
    let mut late = open("?since=2100-01-01T00:00:00Z").await;
    all.settle(ALICE, "a", Status::Confirmed).await;
    all.settle(BOB, "b", Status::Returned).await;
    all.settle(ALICE, "b", Status::Confirmed).await;
    all.settle(ALICE, "a", Status::Returned).await;
    for expected in [1, 3, 4] {
        assert_eq!(everything.event().await.1, expected);
    }
    assert_eq!(returned.event().await.1, 4);
    assert_eq!(one_key.event().await.1, 3);
    assert_eq!(no_route.event().await.1, 4);
    for silent in [&mut another_exchange, &mut late] {
        let more = tokio::time::timeout(Duration::from_millis(100), silent.block()).await;
        assert!(more.is_err(), "{more:?}");
    }
    let mut others = all
        .open("", &[("authorization", BOB), ("last-event-id", "0")])
        .await;
    others.block().await;
    assert_eq!(others.event().await.1, 2);
}

#[tokio::test]
async fn a_stream_may_be_about_the_message_of_an_idempotency_key() {
    let all = Streaming::over(Rig::with_keys(false));
    let mut reading = all
        .open("?idempotency_key=mine", &[("authorization", ALICE)])
        .await;
    reading.block().await;
    all.settle(ALICE, "other", Status::Confirmed).await;
    for caller in [BOB, ALICE] {
        let headers = [("authorization", caller), ("idempotency-key", "mine")];
        let answer = all.rig.publish_with(&headers, r#"{"payload":1}"#).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        let id = all.rig.model.accepted.lock().last().expect("a message").id;
        all.rig.model.settle(id, Status::Confirmed);
    }
    all.settle(ALICE, "other", Status::Confirmed).await;
    assert_eq!(reading.event().await.1, 3);
    let more = tokio::time::timeout(Duration::from_millis(100), reading.block()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn a_position_that_is_too_old_is_a_gap_before_what_is_kept() {
    let limits = Limits {
        history_messages_max: 2,
        ..Limits::default()
    };
    let all = Streaming::over(Rig::with(limits, Settings::default()));
    for _ in 0..5 {
        all.settle("", "key", Status::Confirmed).await;
    }
    let mut reading = all.open("", &[("last-event-id", "1")]).await;
    assert_eq!(
        reading.block().await.expect("the opening"),
        "retry: 2000\nid: 1"
    );
    let gap = reading.block().await.expect("a gap");
    assert_eq!(gap, "event: gap\ndata: {\"from\":1,\"to\":3}");
    assert_eq!(reading.event().await.1, 4);
    let mut reading = all.open("", &[("last-event-id", "9")]).await;
    assert_eq!(
        reading.block().await.expect("the opening"),
        "retry: 2000\nid: 0"
    );
    let gap = reading.block().await.expect("a gap");
    assert_eq!(gap, "event: gap\ndata: {\"from\":9,\"to\":3}");
    assert_eq!(reading.event().await.1, 4);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let rig = Rig::new();
    for (query, code) in [
        ("?limit=1", "invalid_query"),
        ("?cursor=AQAAAAAAAAAA", "invalid_query"),
        ("?status=pending", "invalid_query"),
        ("?status=done", "invalid_query"),
        ("?last_event_id=1", "invalid_query"),
    ] {
        let answer = rig.get(&format!("/v1/events{query}")).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (400, code),
            "{query}"
        );
    }
    let answer = rig.get_with("/v1/events", &[("last-event-id", "x")]).await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.code()),
        (400, "invalid_event_id")
    );
    let answer = rig.get_with("/v1/events", &[("amqp-type", "x")]).await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.code()),
        (422, "invalid_request")
    );
    let answer = rig.post_json("/v1/events", "{}").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    let rig = Rig::with_keys(false);
    assert_eq!(rig.get("/v1/events").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn more_streams_than_may_be_are_told_to_come_back_and_who_leaves_makes_room() {
    let settings = Settings {
        event_streams_max: 2,
        ..Settings::default()
    };
    let all = Streaming::over(Rig::with(Limits::default(), settings));
    let first = all.open("", &[]).await;
    let _second = all.open("", &[]).await;
    let refused = all.rig.get("/v1/events").await;
    assert_eq!(
        (refused.status.as_u16(), &*refused.code()),
        (503, "overloaded")
    );
    drop(first);
    all.open("", &[]).await;
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_a_503() {
    let store = MemoryStore::new(HistoryBudget {
        keys_kept: Duration::from_hours(24),
        messages_max: 1,
        bytes_max: 1,
    });
    let silent: Arc<dyn ReadStore> = Arc::new(Silent::default());
    let rig = Rig::over(store, silent, Limits::default(), Settings::default());
    let answer = rig.get("/v1/events").await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.code()),
        (503, "store_unavailable")
    );
}

#[tokio::test]
async fn a_stream_ends_at_the_stop() {
    let all = Streaming::over(Rig::new());
    let mut reading = all.open("", &[]).await;
    reading.block().await;
    all.rig.stop.send(true).expect("somebody listens");
    assert_eq!(reading.block().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_beats_and_tells_what_was_passed_over() {
    let all = Streaming::over(Rig::new());
    let mut reading = all.open("?status=failed", &[]).await;
    assert_eq!(
        reading.block().await.expect("the opening"),
        "retry: 2000\nid: 0"
    );
    assert_eq!(reading.block().await.expect("a beat"), ": keep-alive");
    all.settle("", "key", Status::Confirmed).await;
    all.settle("", "key", Status::Confirmed).await;
    let beat = reading.block().await.expect("a beat");
    assert_eq!(beat, ": keep-alive\nid: 2");
    assert_eq!(reading.block().await.expect("a beat"), ": keep-alive");
    all.settle("", "key", Status::Failed).await;
    assert_eq!(reading.event().await.1, 3);
    assert_eq!(reading.block().await.expect("a beat"), ": keep-alive");
}

#[tokio::test]
async fn a_message_that_is_settled_again_is_told_again_and_then_only_its_latest_outcome() {
    let all = Streaming::over(Rig::new());
    let mut live = all.open("", &[]).await;
    live.block().await;
    let id = all.settle("", "key", Status::Returned).await;
    all.settle("", "key", Status::Confirmed).await;
    assert_eq!(live.event().await.1, 1);
    assert_eq!(live.event().await.1, 2);
    let replay = all.rig.act(&format!("/v1/messages/{id}/replay")).await;
    assert_eq!(replay.status, StatusCode::ACCEPTED);
    // Pending again, it is no outcome.
    let mut meanwhile = all.open("", &[("last-event-id", "0")]).await;
    meanwhile.block().await;
    assert_eq!(meanwhile.event().await.1, 2);
    all.rig.model.settle(id, Status::Confirmed);
    for reading in [&mut live, &mut meanwhile] {
        let (event, position, message) = reading.event().await;
        assert_eq!((&*event, position), ("message.confirmed", 3));
        assert_eq!(
            (&message["id"], &message["revision"]),
            (&id.to_string().into(), &4.into())
        );
    }
    let mut later = all.open("", &[("last-event-id", "0")]).await;
    later.block().await;
    assert_eq!(later.event().await.1, 2);
    assert_eq!(later.event().await.1, 3);
}

#[tokio::test]
async fn a_stream_may_be_about_a_group() {
    let all = Streaming::over(Rig::new());
    let mut reading = all.open("?group=mine", &[]).await;
    reading.block().await;
    for group in ["other", "mine"] {
        let body = format!(r#"{{"payload":1,"group":"{group}"}}"#);
        assert_eq!(all.rig.publish(body).await.status, StatusCode::ACCEPTED);
        let id = all.rig.model.accepted.lock().last().expect("a message").id;
        all.rig.model.settle(id, Status::Confirmed);
    }
    let (_, position, message) = reading.event().await;
    assert_eq!((position, &message["group"]), (2, &"mine".into()));
}
