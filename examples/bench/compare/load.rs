//! Requests over HTTP/1.1 connections that each wait for an answer before the next one: from one thread,
//! and with as little work as can be, since what is measured is the other side.

use std::time::{Duration, Instant};

use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::super::Failure;

/// What is sent over and over.
#[derive(Clone)]
pub struct Request {
    /// The whole request.
    pub bytes: Vec<u8>,
    /// Messages in it.
    pub messages: usize,
}

/// A request with this head line, these further headers and this body.
pub fn request(line: &str, host: &str, headers: &str, body: &[u8], messages: usize) -> Request {
    let mut bytes = format!(
        "{line} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    Request { bytes, messages }
}

/// Sends `request` so many times in all over so many connections; gives how long each took to be answered.
pub fn send(
    address: &str,
    request: &Request,
    requests: usize,
    connections: usize,
) -> Result<Vec<Duration>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut sending = JoinSet::new();
    for connection in 0..connections {
        let share = requests / connections + usize::from(connection < requests % connections);
        let sent = send_in_turn(address.to_owned(), request.bytes.clone(), share);
        sending.spawn_on(sent, runtime.handle());
    }
    runtime.block_on(async {
        let mut took = Vec::with_capacity(requests);
        while let Some(sent) = sending.join_next().await {
            took.extend(sent??);
        }
        Ok(took)
    })
}

async fn send_in_turn(
    address: String,
    request: Vec<u8>,
    requests: usize,
) -> Result<Vec<Duration>, Failure> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let mut took = Vec::with_capacity(requests);
    let mut answer = Vec::with_capacity(64 << 10);
    for _ in 0..requests {
        let began = Instant::now();
        socket.write_all(&request).await?;
        answer.clear();
        while !is_whole(&answer)? {
            if socket.read_buf(&mut answer).await? == 0 {
                return Err("the connection was closed".into());
            }
        }
        took.push(began.elapsed());
    }
    Ok(took)
}

/// Whether an answer has all of the length that its head tells; one that is not good is an error.
pub fn is_whole(answer: &[u8]) -> Result<bool, Failure> {
    let Some(end) = memmem::find(answer, b"\r\n\r\n") else {
        return Ok(false);
    };
    let (head, body) = (&answer[..end], &answer[end + 4..]);
    if !head.starts_with(b"HTTP/1.1 20") {
        return Err(String::from_utf8_lossy(answer).into());
    }
    let length = length_told(head).ok_or("an answer without a length")?;
    Ok(body.len() >= length)
}

fn length_told(head: &[u8]) -> Option<usize> {
    // As hyper and as Node.js write it.
    let names: [&[u8]; 2] = [b"\r\ncontent-length: ", b"\r\nContent-Length: "];
    let at = (names.iter()).find_map(|name| Some(memmem::find(head, name)? + name.len()))?;
    let line = head[at..].split(|byte| *byte == b'\r').next()?;
    std::str::from_utf8(line).ok()?.parse().ok()
}
