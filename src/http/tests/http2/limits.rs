//! What one client of HTTP/2 may ask for, and for how long it is waited for.

use std::time::Duration;

use axum::http::{Method, Response, StatusCode};
use h2::client::Builder;
use h2::{Reason, RecvStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::wire::{PATIENCE, served};
use super::{Client, PREFACE, SETTINGS, accepted, read};
use crate::clock;
use crate::domain::Status;
use crate::http::{Http2Limits, Settings};

fn limited(http2: Http2Limits) -> Settings {
    Settings {
        http2,
        ..Settings::default()
    }
}

#[tokio::test]
async fn who_takes_back_what_it_asks_for_again_and_again_is_ended() {
    let limits = Http2Limits {
        resets_max: 5,
        ..Http2Limits::default()
    };
    let served = served(limited(limits)).await;
    let mut client = Client::connect(&served, &Builder::new()).await;
    let mut taken = 0;
    // Each is looked at before it is taken back, so that no count of h2's own sees it. Whether the end
    // is an error for the client depends on whether it has something open at that moment.
    let _ = loop {
        let Ok((_, mut stream)) = client.wait().await else {
            break client.ended().await;
        };
        taken += 1;
        tokio::select! {
            () = accepted(&served, taken) => stream.send_reset(Reason::CANCEL),
            ended = client.ended() => break ended,
        }
        assert!(taken < 100, "it goes on for ever");
    };
    assert!(taken > 5, "{taken} are allowed");
    let mut other = Client::connect(&served, &Builder::new()).await;
    assert_eq!(other.get("/healthz").await.status, StatusCode::OK);
    drop(other);
    served.stop().await;
}

#[tokio::test]
async fn a_burst_of_requests_that_are_taken_back_at_once_is_cut_off() {
    let served = served(Settings::default()).await;
    let mut stream = served.connect().await;
    let mut burst = PREFACE.to_vec();
    burst.extend(SETTINGS);
    for id in (1..20_001_u32).step_by(2) {
        // :method GET, :scheme http, :path /, :authority of one letter.
        let head = [0x82, 0x86, 0x84, 0x41, 0x01, b'a'];
        burst.extend([0, 0, 6, 1, 5]);
        burst.extend(id.to_be_bytes());
        burst.extend(head);
        burst.extend([0, 0, 4, 3, 0]);
        burst.extend(id.to_be_bytes());
        burst.extend(8_u32.to_be_bytes());
    }
    // The server may have gone before all of it is written.
    let _ = stream.write_all(&burst).await;
    let mut said = Vec::new();
    let reading = stream.read_to_end(&mut said);
    // A reset says the same as an end.
    let _ = tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("an end in time");
    served.stop().await;
}

#[tokio::test]
async fn more_requests_than_allowed_on_all_connections_are_refused() {
    let limits = Http2Limits {
        requests_max: 2,
        ..Http2Limits::default()
    };
    let served = served(limited(limits)).await;
    let mut one = Client::connect(&served, &Builder::new()).await;
    let mut other = Client::connect(&served, &Builder::new()).await;
    let first = one.wait().await.expect("a stream");
    accepted(&served, 1).await;
    let second = other.wait().await.expect("a stream");
    accepted(&served, 2).await;
    let refused = one.get("/healthz").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.text.contains("\"overloaded\""), "{refused:?}");
    let id = served.rig.model.accepted.lock()[0].id;
    served.rig.model.settle(id, Status::Confirmed);
    assert_eq!(read(first.0).await.status, StatusCode::OK);
    assert_eq!(one.get("/healthz").await.status, StatusCode::OK);
    drop((second, one, other));
    served.stop().await;
}

#[tokio::test]
async fn a_client_learns_how_many_requests_it_may_have_open() {
    let limits = Http2Limits {
        streams_max: 7,
        ..Http2Limits::default()
    };
    let served = served(limited(limits)).await;
    let mut client = Client::connect(&served, &Builder::new()).await;
    assert_eq!(client.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(client.requests.current_max_send_streams(), 7);
    drop(client);
    served.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let limits = Http2Limits {
        header_bytes_max: 2000,
        ..Http2Limits::default()
    };
    let served = served(limited(limits)).await;
    let mut client = Client::connect(&served, &Builder::new()).await;
    let large = "x".repeat(3000);
    for (value, status) in [
        ("x", StatusCode::OK),
        (&*large, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        ("x", StatusCode::OK),
    ] {
        let headers = [("x-large", value)];
        let started = client.start_to("localhost", Method::GET, "/healthz", &headers, "");
        assert_eq!(
            read(started.await.expect("a stream").0).await.status,
            status
        );
    }
    drop(client);
    served.stop().await;
}

#[tokio::test]
async fn a_connection_without_requests_is_ended_in_order() {
    let settings = Settings {
        idle_seconds_max: 1,
        ..Settings::default()
    };
    let served = served(settings).await;
    let mut client = Client::connect(&served, &Builder::new()).await;
    assert_eq!(client.get("/healthz").await.status, StatusCode::OK);
    let waiting = client.wait().await.expect("a stream");
    accepted(&served, 1).await;
    // Longer than it may idle, and it does not.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let id = served.rig.model.only().id;
    served.rig.model.settle(id, Status::Confirmed);
    assert_eq!(read(waiting.0).await.status, StatusCode::OK);
    client.ended().await.expect("an end in order");
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_gives_its_answers_no_room_is_ended() {
    let settings = Settings {
        write_stall_seconds_max: 1,
        ..Settings::default()
    };
    let served = served(settings).await;
    for window in [0, 100] {
        let mut builder = Builder::new();
        builder.initial_window_size(window);
        let mut client = Client::connect(&served, &builder).await;
        let started = client.start_to("localhost", Method::GET, "/openapi.yaml", &[], "");
        let (response, _stream) = started.await.expect("a stream");
        let answer = response.await.expect("a head");
        assert_eq!(answer.status(), StatusCode::OK);
        // What arrives is kept and never released.
        let _ = client.ended().await;
        assert_cut_off(answer).await;
    }
    served.stop().await;
}

async fn assert_cut_off(answer: Response<RecvStream>) {
    let mut body = answer.into_body();
    let reading = async {
        loop {
            match body.data().await {
                Some(Ok(_)) => {}
                Some(Err(_)) => return true,
                None => return false,
            }
        }
    };
    let is_cut_off = tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("in time");
    assert!(is_cut_off, "the answer came whole");
}

#[tokio::test]
async fn a_client_that_gives_no_sign_of_life_is_ended() {
    let settings = Settings {
        header_read_seconds_max: 1,
        http2: Http2Limits {
            keep_alive_seconds: 1,
            ..Http2Limits::default()
        },
        ..Settings::default()
    };
    let served = served(settings).await;
    let mut stream = served.connect().await;
    stream.write_all(PREFACE).await.expect("written");
    stream.write_all(&SETTINGS).await.expect("written");
    let start = clock::monotonic();
    let mut said = Vec::new();
    // Its pings are read, and not answered.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said))
        .await
        .expect("an end");
    assert!(
        start.elapsed() > Duration::from_millis(1900),
        "it was not asked"
    );
    served.stop().await;
}
