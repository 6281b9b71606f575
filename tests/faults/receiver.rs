//! A receiver of webhooks that verifies what it gets, and fails now and then.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde_json::Value;

use super::ledger::{Hook, Status};
use super::site::Site;
use super::support::signature;
use super::told;

/// What signs callbacks.
pub(crate) const CALLBACK_SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
/// One of so many webhooks is refused at its first try.
const REFUSED_ONE_OF: u64 = 100;

/// See the module.
pub(crate) struct Receiver {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Known once the campaign is.
    site: Mutex<Option<Arc<Site>>>,
    standing_secret: Mutex<String>,
    /// Webhooks that were refused before.
    refused: Mutex<HashSet<u64>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let router = Router::new()
            .fallback(take_any)
            .route("/{to}", axum::routing::post(take));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let router = router.with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, shared }
    }

    /// Where callbacks, or the standing webhook's, go.
    pub(crate) fn url(&self, to: &str) -> String {
        format!("http://127.0.0.1:{}/{to}", self.port)
    }

    /// From now on webhooks are written down.
    pub(crate) fn note_for(&self, site: &Arc<Site>, standing_secret: String) {
        *self.shared.standing_secret.lock() = standing_secret;
        *self.shared.site.lock() = Some(Arc::clone(site));
    }
}

async fn take_any(State(shared): State<Arc<Shared>>) -> StatusCode {
    if let Some(site) = shared.site.lock().as_ref() {
        site.incident("a webhook went where none was wanted");
    }
    StatusCode::NOT_FOUND
}

async fn take(
    State(shared): State<Arc<Shared>>,
    Path(to): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let Some(site) = shared.site.lock().clone() else {
        return StatusCode::SERVICE_UNAVAILABLE;
    };
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(outcome) = told::outcome(&json["data"]) else {
        site.incident(format!("a webhook tells of no outcome: {json}"));
        return StatusCode::BAD_REQUEST;
    };
    let standing = to == "standing";
    let secret = if standing {
        shared.standing_secret.lock().clone()
    } else {
        CALLBACK_SECRET.to_owned()
    };
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let signatures = header("webhook-signature");
    let event = match outcome.status {
        Status::Confirmed => "message.confirmed",
        Status::Returned => "message.returned",
        Status::Failed | Status::Pending => "message.failed",
    };
    let taken = shared.takes(site.seed, id, standing);
    site.books.lock().hooks.push(Hook {
        webhook_id: id.to_owned(),
        standing,
        outcome,
        signed: signature::count(&secret, id, timestamp, &body, signatures) == 1,
        well_formed: json["type"] == event
            && json["timestamp"] == json["data"]["settled_at"]
            && timestamp.parse::<u64>().is_ok(),
        taken,
    });
    if taken {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    }
}

impl Shared {
    fn takes(&self, seed: u64, webhook_id: &str, standing: bool) -> bool {
        let mut hash = DefaultHasher::new();
        (seed, webhook_id, standing).hash(&mut hash);
        let hash = hash.finish();
        !hash.is_multiple_of(REFUSED_ONE_OF) || !self.refused.lock().insert(hash)
    }
}
