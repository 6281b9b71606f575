//! The whole gateway: a process of its own, fed over HTTP.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Failure;

/// What is posted.
pub struct Load<'a> {
    /// Where to.
    pub queue: &'a str,
    /// In all; whole requests of every connection.
    pub messages: usize,
    /// Each waits for an answer before its next request.
    pub connections: usize,
    /// Messages in a request; one alone is posted singly.
    pub batch: usize,
    /// Of every message.
    pub payload: &'a str,
    /// More members of every message, each after a comma.
    pub terms: &'a str,
}

impl Load<'_> {
    fn request(&self, host: &str) -> String {
        let (queue, payload, terms) = (self.queue, self.payload, self.terms);
        let one =
            format!(r#"{{"exchange":"","routing_key":"{queue}","payload":"{payload}"{terms}}}"#);
        let (path, prefer, body) = if self.batch == 1 {
            ("/v1/messages", "Prefer: return=minimal\r\n", one)
        } else {
            let all = vec![one; self.batch].join(",");
            (
                "/v1/messages/batch",
                "",
                format!(r#"{{"messages":[{all}]}}"#),
            )
        };
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             {prefer}Content-Length: {length}\r\n\r\n{body}"
        )
    }
}

/// A gateway process.
pub struct Gateway {
    program: PathBuf,
    child: Child,
    directory: TempDir,
    store: String,
    address: String,
}

impl Gateway {
    /// Starts the gateway that was built beside this benchmark, and waits until it accepts.
    pub async fn start(uri: &str, in_memory: bool) -> Result<Self, Failure> {
        let beside = std::env::current_exe()?;
        let built = (beside.parent().and_then(Path::parent)).ok_or("no folder")?;
        Self::start_program(built.join("amqpost"), uri, in_memory).await
    }

    /// As [`Gateway::start`], any build of it.
    pub async fn start_program(
        program: PathBuf,
        uri: &str,
        in_memory: bool,
    ) -> Result<Self, Failure> {
        // On the disk of this program, and not where a killed benchmark would leave it among the sources.
        let beside = std::env::current_exe()?;
        let directory = tempfile::tempdir_in(beside.parent().ok_or("no directory")?)?;
        let file = directory.path().join("amqpost.db");
        let store = if in_memory {
            "memory:".to_owned()
        } else {
            format!("sqlite:{}", file.display())
        };
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let address = format!("127.0.0.1:{port}");
        let child = launch(&program, uri, &store, &address)?;
        let gateway = Self {
            program,
            child,
            directory,
            store,
            address,
        };
        gateway.wait_ready("\"ready\"").await;
        Ok(gateway)
    }

    /// Kills it and starts it again on the same store with another broker; gives the time until it
    /// accepted.
    pub async fn restart(&mut self, uri: &str) -> Result<Duration, Failure> {
        self.child.kill()?;
        self.child.wait()?;
        let began = Instant::now();
        self.child = launch(&self.program, uri, &self.store, &self.address)?;
        self.wait_ready("\"ready\"").await;
        Ok(began.elapsed())
    }

    /// Waits until `/readyz` says `word`.
    pub async fn wait_ready(&self, word: &str) {
        while !self.ready().await.is_ok_and(|body| body.contains(word)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Bytes of the store's files.
    pub fn store_bytes(&self) -> u64 {
        let files = std::fs::read_dir(self.directory.path())
            .into_iter()
            .flatten()
            .flatten();
        files
            .filter_map(|file| file.metadata().ok())
            .map(|file| file.len())
            .sum()
    }

    /// Its process id.
    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// As [`Gateway::post`], and returns when every message is settled.
    pub async fn publish(&self, load: &Load<'_>) -> Result<(), Failure> {
        self.post(load).await?;
        self.wait_ready("\"pending_messages\":0").await;
        Ok(())
    }

    /// Posts messages over connections that each wait for an answer before the next request.
    pub async fn post(&self, load: &Load<'_>) -> Result<(), Failure> {
        self.post_steadily(load, usize::MAX).await
    }

    /// As [`Gateway::post`], at most so many messages a second.
    pub async fn post_steadily(
        &self,
        load: &Load<'_>,
        per_second_max: usize,
    ) -> Result<(), Failure> {
        let request: Arc<str> = load.request(&self.address).into();
        let requests = load.messages / load.connections / load.batch;
        let per_second_max = u64::try_from(per_second_max)?;
        let between = u64::try_from(load.connections * load.batch)? * 1_000_000 / per_second_max;
        let mut posting = JoinSet::new();
        for _ in 0..load.connections {
            let (address, request) = (self.address.clone(), Arc::clone(&request));
            posting.spawn(async move {
                let mut socket = TcpStream::connect(address).await?;
                socket.set_nodelay(true)?;
                let mut pace =
                    (between > 0).then(|| tokio::time::interval(Duration::from_micros(between)));
                for _ in 0..requests {
                    if let Some(pace) = &mut pace {
                        pace.tick().await;
                    }
                    let answer = exchange(&mut socket, &request).await?;
                    if !answer.starts_with("HTTP/1.1 202") {
                        return Err(Failure::from(answer));
                    }
                }
                Ok(())
            });
        }
        while let Some(posted) = posting.join_next().await {
            posted??;
        }
        Ok(())
    }

    /// A request that posts `body`.
    pub fn request(&self, body: &str, prefer: &str) -> String {
        format!(
            "POST /v1/messages HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Prefer: {prefer}\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
    }

    /// Sends `messages` requests, each of its number, over `connections`; gives how long each took to
    /// be answered.
    pub async fn send(
        &self,
        messages: usize,
        connections: usize,
        request: impl Fn(usize) -> String,
    ) -> Result<Vec<Duration>, Failure> {
        let mut posting = JoinSet::new();
        for connection in 0..connections {
            let numbers = (connection..messages).step_by(connections);
            let requests: Vec<_> = numbers.map(&request).collect();
            let address = self.address.clone();
            posting.spawn(async move {
                let mut socket = TcpStream::connect(address).await?;
                socket.set_nodelay(true)?;
                let mut took = Vec::with_capacity(requests.len());
                for request in requests {
                    let began = Instant::now();
                    let answer = exchange(&mut socket, &request).await?;
                    if !answer.starts_with("HTTP/1.1 20") {
                        return Err(Failure::from(answer));
                    }
                    took.push(began.elapsed());
                }
                Ok(took)
            });
        }
        let mut took = Vec::new();
        while let Some(posted) = posting.join_next().await {
            took.extend(posted??);
        }
        Ok(took)
    }

    /// Asks for anything; gives the body of the answer, which must be a good one.
    pub async fn ask(&self, method: &str, path: &str, body: &str) -> Result<String, Failure> {
        let mut socket = TcpStream::connect(&self.address).await?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let answer = exchange(&mut socket, &request).await?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.starts_with("HTTP/1.1 20") => Ok(body.to_owned()),
            _ => Err(answer.into()),
        }
    }

    /// A connection on which a stream of events was asked for.
    pub async fn listen(&self, query: &str) -> Result<TcpStream, Failure> {
        let mut socket = TcpStream::connect(&self.address).await?;
        let request = format!(
            "GET /v1/events{query} HTTP/1.1\r\nHost: {}\r\n\r\n",
            self.address
        );
        socket.write_all(request.as_bytes()).await?;
        Ok(socket)
    }

    async fn ready(&self) -> Result<String, Failure> {
        let mut socket = TcpStream::connect(&self.address).await?;
        exchange(
            &mut socket,
            &format!("GET /readyz HTTP/1.1\r\nHost: {}\r\n\r\n", self.address),
        )
        .await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(program: &Path, uri: &str, store: &str, address: &str) -> Result<Child, Failure> {
    let mut command = Command::new(program);
    command
        .arg("serve")
        .env("AMQPOST_LISTEN", address)
        .env("AMQPOST_BROKER_URL", uri)
        .env("AMQPOST_STORE_URL", store)
        .env("AMQPOST_LOG_FILTER", "error")
        .env("AMQPOST_WEBHOOK_ALLOW", "127.0.0.0/8")
        .stdout(Stdio::null());
    Ok(command.spawn()?)
}

/// One request and its answer, whose length the head tells.
async fn exchange(socket: &mut TcpStream, request: &str) -> Result<String, Failure> {
    socket.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(512);
    loop {
        if socket.read_buf(&mut answer).await? == 0 {
            return Err("the gateway closed the connection".into());
        }
        let text = std::str::from_utf8(&answer)?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .ok_or("an answer without a length")?;
        if body.len() >= length.parse()? {
            return Ok(text.to_owned());
        }
    }
}
