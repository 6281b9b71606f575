//! A receiver of webhooks that answers as it is told, and checks what it gets as the Standard Webhooks
//! specification says.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use parking_lot::Mutex;
use serde_json::Value;

use super::support::{signature, wait};

/// How long a webhook may take.
const COME_LIMIT: Duration = Duration::from_secs(30);

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    /// `webhook-id`
    pub(crate) id: String,
    /// `webhook-timestamp`
    pub(crate) timestamp: String,
    /// `webhook-signature`
    pub(crate) signatures: String,
    /// `traceparent`
    pub(crate) traceparent: String,
    /// The body, as it came.
    pub(crate) body: Bytes,
    /// The same as JSON.
    pub(crate) json: Value,
    /// What it was answered.
    pub(crate) answered: u16,
}

impl Got {
    /// How many of its signatures are good for this secret.
    pub(crate) fn signed_by(&self, secret: &str) -> usize {
        signature::count(
            secret,
            &self.id,
            &self.timestamp,
            &self.body,
            &self.signatures,
        )
    }
}

#[derive(Default)]
struct Log {
    got: Vec<Got>,
    /// Answers that are due, the next one last; then 204.
    answers: Vec<u16>,
}

/// See the module.
pub(crate) struct Receiver {
    port: u16,
    log: Arc<Mutex<Log>>,
}

impl Receiver {
    /// Answers with these status codes, one after the other, and then with 204.
    pub(crate) async fn start(answers: &[u16]) -> Self {
        let log = Arc::new(Mutex::new(Log {
            got: Vec::new(),
            answers: answers.iter().rev().copied().collect(),
        }));
        let router = Router::new().fallback(take).with_state(Arc::clone(&log));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, log }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?x=1", self.port)
    }

    /// What has come so far.
    pub(crate) fn got(&self) -> Vec<Got> {
        self.log.lock().got.clone()
    }

    /// Waits until so many requests have come, and gives them.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Got> {
        wait::until("webhooks have come", COME_LIMIT, || async {
            let got = self.got();
            (got.len() >= count).then_some(got)
        })
        .await
    }

    /// Waits until a request with this id has come, and gives the first one.
    pub(crate) async fn wait_for_id(&self, id: &str) -> Got {
        let what = format!("webhook {id} has come");
        wait::until(&what, COME_LIMIT, || async {
            self.got().into_iter().find(|one| one.id == id)
        })
        .await
    }
}

async fn take(
    State(log): State<Arc<Mutex<Log>>>,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let mut log = log.lock();
    let answered = log.answers.pop().unwrap_or(204);
    log.got.push(Got {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signatures: header("webhook-signature"),
        traceparent: header("traceparent"),
        json: serde_json::from_slice(&body).unwrap_or(Value::Null),
        body,
        answered,
    });
    let status = StatusCode::from_u16(answered).expect("a status");
    if status.is_redirection() {
        return (status, [("location", "http://127.0.0.1:1/")]).into_response();
    }
    status.into_response()
}

/// Seconds since the Unix epoch.
pub(crate) fn now_seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}
