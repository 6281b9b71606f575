//! Server-sent events as they come: blocks, and no more.

use reqwest::{Client, Response, StatusCode};
use serde_json::Value;

/// One block of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    pub event: String,
    pub id: Option<u64>,
    pub data: String,
}

impl Block {
    fn parse(text: &str) -> Self {
        let mut block = Self::default();
        for line in text.lines().filter(|line| !line.starts_with(':')) {
            let (field, value) = line.split_once(": ").expect("a field and a value");
            match field {
                "event" => value.clone_into(&mut block.event),
                "id" => block.id = Some(value.parse().expect("a position")),
                "data" => value.clone_into(&mut block.data),
                "retry" => assert_eq!(value, "2000"),
                _ => panic!("a line that there is not: {line}"),
            }
        }
        block
    }

    /// The data as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {}", self.data))
    }
}

/// An open stream.
#[derive(Debug)]
pub struct Stream {
    response: Response,
    text: String,
    /// So much of the text was given.
    read: usize,
}

/// A client with connections of its own.
pub fn client() -> Client {
    let client = Client::builder().no_proxy().pool_max_idle_per_host(0);
    client.build().expect("a client without TLS needs nothing")
}

impl Stream {
    /// Opens it, or tells the status that came instead; nothing when there was no answer.
    pub async fn open(
        client: &Client,
        url: &str,
        headers: &[(&str, &str)],
        last_id: Option<u64>,
    ) -> Result<Self, Option<StatusCode>> {
        let mut request = client.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(last_id) = last_id {
            request = request.header("Last-Event-ID", last_id.to_string());
        }
        let response = request.send().await.map_err(|_| None)?;
        if response.status() != StatusCode::OK {
            return Err(Some(response.status()));
        }
        Ok(Self {
            response,
            text: String::new(),
            read: 0,
        })
    }

    /// The next whole block. `None` when the connection has ended.
    pub async fn block(&mut self) -> Option<Block> {
        self.text().await.map(Block::parse)
    }

    /// The same as it came.
    pub async fn text(&mut self) -> Option<&str> {
        loop {
            if let Some(length) = self.text[self.read..].find("\n\n") {
                let start = self.read;
                self.read += length + 2;
                return Some(&self.text[start..start + length]);
            }
            let bytes = self.response.chunk().await.ok()??;
            self.text.drain(..std::mem::take(&mut self.read));
            self.text
                .push_str(std::str::from_utf8(&bytes).expect("events are not cut in letters"));
        }
    }
}
