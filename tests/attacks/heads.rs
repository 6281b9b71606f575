//! Heads that are too large, odd, or none; each is answered with a problem, and the answer arrives.

use super::raw::{answers, connect, exchange, exchange_open, statuses};
use super::{POST, Target};
use tokio::io::AsyncWriteExt as _;

const GET: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n";

#[tokio::test]
async fn what_is_no_request_is_told_as_a_problem() {
    let target = Target::start(&[]).await;
    let long = |bytes: usize| "a".repeat(bytes);
    for (request, status, code) in [
        ("GET\r\n\r\n".to_owned(), 400, "malformed_request"),
        ("\0\u{1}\u{2}\r\n\r\n".to_owned(), 400, "malformed_request"),
        ("GET /healthz\r\n\r\n".to_owned(), 400, "malformed_request"),
        (
            "GET /healthz HTTP/9.9\r\n\r\n".to_owned(),
            400,
            "malformed_request",
        ),
        (format!("GET  {}", &GET[4..]), 400, "malformed_request"),
        (
            format!("GET /healthz HTTP/1.1\r\n {GET}\r\n"),
            400,
            "malformed_request",
        ),
        (
            GET.replace("healthz", &long(70_000)) + "\r\n",
            414,
            "uri_too_long",
        ),
        (
            format!("{GET}X: {}\r\n\r\n", long(200_000)),
            431,
            "head_too_large",
        ),
        (
            format!("{GET}{}\r\n", "X: a\r\n".repeat(200)),
            431,
            "head_too_large",
        ),
        // One that never ends: all of it is still taken, and forgotten.
        (
            format!("{GET}X: {}", long(5_000_000)),
            431,
            "head_too_large",
        ),
    ] {
        let answers = exchange(target.address, request.as_bytes()).await;
        let start = &request[..request.len().min(40)];
        assert_eq!(statuses(&answers), [status], "{start}");
        assert_eq!(answers[0].code(), code, "{start}");
    }
    // What fits is taken: the headers of a message are part of the head.
    let path = format!(
        "/v1/exchanges/{}/messages?routing_key=x",
        target.place.exchange
    );
    let field = format!("Amqp-Header-N: {}\r\n", long(1000));
    let fields: Vec<_> = (0..60)
        .map(|number| field.replace('N', &number.to_string()))
        .collect();
    let fields = fields.concat();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n{fields}\r\n"
    );
    // Whoever says that nothing more comes may be taken for gone before the message is stored.
    let taken = exchange_open(target.address, request.as_bytes()).await;
    assert_eq!(statuses(&taken), [202], "{taken:?}");
}

/// The limit that the problem names is hyper's own.
#[tokio::test]
async fn a_head_has_at_most_100_fields() {
    let target = Target::start(&[]).await;
    for (more, status) in [(98, 200), (99, 431)] {
        let fields = "X: a\r\n".repeat(more);
        let request = format!("{GET}Connection: close\r\n{fields}\r\n");
        let answers = exchange_open(target.address, request.as_bytes()).await;
        assert_eq!(statuses(&answers), [status], "{more} and two");
    }
}

#[tokio::test]
async fn hosts_that_are_not_one_are_refused() {
    let target = Target::start(&[("AMQPOST_ALLOW_ANONYMOUS", "true")]).await;
    for (head, status) in [
        ("GET /healthz HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET /healthz HTTP/1.0\r\n\r\n", 200),
        (
            "GET http://elsewhere.example/healthz HTTP/1.1\r\nHost: a\r\n\r\n",
            200,
        ),
    ] {
        let head = head.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        let answers = exchange_open(target.address, head.as_bytes()).await;
        assert_eq!(statuses(&answers), [status], "{head}");
    }
    // Without keys only this machine is served, whatever form names another one.
    let target = Target::start(&[]).await;
    for (head, status) in [
        ("GET /healthz HTTP/1.1\r\n\r\n", 400),
        (
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
            400,
        ),
        (
            "GET /healthz HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n",
            403,
        ),
        (
            "GET /healthz HTTP/1.1\r\nHost: localhost@elsewhere.example\r\n\r\n",
            403,
        ),
        (
            "GET http://elsewhere.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
            403,
        ),
        (
            "GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
            200,
        ),
    ] {
        let head = head.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        let answers = exchange_open(target.address, head.as_bytes()).await;
        assert_eq!(statuses(&answers), [status], "{head}");
    }
}

#[tokio::test]
async fn whoever_sends_too_much_can_still_read_why_it_is_refused() {
    let target = Target::start(&[]).await;
    let body = " ".repeat(17 << 20);
    let announced = format!("{POST}Content-Length: {}\r\n\r\n{body}", body.len());
    let chunked = format!(
        "{POST}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    for request in [announced, chunked] {
        let mut stream = connect(target.address).await;
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it is not reset");
        let answers = answers(&mut stream).await;
        assert_eq!(statuses(&answers), [413]);
        assert_eq!(answers[0].code(), "body_too_large");
    }
    assert_eq!(target.accepted().await, 0);
}
