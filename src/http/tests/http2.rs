//! HTTP/2 on a real connection, in the clear.

use std::future::poll_fn;
use std::time::Duration;

use axum::http::{Method, Request, Response, StatusCode, Version};
use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::super::{Http2Limits, Settings};
use super::wire::{PATIENCE, Served, served};
use crate::clock;
use crate::domain::Status;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame of settings that says nothing.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// One connection.
struct Client {
    requests: SendRequest<Bytes>,
    connection: JoinSet<Result<(), h2::Error>>,
}

impl Client {
    async fn connect(served: &Served, builder: &Builder) -> Self {
        let stream = served.connect().await;
        let (requests, connection) = builder.handshake(stream).await.expect("a connection");
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        Self {
            requests,
            connection: tasks,
        }
    }

    /// Sends a request to `host`.
    async fn start_to(
        &mut self,
        host: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let mut request = Request::builder()
            .version(Version::HTTP_2)
            .method(method)
            .uri(format!("http://{host}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        let mut ready = self.requests.clone().ready().await?;
        let (response, mut stream) = ready.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true)?;
        }
        Ok((response, stream))
    }

    async fn get(&mut self, path: &str) -> Answer {
        let started = self.start_to("localhost", Method::GET, path, &[], "").await;
        read(started.expect("a stream").0).await
    }

    /// Publishes and waits for the outcome.
    async fn wait(&mut self) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let headers = [("content-type", "application/json"), ("prefer", "wait=60")];
        let (post, path) = (Method::POST, "/v1/messages");
        self.start_to("localhost", post, path, &headers, r#"{"payload":1}"#)
            .await
    }

    /// Waits until the server has ended the connection, and tells how.
    async fn ended(&mut self) -> Result<(), h2::Error> {
        let ended = tokio::time::timeout(PATIENCE, self.connection.join_next()).await;
        ended
            .expect("an end in time")
            .expect("a task")
            .expect("no panic")
    }
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    text: String,
}

async fn read(response: ResponseFuture) -> Answer {
    let reading = async {
        let (head, body) = response.await.expect("an answer").into_parts();
        Answer {
            status: head.status,
            text: read_body(body).await,
        }
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("in time")
}

async fn read_body(mut body: RecvStream) -> String {
    let mut read = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.expect("data");
        read.extend_from_slice(&data);
        body.flow_control()
            .release_capacity(data.len())
            .expect("it was taken");
    }
    String::from_utf8(read).expect("UTF-8")
}

/// Returns when so many messages were accepted.
async fn accepted(served: &Served, count: usize) {
    let accepting = async {
        while served.rig.model.accepted.lock().len() < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, accepting)
        .await
        .expect("in time");
}

fn limited(http2: Http2Limits) -> Settings {
    Settings {
        http2,
        ..Settings::default()
    }
}

#[tokio::test]
async fn one_connection_carries_many_that_wait_at_the_same_time() {
    const WAITING: usize = 150;
    let served = served(Settings::default()).await;
    let mut client = Client::connect(&served, &Builder::new()).await;
    let mut waiting = Vec::new();
    for _ in 0..WAITING {
        waiting.push(client.wait().await.expect("a stream"));
    }
    accepted(&served, WAITING).await;
    let ids: Vec<_> = served
        .rig
        .model
        .accepted
        .lock()
        .iter()
        .map(|one| one.id)
        .collect();
    // Others are answered meanwhile.
    assert_eq!(client.get("/healthz").await.status, StatusCode::OK);
    for id in ids.iter().rev() {
        served.rig.model.settle(*id, Status::Confirmed);
    }
    for (response, _) in waiting {
        let answer = read(response).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.text.contains("\"confirmed\""), "{answer:?}");
    }
    drop(client);
    served.stop().await;
}

#[tokio::test]
async fn the_authority_must_be_this_machine_as_the_host_must() {
    let served = served(Settings::default()).await;
    let mut client = Client::connect(&served, &Builder::new()).await;
    for (authority, host, status) in [
        ("localhost:8080", None, StatusCode::OK),
        ("[::1]", Some("127.0.0.1"), StatusCode::OK),
        ("example.com", None, StatusCode::FORBIDDEN),
        ("example.com", Some("localhost"), StatusCode::FORBIDDEN),
        ("localhost", Some("example.com"), StatusCode::FORBIDDEN),
    ] {
        let headers: Vec<_> = host.map(|host| ("host", host)).into_iter().collect();
        let started = client.start_to(authority, Method::GET, "/healthz", &headers, "");
        let answer = read(started.await.expect("a stream").0).await;
        assert_eq!(answer.status, status, "{authority} {host:?}");
    }
    drop(client);
    served.stop().await;
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
    // Each is looked at before it is taken back, so that no count of h2's own sees it.
    let ended = loop {
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
    assert!(ended.is_err(), "it was not asked to go, but ended");
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

#[tokio::test]
async fn half_a_preface_is_not_waited_for_longer_than_for_a_head() {
    let settings = Settings {
        header_read_seconds_max: 1,
        ..Settings::default()
    };
    let served = served(settings).await;
    let mut stream = served.connect().await;
    stream.write_all(&PREFACE[..20]).await.expect("written");
    let mut said = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said))
        .await
        .expect("an end");
    assert!(said.is_empty());
    served.stop().await;
}

#[tokio::test]
async fn a_preface_in_pieces_is_understood() {
    let served = served(Settings::default()).await;
    let mut stream = served.connect().await;
    for piece in PREFACE.chunks(5) {
        stream.write_all(piece).await.expect("written");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stream.write_all(&SETTINGS).await.expect("written");
    let mut head = [0; 9];
    let reading = stream.read_exact(&mut head);
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("in time")
        .expect("a frame");
    assert_eq!(head[3], SETTINGS[3], "the server's settings come first");
    drop(stream);
    served.stop().await;
}

#[tokio::test]
async fn a_stop_answers_who_waits_and_takes_no_more() {
    let served = served(Settings::default()).await;
    let mut idle = Client::connect(&served, &Builder::new()).await;
    assert_eq!(idle.get("/healthz").await.status, StatusCode::OK);
    let mut client = Client::connect(&served, &Builder::new()).await;
    let waiting = client.wait().await.expect("a stream");
    accepted(&served, 1).await;
    served.stop().await;
    let answer = read(waiting.0).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    client.ended().await.expect("an end in order");
    idle.ended().await.expect("an end in order");
    let refused = poll_fn(|cx| client.requests.poll_ready(cx)).await;
    assert!(refused.is_err(), "a new request finds the connection gone");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_client_that_gives_no_room() {
    let served = served(Settings::default()).await;
    let mut builder = Builder::new();
    builder.initial_window_size(0);
    let mut client = Client::connect(&served, &builder).await;
    let started = client.start_to("localhost", Method::GET, "/openapi.yaml", &[], "");
    let answer = started.await.expect("a stream").0.await.expect("a head");
    assert_eq!(answer.status(), StatusCode::OK);
    served.stop().await;
}

#[tokio::test]
async fn no_request_however_odd_ends_the_server() {
    let served = served(Settings::default()).await;
    for (method, path) in [
        (Method::OPTIONS, "/"),
        (Method::TRACE, "/healthz"),
        (Method::HEAD, "/healthz"),
        (Method::DELETE, "/v1/messages/%00%2e%2e%2f"),
        (Method::GET, "//healthz"),
    ] {
        let mut client = Client::connect(&served, &Builder::new()).await;
        let started = client.start_to("localhost", method, path, &[], "").await;
        let answer = read(started.expect("a stream").0).await;
        assert!(answer.status.as_u16() < 500, "{path}: {answer:?}");
    }
    let client = Client::connect(&served, &Builder::new()).await;
    let connect = Request::connect("localhost:80")
        .body(())
        .expect("a request");
    let mut ready = client.requests.clone().ready().await.expect("room");
    let (response, _stream) = ready.send_request(connect, false).expect("a stream");
    let answer = response.await.expect("an answer");
    assert!(answer.status().is_client_error(), "{answer:?}");
    drop((client, ready));
    served.stop().await;
}
