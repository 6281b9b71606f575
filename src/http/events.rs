//! `GET /v1/events`: final statuses as server-sent events, in the order of settlement.
//!
//! The form is that of the HTML standard, section 9.2. Its rule that a block without data sets the last
//! event id and is no event is used twice: the first block names the position that the stream starts
//! from, so that a connection which breaks before any event is resumed without loss; and now and then
//! one names the position that was passed over, so that a client with a narrow filter does not resume
//! from long ago.

mod body;
mod last_event_id;
mod seeing;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};

use super::amqp_headers::NoAmqpHeaders;
use super::filter::{self, Asked};
use super::parse::Faults;
use super::problem::{Code, Problem};
use super::state::Gateway;
use super::{openapi, query};
use crate::domain::Status;
use crate::domain::access::Access;
use crate::notify::events::{ListenError, Wanted, WantedKey};
use body::EventsBody;
use seeing::Seeing;

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Follow final statuses
///
/// Server-sent events: `message.confirmed`, `message.returned` and `message.failed`, each with the message
/// as its data and its position in the order of settlement as its id, and only after it is stored. The
/// filters are those of the list. With `Last-Event-ID` the stream goes on behind that position, and a
/// message that was settled again since then appears with its latest outcome only; without it, the stream
/// starts now. When something behind the position may no longer be kept, or the position is not one of this
/// gateway's store, an event `gap` comes first (`{"from":…,"to":…}`), and then what is kept. Comments keep
/// the connection alive, blocks with only an id tell the position that was passed over; clients must ignore
/// events that they do not know, and come back when the connection ends. It also ends when the key of the
/// caller, or what it may see, has changed.
#[utoipa::path(
    get,
    path = "/v1/events",
    operation_id = "events",
    tag = "asking",
    params(openapi::EventsQuery, openapi::LastEventId),
    responses(openapi::EventsResponses)
)]
pub(super) async fn events(
    State(gateway): State<Gateway>,
    access: Access,
    _: NoAmqpHeaders,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wanted = wanted(&gateway, &access, &uri)?;
    let after = last_event_id::read(&headers)?;
    let store = std::sync::Arc::clone(&gateway.store);
    let listener = gateway.events.listen(store, wanted, after).await;
    let listener = listener.map_err(|error| match error {
        ListenError::TooMany => Problem::new(
            Code::Overloaded,
            "as many streams of events are open as may be",
        ),
        ListenError::Store(error) => {
            tracing::warn!(%error, "the store could not be asked");
            Problem::new(Code::StoreUnavailable, "the store could not be asked")
        }
    })?;
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, super::NO_STORE),
        // Proxies of one common kind would collect the stream before they pass it on.
        (X_ACCEL_BUFFERING, "no"),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)));
    let sight = Seeing::new(access, gateway.callers.clone());
    let body = EventsBody::new(listener, sight, gateway.stop.clone());
    Ok((headers, Body::new(body)).into_response())
}

/// What the query asks for: what a list can be asked for, as far as it makes sense here.
fn wanted(gateway: &Gateway, access: &Access, uri: &Uri) -> Result<Wanted, Problem> {
    let Asked {
        filter,
        idempotency_key,
        limit,
        cursor,
    } = filter::read(uri.query(), access.scope().cloned())?;
    let mut faults = Faults::default();
    for (name, is_given) in [("limit", limit.is_some()), ("cursor", cursor.is_some())] {
        if is_given {
            faults.push("", format!("the query parameter {name} is not known here"));
        }
    }
    if filter.status == Some(Status::Pending) {
        faults.push("", "the query parameter status must be a final one here");
    }
    query::refuse(faults)?;
    let key = idempotency_key.map(|key| WantedKey {
        caller: access.caller.clone(),
        key,
        kept: super::idempotent::kept_for(gateway),
    });
    Ok(Wanted { filter, key })
}
