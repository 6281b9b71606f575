//! What all parts of a campaign share: the books, the clock, and where things are.

use std::io::Write as _;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

use super::account::Faults;
use super::ledger::{Books, Outcome};

/// Longer than any answer takes that will come.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);

/// See the module.
pub(crate) struct Site {
    pub(crate) seed: u64,
    pub(crate) books: Mutex<Books>,
    pub(crate) faults: Faults,
    /// Where callers find the gateway: behind a proxy.
    pub(crate) callers_url: String,
    /// The gateway itself.
    pub(crate) gateway_url: String,
    /// The broker itself.
    pub(crate) broker_url: String,
    /// Where callbacks go.
    pub(crate) callback_url: String,
    started: Instant,
    client: Client,
}

/// What was answered.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) json: Value,
}

impl Reply {
    /// The code of the problem that it is.
    pub(crate) fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }
}

impl Site {
    pub(crate) fn new(seed: u64, [callers, gateway, broker, callback]: [String; 4]) -> Self {
        let client = Client::builder().no_proxy().timeout(ANSWER_LIMIT);
        Self {
            seed,
            books: Mutex::default(),
            faults: Faults::default(),
            callers_url: callers,
            gateway_url: gateway,
            broker_url: broker,
            callback_url: callback,
            started: Instant::now(),
            client: client.build().expect("a client without TLS needs nothing"),
        }
    }

    /// Since the start.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Prints a line, also of a test that passes: the seed is to be seen whatever comes of it.
    pub(crate) fn say(&self, line: &str) {
        let _ = writeln!(std::io::stderr(), "[seed {}] {line}", self.seed);
    }

    /// Writes down what is wrong whatever else is.
    pub(crate) fn incident(&self, what: impl Into<String>) {
        let what = what.into();
        self.say(&format!("INCIDENT at {} ms: {what}", self.now_ms()));
        self.books.lock().incidents.push(what);
    }

    /// Writes down a final status that was answered.
    pub(crate) fn answered(&self, outcome: Outcome) {
        self.books.lock().answered.push(outcome);
    }

    /// Asks as callers do. Nothing when no whole answer came.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(String, String)],
        body: String,
    ) -> Option<Reply> {
        self.request(&self.callers_url, method, path, headers, body)
            .await
    }

    /// Asks the gateway past the bad network.
    pub(crate) async fn get(&self, path: &str) -> Option<Reply> {
        self.request(&self.gateway_url, Method::GET, path, &[], String::new())
            .await
    }

    async fn request(
        &self,
        base: &str,
        method: Method,
        path: &str,
        headers: &[(String, String)],
        body: String,
    ) -> Option<Reply> {
        let mut request = self
            .client
            .request(method, format!("{base}{path}"))
            .body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = request.send().await.ok()?;
        let status = response.status();
        let text = response.text().await.ok()?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            self.incident(format!("{path} is answered with 500: {text}"));
        }
        Some(Reply { status, json })
    }
}
