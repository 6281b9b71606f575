//! Where one request ends and the next one begins. Whoever can make two servers disagree about that can
//! smuggle a request past one of them.

use super::raw::{exchange_open, statuses};
use super::{POST, Target};

/// Asks for the end of the connection, so that whatever was read as a request before has been answered.
const LAST: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Sends each request with [`LAST`] behind it; `(name, request, statuses)`.
async fn assert_answers(target: &Target, requests: Vec<(String, String, Vec<u16>)>) {
    for (name, request, expected) in requests {
        let answers = exchange_open(target.address, (request + LAST).as_bytes()).await;
        assert_eq!(statuses(&answers), expected, "{name}: {answers:?}");
        for answer in answers.iter().filter(|answer| answer.status >= 400) {
            assert!(!answer.code().is_empty(), "{name}: {answer:?}");
        }
    }
}

fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

/// A request with these fields and this body, and what is answered to it and to what is behind it.
fn shape(name: &str, fields: &str, body: &str, expected: &[u16]) -> (String, String, Vec<u16>) {
    let request = format!("{POST}{fields}\r\n{body}");
    (name.to_owned(), request, expected.to_vec())
}

#[tokio::test]
async fn a_body_with_two_ends_smuggles_nothing() {
    let target = Target::start(&[]).await;
    let smuggled = target.post("smuggled", "");
    let good = target.message("good");
    let te = "Transfer-Encoding: chunked\r\n";
    let both = format!("Content-Length: {}\r\n{te}", smuggled.len() + 5);
    let te_first = format!("{te}Content-Length: 4\r\n");
    let te_last = format!("Content-Length: 4\r\n{te}");
    let nothing = format!("0\r\n\r\n{smuggled}");
    let chunks = chunked(&good) + &smuggled;
    let requests = vec![
        // The chunks count, and what is behind them is never read.
        shape("CL.TE", &both, &nothing, &[400]),
        shape("TE.CL", &te_first, &chunks, &[202]),
        shape("CL.TE, whole", &te_last, &chunks, &[202]),
        // This one is a request of its own.
        shape("an empty body", "", &smuggled, &[400, 202, 200]),
    ];
    assert_answers(&target, requests).await;
    assert_eq!(target.accepted().await, 3);
    let mut arrived = target.arrived().await;
    arrived.sort_unstable();
    assert_eq!(arrived, ["good", "good", "smuggled"]);
}

#[tokio::test]
async fn lengths_and_fields_that_others_read_differently_are_refused() {
    let target = Target::start(&[]).await;
    let good = target.message("good");
    let length = format!("Content-Length: {}\r\n", good.len());
    let number = good.len();
    let requests = [
        format!("Content-Length: 0\r\n{length}"),
        format!("Content-Length: {number}, {number}\r\n"),
        format!("Content-Length: +{number}\r\n"),
        "Content-Length: -1\r\n".to_owned(),
        "Content-Length: 0x10\r\n".to_owned(),
        "Content-Length: 99999999999999999999\r\n".to_owned(),
        format!("Content-Length : {number}\r\n"),
        format!("Content-Length:\r\n {number}\r\n"),
        format!("X: a\r\n b\r\n{length}"),
        format!("X: a\rContent-Length: 0\r\n{length}"),
        format!("X: a\0b\r\n{length}"),
        format!(": a\r\n{length}"),
    ]
    .map(|fields| shape(&fields, &fields, &good, &[400]));
    assert_answers(&target, requests.into()).await;
    let twice = shape("twice the same", &length.repeat(2), &good, &[202, 200]);
    assert_answers(&target, vec![twice]).await;
    assert_eq!(target.accepted().await, 1);
}

#[tokio::test]
async fn only_plain_chunked_is_a_transfer_encoding() {
    let target = Target::start(&[]).await;
    let chunks = chunked(&target.message("good"));
    let one = |value: &str, expected: &[u16]| {
        let request = format!("{POST}Transfer-Encoding: {value}\r\n\r\n{chunks}");
        (value.to_owned(), request, expected.to_vec())
    };
    let mut requests: Vec<_> = [
        "gzip, chunked",
        "chunked, chunked",
        "chunked, identity",
        "gzip\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: identity",
        "gzip",
        "identity",
        "xchunked",
        "chunked\u{b}",
        "chunked;q=1",
        "\"chunked\"",
        "",
        "\r\n chunked",
    ]
    .map(|value| one(value, &[400]))
    .into();
    requests.push(one("chunked", &[202, 200]));
    requests.push(one("Chunked", &[202, 200]));
    let old = POST.replace("HTTP/1.1", "HTTP/1.0");
    let request = format!("{old}Transfer-Encoding: chunked\r\n\r\n{chunks}");
    requests.push(("HTTP/1.0".to_owned(), request, vec![400]));
    assert_answers(&target, requests).await;
    assert_eq!(target.accepted().await, 2);
}

#[tokio::test]
async fn chunks_that_are_none_are_a_400_and_end_the_connection() {
    let target = Target::start(&[]).await;
    let body = target.message("good");
    let size = format!("{:x}", body.len());
    let one = |chunks: String, expected: &[u16]| {
        let request = format!("{POST}Transfer-Encoding: chunked\r\n\r\n{chunks}");
        (chunks, request, expected.to_vec())
    };
    let end = "\r\n0\r\n\r\n";
    let requests = vec![
        one(format!("g\r\n{body}{end}"), &[400]),
        one(format!("-{size}\r\n{body}{end}"), &[400]),
        one(format!("0x{size}\r\n{body}{end}"), &[400]),
        one(format!("ffffffffffffffffff\r\n{body}{end}"), &[400]),
        one(format!("{size}\n{body}\n0\n\n"), &[400]),
        one(format!("{size}\r\n{body}XX0\r\n\r\n"), &[400]),
        one(
            format!("{size};{}\r\n{body}{end}", "a".repeat(20_000)),
            &[400],
        ),
        one(
            format!("{size}\r\n{body}\r\n0\r\n{}\r\n", "X: y\r\n".repeat(2000)),
            &[400],
        ),
        one(format!("\r\n{size}\r\n{body}{end}"), &[400]),
        one(format!("{size};name=value\r\n{body}{end}"), &[202, 200]),
        one(
            format!("{size}\r\n{body}\r\n0\r\nX: y\r\n\r\n"),
            &[202, 200],
        ),
    ];
    assert_answers(&target, requests).await;
    assert_eq!(target.accepted().await, 2);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_until_one_is_none() {
    let target = Target::start(&[]).await;
    let posts: String = (0..50)
        .map(|number| target.post(&number.to_string(), ""))
        .collect();
    let bad = target.post("behind the bad one", "");
    let request = format!("{posts}GET\r\n\r\n{bad}");
    let answers = exchange_open(target.address, request.as_bytes()).await;
    let expected: Vec<u16> = std::iter::repeat_n(202, 50).chain([400]).collect();
    assert_eq!(statuses(&answers), expected);
    assert_eq!(answers[50].code(), "malformed_request");
    let numbers: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(target.arrived().await, numbers);

    // A body where none is expected is no request.
    let hidden = target.post("hidden", "");
    let length = hidden.len();
    let get = format!(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{hidden}"
    );
    assert_answers(
        &target,
        vec![("GET with a body".to_owned(), get, vec![200, 200])],
    )
    .await;
    assert_eq!(target.accepted().await, 50);
}
