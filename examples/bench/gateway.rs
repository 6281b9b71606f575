//! The whole gateway: a process of its own, fed over HTTP.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{Failure, PAYLOAD};

/// A gateway process.
pub struct Gateway {
    child: Child,
    /// Where its store is; removed at the end.
    _directory: TempDir,
    address: String,
}

impl Gateway {
    /// Starts the gateway that was built beside this benchmark, and waits until it is ready.
    pub async fn start(uri: &str, in_memory: bool) -> Result<Self, Failure> {
        let directory = tempfile::tempdir_in(std::env::current_dir()?)?;
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
        let beside = std::env::current_exe()?;
        let built = beside
            .parent()
            .and_then(|examples| examples.parent())
            .ok_or("no folder")?;
        let child = Command::new(built.join("amqpost"))
            .arg("serve")
            .env("AMQPOST_LISTEN", &address)
            .env("AMQPOST_BROKER_URL", uri)
            .env("AMQPOST_STORE_URL", store)
            .env("AMQPOST_LOG_FILTER", "error")
            .stdout(Stdio::null())
            .spawn()?;
        let gateway = Self {
            child,
            _directory: directory,
            address,
        };
        while !gateway
            .ready()
            .await
            .is_ok_and(|body| body.contains("\"state\":\"up\""))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(gateway)
    }

    /// Its process id.
    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Posts `messages` to `queue`, one in each request, over `connections` that each wait for an
    /// answer before the next request. Returns when every message is settled.
    pub async fn publish(
        &self,
        queue: &str,
        messages: usize,
        connections: usize,
    ) -> Result<(), Failure> {
        let payload = std::str::from_utf8(&PAYLOAD)?;
        let body = format!(r#"{{"exchange":"","routing_key":"{queue}","payload":"{payload}"}}"#);
        let request = format!(
            "POST /v1/messages HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Prefer: return=minimal\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let mut posting = JoinSet::new();
        for _ in 0..connections {
            let (address, request) = (self.address.clone(), request.clone());
            posting.spawn(async move {
                let mut socket = TcpStream::connect(address).await?;
                socket.set_nodelay(true)?;
                for _ in 0..messages / connections {
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
        while !self.ready().await?.contains("\"pending_messages\":0") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
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
