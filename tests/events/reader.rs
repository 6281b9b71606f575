//! What a browser's `EventSource` does, and no more: events, the last event id, coming back.

use std::time::Duration;

use reqwest::Client;
use serde_json::Value;

pub(crate) use super::support::event_stream::{Block, Stream, client};
use super::support::wait::{self, SOON};

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
