//! HTTP by hand, byte for byte.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::wait;

/// Nothing that a test waits for takes so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Value,
}

impl Answer {
    /// The code of the problem that it is.
    pub(crate) fn code(&self) -> &str {
        assert!(
            self.head.contains("content-type: application/problem+json"),
            "{self:?}"
        );
        assert_eq!(self.body["status"], self.status, "{self:?}");
        self.body["code"].as_str().unwrap_or_default()
    }
}

pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("a connection")
}

/// Sends all of it, says that nothing more comes, and reads what is answered until the server has no more
/// to say.
pub(crate) async fn exchange(address: SocketAddr, request: &[u8]) -> Vec<Answer> {
    let mut stream = connect(address).await;
    stream.write_all(request).await.expect("all is taken");
    stream.shutdown().await.expect("nothing more");
    answers(&mut stream).await
}

/// As [`exchange`], and the connection is left to the server to close.
pub(crate) async fn exchange_open(address: SocketAddr, request: &[u8]) -> Vec<Answer> {
    let mut stream = connect(address).await;
    stream.write_all(request).await.expect("all is taken");
    answers(&mut stream).await
}

/// All answers until the end of the connection.
pub(crate) async fn answers(stream: &mut TcpStream) -> Vec<Answer> {
    let mut bytes = Vec::new();
    let reading = stream.read_to_end(&mut bytes);
    wait::within("the server closes", PATIENCE, reading)
        .await
        .expect("it is not reset");
    let mut rest = String::from_utf8(bytes).expect("text");
    let mut answers = Vec::new();
    while !rest.is_empty() {
        let (answer, behind) = parse(&rest);
        answers.push(answer);
        rest = behind;
    }
    answers
}

fn parse(text: &str) -> (Answer, String) {
    let (head, rest) = text.split_once("\r\n\r\n").expect("a whole head");
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().expect("a number"));
    let (body, rest) = rest.split_at(length);
    let answer = Answer {
        status: status.expect("a status"),
        head,
        body: serde_json::from_str(body).unwrap_or_default(),
    };
    (answer, rest.to_owned())
}

/// The statuses alone.
pub(crate) fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}
