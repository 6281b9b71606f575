//! A caller that uses every way of publishing in turn: single, raw, batches in JSON and NDJSON.

use reqwest::Method;
use serde_json::{Value, json};

use super::gateway::{Answer, Gateway};
use super::queues::Place;

/// Messages of one batch at most.
pub const BATCH_MESSAGES_MAX: usize = 16;

const JSON: (&str, &str) = ("content-type", "application/json");

/// A message that was answered with a 202.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its id.
    pub id: String,
    /// `key.{caller}`, or `nowhere.{caller}`, which no queue is bound with.
    pub routing_key: String,
    /// Grows with each message of the caller; it is the payload too.
    pub number: usize,
}

impl Sent {
    /// Whether a queue is bound for it.
    pub fn is_routable(&self) -> bool {
        self.routing_key.starts_with("key.")
    }
}

/// One who publishes, one request after the other. Every third message has nowhere to go.
#[derive(Debug)]
pub struct Caller {
    name: usize,
    requests: usize,
    messages: usize,
}

impl Caller {
    /// The caller of this number.
    pub fn new(name: usize) -> Self {
        Self {
            name,
            requests: name,
            messages: 0,
        }
    }

    /// Publishes by the next way. `None` when no 202 came back: then nobody knows.
    pub async fn publish(&mut self, gateway: &Gateway, place: &Place) -> Option<Vec<Sent>> {
        self.requests += 1;
        let way = self.requests % 4;
        let count = if way < 2 {
            1
        } else {
            1 + self.requests % BATCH_MESSAGES_MAX
        };
        let mut sent: Vec<_> = (0..count).map(|_| self.next()).collect();
        let body = |one: &Sent| {
            json!({"exchange": place.exchange, "routing_key": one.routing_key,
                   "payload": one.number.to_string()})
        };
        let bodies: Vec<Value> = sent.iter().map(body).collect();
        let post = |path, headers, body| gateway.try_request(Method::POST, path, headers, body);
        let answered = match way {
            0 => post("/v1/messages", &[JSON], bodies[0].to_string()).await,
            1 => {
                let (exchange, key) = (&place.exchange, &sent[0].routing_key);
                let path = format!("/v1/exchanges/{exchange}/messages?routing_key={key}");
                post(&path, &[], sent[0].number.to_string()).await
            }
            2 => {
                let batch = json!({"messages": bodies});
                post("/v1/messages/batch", &[JSON], batch.to_string()).await
            }
            _ => {
                let lines: Vec<_> = bodies.iter().map(Value::to_string).collect();
                let ndjson = ("content-type", "application/x-ndjson");
                post("/v1/messages/batch", &[ndjson], lines.join("\n")).await
            }
        };
        let answer = answered.ok().filter(|answer| answer.status == 202)?;
        for (one, id) in sent.iter_mut().zip(ids(&answer, way < 2)) {
            one.id = id;
        }
        assert!(sent.iter().all(|one| !one.id.is_empty()), "{}", answer.text);
        Some(sent)
    }

    fn next(&mut self) -> Sent {
        self.messages += 1;
        let to = if self.messages.is_multiple_of(3) {
            "nowhere"
        } else {
            "key"
        };
        Sent {
            id: String::new(),
            routing_key: format!("{to}.{}", self.name),
            number: self.messages,
        }
    }
}

fn ids(answer: &Answer, single: bool) -> Vec<String> {
    if single {
        return vec![answer.id()];
    }
    let results = answer.json["results"].as_array().expect("all results");
    let id = |result: &Value| result["id"].as_str().unwrap_or_default().to_owned();
    results.iter().map(id).collect()
}
