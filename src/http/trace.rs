//! The trace that a request belongs to, for the messages in it.

use axum::http::HeaderMap;

use crate::domain::TraceContext;
use crate::domain::trace::{TRACEPARENT, TRACESTATE};
use crate::relay::Keyed;

/// The context that the headers say. Several `traceparent`s say none.
pub(super) fn of(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let (Some(parent), None) = (parents.next(), parents.next()) else {
        return None;
    };
    let states = headers.get_all(TRACESTATE).iter();
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
