//! What is sent, and what answers come to.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::receiver::{Receiver, Reply};
use super::{Names, answered, limits, post, send, sender};
use crate::clock;
use crate::domain::TraceContext;
use crate::domain::webhook::{ErrorClass, TryEnd};
use crate::notify::webhooks::{Post, SendLimits};

#[tokio::test]
async fn a_webhook_arrives_with_its_headers_and_body() {
    let receiver = Receiver::start(|_| Reply::status(204)).await;
    let sender = sender(&Names::none(), limits());
    assert_eq!(send(&sender, &receiver.url()).await, answered(204));
    let [request] = &receiver.received()[..] else {
        panic!("one request arrives");
    };
    assert_eq!(request.line, "POST /hook?x=1 HTTP/1.1");
    assert_eq!(request.body, br#"{"type":"message.confirmed"}"#);
    let agent = concat!("amqpost/", env!("CARGO_PKG_VERSION"));
    for (name, value) in [
        ("webhook-id", "an-id"),
        ("webhook-timestamp", "1795341600"),
        ("webhook-signature", "v1,abc v1,def"),
        ("content-type", "application/json"),
        ("content-length", "28"),
        ("user-agent", agent),
        ("host", &format!("127.0.0.1:{}", receiver.port())),
    ] {
        assert_eq!(request.headers[name], value, "{name}");
    }
    assert_eq!(request.headers.len(), 7, "{:?}", request.headers);
}

#[tokio::test]
async fn the_trace_of_the_message_goes_with_the_webhook() {
    let receiver = Receiver::start(|_| Reply::status(204)).await;
    let sender = sender(&Names::none(), limits());
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let target = sender.target(&receiver.url()).expect("a good URL");
    for states in [&["a=1", "b=2"][..], &[]] {
        let post = Post {
            trace: TraceContext::of(parent, states.iter().copied()).map(Box::new),
            ..post()
        };
        assert_eq!(sender.send(&target, &post).await, answered(204));
    }
    let [both, parent_only] = &receiver.received()[..] else {
        panic!("two requests arrive");
    };
    assert_eq!(both.headers["traceparent"], parent);
    assert_eq!(both.headers["tracestate"], "a=1,b=2");
    assert_eq!(parent_only.headers["traceparent"], parent);
    assert!(!parent_only.headers.contains_key("tracestate"));
}

#[tokio::test]
async fn a_status_is_told_as_it_was_answered() {
    for status in [200, 299, 400, 404, 410, 429, 500, 503] {
        let receiver = Receiver::start(move |_| Reply::status(status)).await;
        let sender = sender(&Names::none(), limits());
        assert_eq!(send(&sender, &receiver.url()).await, answered(status));
        assert_eq!(receiver.count(), 1, "{status}");
    }
}

#[tokio::test]
async fn retry_after_is_told_when_it_is_understood() {
    let headers = ["retry-after: 120\r\n", "retry-after: soon\r\n"];
    let receiver = Receiver::start(move |received| {
        let at = usize::from(received.connection > 1 || received.line.contains("soon"));
        Reply::Status(429, headers[at], Vec::new())
    })
    .await;
    let sender = sender(&Names::none(), limits());
    let understood = TryEnd::Answered {
        status: 429,
        retry_after: Some(Duration::from_mins(2)),
    };
    assert_eq!(send(&sender, &receiver.url()).await, understood);
    let url = receiver.url().replace("hook", "soon");
    assert_eq!(send(&sender, &url).await, answered(429));
}

#[tokio::test]
async fn a_redirect_is_not_followed_wherever_it_leads() {
    let inside = Receiver::start(|_| Reply::status(200)).await;
    let location = format!("location: {}\r\n", inside.url());
    let location: &'static str = Box::leak(location.into_boxed_str());
    for status in [301, 302, 303, 307, 308] {
        let receiver = Receiver::start(move |_| Reply::Status(status, location, Vec::new())).await;
        let sender = sender(&Names::none(), limits());
        assert_eq!(send(&sender, &receiver.url()).await, answered(status));
        assert_eq!((receiver.count(), inside.connections()), (1, 0));
    }
}

#[tokio::test]
async fn what_is_no_answer_is_told_by_its_class() {
    let garbage = b"SSH-2.0-OpenSSH_9.9\r\n\r\n";
    for (reply, class) in [
        (Reply::Close, ErrorClass::Protocol),
        (Reply::Bytes(garbage), ErrorClass::Protocol),
        (Reply::Bytes(b"HTTP/1.1 200"), ErrorClass::Timeout),
        (Reply::Hang, ErrorClass::Timeout),
    ] {
        let script = reply.clone();
        let receiver = Receiver::start(move |_| script.clone()).await;
        let short = SendLimits {
            total: Duration::from_millis(300),
            ..limits()
        };
        let end = send(&sender(&Names::none(), short), &receiver.url()).await;
        assert_eq!(end, TryEnd::NoAnswer(class), "{reply:?}");
        assert_eq!(receiver.count(), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn a_head_without_end_is_given_up_at_its_bound() {
    let line = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(1 << 20));
    let line: &'static [u8] = Box::leak(line.into_boxed_str()).as_bytes();
    let receiver = Receiver::start(move |_| Reply::Bytes(line)).await;
    let end = send(&sender(&Names::none(), limits()), &receiver.url()).await;
    assert_eq!(end, TryEnd::NoAnswer(ErrorClass::Protocol));
}

#[tokio::test]
async fn nobody_listening_is_a_connection_that_was_not_made() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    drop(listener);
    let end = send(&sender(&Names::none(), limits()), &url).await;
    assert_eq!(end, TryEnd::NoAnswer(ErrorClass::Connect));
}

#[tokio::test]
async fn a_body_that_does_not_end_is_no_part_of_the_answer() {
    let endless = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nand then nothing";
    let receiver = Receiver::start(|_| Reply::Bytes(endless)).await;
    let limits = SendLimits {
        drain: Duration::from_millis(100),
        ..limits()
    };
    let sender = sender(&Names::none(), limits);
    let started: Instant = clock::monotonic();
    assert_eq!(send(&sender, &receiver.url()).await, answered(200));
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(sender.idle_connections(), 0);
}
