//! The stream of events, for the document.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, RefOr, ResponseBuilder};
use utoipa::{IntoParams, IntoResponses};

use super::super::problem::Code;
use super::errors::errors;
use super::examples;
use super::responses::{ANY, Responses, header};
use crate::domain::Status;

/// Which messages a stream is about.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct EventsQuery {
    /// Of this status only.
    #[param(pattern = "^(confirmed|returned|failed)$")]
    status: Option<String>,
    /// With the reason of this code only.
    #[param(
        pattern = "^(no_route|nacked|exchange_not_found|access_refused|precondition_failed|message_too_large|connection_lost|broker_unavailable|broker_blocked|broker_error|expired|cancelled)$"
    )]
    reason: Option<String>,
    /// To this exchange only; empty or `amq.default` is the default exchange.
    exchange: Option<String>,
    /// With this routing key only.
    routing_key: Option<String>,
    /// With this label only.
    group: Option<String>,
    /// Only the message that was accepted with this key, while the key lives.
    #[param(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"
    )]
    idempotency_key: Option<String>,
    /// Accepted at this time or later.
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-22T10:00:00Z")]
    since: Option<String>,
    /// Accepted before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<String>,
}

/// Where a stream goes on.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct LastEventId {
    /// The id of the last event that was received; `0` is everything that is kept. Without it, the stream
    /// starts now.
    #[param(rename = "Last-Event-ID", value_type = Option<String>, pattern = "^[0-9]{1,18}$")]
    last_event_id: Option<String>,
}

/// What `GET /v1/events` answers.
pub(in crate::http) struct EventsResponses;

impl IntoResponses for EventsResponses {
    fn responses() -> Responses {
        let own = [
            Code::InvalidEventId,
            Code::InvalidRequest,
            Code::Overloaded,
            Code::StoreUnavailable,
        ];
        let mut responses = errors(&[&ANY, &own]);
        let data = examples::message(Some(Status::Returned)).unwrap_or_default();
        let example =
            format!("retry: 2000\nid: 16\n\nevent: message.returned\nid: 17\ndata: {data}\n\n");
        let stream = ContentBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
            .example(Some(example.into()));
        let mut response = ResponseBuilder::new()
            .description("Server-sent events, until one side ends the connection.")
            .content("text/event-stream", stream.build());
        for (name, words) in [
            ("Cache-Control", "`no-store`"),
            ("X-Accel-Buffering", "`no`"),
        ] {
            response = response.header(name, header(words, Type::String));
        }
        responses.insert("200".to_owned(), RefOr::T(response.build()));
        responses
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::filter::PARAMETERS;

    #[test]
    fn a_stream_can_be_asked_for_what_a_list_can_be_asked_for_but_for_its_pages() {
        let described: BTreeSet<_> = EventsQuery::into_params(|| None)
            .into_iter()
            .map(|parameter| parameter.name)
            .collect();
        let of_pages = |name: &&str| ["limit", "cursor"].contains(name);
        let read = PARAMETERS.into_iter().filter(|name| !of_pages(name));
        assert_eq!(described, read.map(str::to_owned).collect());
    }
}
