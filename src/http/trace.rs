//! The trace that a request belongs to, for the messages in it.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::TraceContext;
use crate::domain::trace::{TRACEPARENT, TRACESTATE};
use crate::observe::{self, RequestSpan};
use crate::relay::Keyed;

const PARENT: HeaderName = HeaderName::from_static(TRACEPARENT);
const STATE: HeaderName = HeaderName::from_static(TRACESTATE);

/// What is asked again and again by machines says nothing of any message.
const TRACED: &str = "/v1/";

/// Begins the span of a request of the API, if traces are exported. Within the gateway the request has then
/// the headers of that span: what it leads to belongs there.
pub(super) fn begin(route: Option<&str>, request: &mut Request) -> Option<RequestSpan> {
    let route = route.filter(|route| route.starts_with(TRACED))?;
    let (method, headers) = (request.method().as_str(), request.headers());
    let span = observe::begin_request(method, route, || of(headers))?;
    if let Some(context) = span.context() {
        let headers = request.headers_mut();
        replace(headers, PARENT, Some(context.parent()));
        replace(headers, STATE, context.state());
    }
    Some(span)
}

fn replace(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    headers.remove(&name);
    // What a context holds is always a header value.
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.insert(name, value);
    }
}

/// The context that the headers say. Several `traceparent`s say none.
pub(super) fn of(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all(PARENT).iter();
    let (Some(parent), None) = (parents.next(), parents.next()) else {
        return None;
    };
    let states = headers.get_all(STATE).iter();
    let states = states.filter_map(|state| state.to_str().ok());
    TraceContext::of(parent.to_str().ok()?, states)
}

/// The message belongs to the request's trace.
pub(super) fn carry(trace: Option<&TraceContext>, keyed: &mut Keyed) {
    if let Some(trace) = trace {
        let terms = keyed.draft.terms.get_or_insert_default();
        terms.trace = Some(trace.clone());
    }
}
