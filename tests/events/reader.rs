//! What a browser's `EventSource` does, and no more: blocks, events, the last event id, coming back.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use serde_json::Value;

use super::support::wait::{self, SOON};

/// One block of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Block {
    pub(crate) event: String,
    pub(crate) id: Option<u64>,
    pub(crate) data: String,
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
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {}", self.data))
    }
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct Stream {
    response: Response,
    text: String,
    /// So much of the text was given.
    read: usize,
}

/// A client with connections of its own.
pub(crate) fn client() -> Client {
    let client = Client::builder().no_proxy().pool_max_idle_per_host(0);
    client.build().expect("a client without TLS needs nothing")
}

impl Stream {
    /// Opens it, or tells the status that came instead; nothing when there was no answer.
    pub(crate) async fn open(
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
    pub(crate) async fn block(&mut self) -> Option<Block> {
        self.text().await.map(Block::parse)
    }

    /// The same as it came.
    pub(crate) async fn text(&mut self) -> Option<&str> {
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

/// A client that comes back with the last id whenever the connection ends.
#[derive(Debug)]
pub(crate) struct Follower {
    client: Client,
    /// With path and query.
    pub(crate) url: String,
    headers: Vec<(String, String)>,
    stream: Option<Stream>,
    pub(crate) last_id: Option<u64>,
    /// How often it has come.
    pub(crate) connections: usize,
    /// What was told.
    pub(crate) events: Vec<Block>,
    pub(crate) gaps: Vec<Value>,
}

impl Follower {
    pub(crate) fn new(url: String, headers: &[(&str, &str)], last_id: Option<u64>) -> Self {
        Self {
            client: client(),
            url,
            headers: (headers.iter())
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            stream: None,
            last_id,
            connections: 0,
            events: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// Comes, if it is not there, and knows where it started when this returns.
    pub(crate) async fn come(&mut self) {
        while self.stream.is_none() {
            let headers: Vec<_> = (self.headers.iter())
                .map(|(name, value)| (&**name, &**value))
                .collect();
            let opened = Stream::open(&self.client, &self.url, &headers, self.last_id).await;
            match opened {
                Ok(stream) => {
                    self.stream = Some(stream);
                    self.connections += 1;
                    self.step().await;
                }
                Err(None) => tokio::time::sleep(wait::LOOK_EVERY).await,
                Err(Some(status)) => panic!("{} is answered with {status}", self.url),
            }
        }
    }

    /// Reads a block, if the connection gives one.
    async fn step(&mut self) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let Some(block) = stream.block().await else {
            self.stream = None;
            return;
        };
        // What the standard calls dispatching.
        self.last_id = block.id.or(self.last_id);
        match &*block.event {
            "gap" => self.gaps.push(block.json()),
            _ if block.data.is_empty() => {}
            _ => self.events.push(block),
        }
    }

    /// Follows until it was told of so many events in all.
    pub(crate) async fn read(&mut self, count: usize) {
        let limit = SOON * 4;
        let all = async {
            while self.events.len() < count {
                self.come().await;
                self.step().await;
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            let last = self.events.last();
            panic!(
                "{} of {count} events within {limit:?}, {last:?}",
                self.events.len()
            );
        }
    }

    /// Whether nothing comes for a moment.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        let before = self.events.len() + self.gaps.len();
        let moment = async {
            loop {
                self.come().await;
                self.step().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(300), moment).await;
        self.events.len() + self.gaps.len() == before
    }

    /// The ids of the messages, in the order in which they were told.
    pub(crate) fn messages(&self) -> Vec<String> {
        (self.events.iter())
            .map(|event| event.json()["id"].as_str().expect("an id").to_owned())
            .collect()
    }

    /// Panics unless positions have only grown.
    pub(crate) fn assert_in_order(&self) {
        let positions: Vec<_> = self.events.iter().map(|event| event.id).collect();
        assert!(
            positions.is_sorted_by(|one, next| one < next),
            "{positions:?}"
        );
    }
}
