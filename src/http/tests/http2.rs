//! HTTP/2 on a real connection, in the clear.

mod limits;

use std::future::poll_fn;
use std::time::Duration;

use axum::http::{Method, Request, StatusCode, Version};
use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::super::Settings;
use super::wire::{PATIENCE, Served, served};
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
        ("[::1]", Some("[::1]"), StatusCode::OK),
        ("example.com", None, StatusCode::FORBIDDEN),
        ("example.com", Some("example.com"), StatusCode::FORBIDDEN),
        ("example.com", Some("localhost"), StatusCode::BAD_REQUEST),
        ("localhost", Some("example.com"), StatusCode::BAD_REQUEST),
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
