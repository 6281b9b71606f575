//! What each endpoint answers, with examples that the code itself has made.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::IntoResponses;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Type};
use utoipa::openapi::{
    Content, ContentBuilder, Header, Ref, RefOr, Response, ResponseBuilder, example::ExampleBuilder,
};

use super::super::message_json::MessageJson;
use super::super::problem::{Code, MEDIA_TYPE, Problem};
use crate::domain::{Fault, MessageId, Reason, ReasonCode, RowId, Status, WallTime};
use crate::relay::Progress;
use crate::store::{Record, Settlement};

type Responses = BTreeMap<String, RefOr<Response>>;

/// What any endpoint may answer before it looks at the request.
const GUARD: [Code; 2] = [Code::HostNotAllowed, Code::CrossSiteRequest];

/// The errors of `POST /v1/messages`.
const PUBLISH_ERRORS: [Code; 11] = [
    Code::MalformedJson,
    Code::IncompleteBody,
    Code::InvalidQuery,
    Code::RequestTimeout,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidMessage,
    Code::StoreFull,
    Code::Overloaded,
    Code::Stopping,
    Code::OutcomeUnknown,
];

/// The errors of `GET /v1/messages/{id}`.
const GET_ERRORS: [Code; 4] = [
    Code::InvalidQuery,
    Code::NotFound,
    Code::HistoryExpired,
    Code::StoreUnavailable,
];

/// What `POST /v1/messages` answers.
pub(in crate::http) struct PublishResponses;

impl IntoResponses for PublishResponses {
    fn responses() -> Responses {
        let mut responses = errors(&PUBLISH_ERRORS);
        responses.insert(
            "202".to_owned(),
            message(
                "Accepted, and no final status yet. The message is safe in the store.",
                &[("pending", None)],
                Body::AsPreferred,
            ),
        );
        responses.insert(
            "200".to_owned(),
            message(
                "Accepted, and settled within the time that `Prefer: wait` gave.",
                &[
                    ("confirmed", Some(Status::Confirmed)),
                    ("returned", Some(Status::Returned)),
                ],
                Body::AsPreferred,
            ),
        );
        responses
    }
}

/// What `GET /v1/messages/{id}` answers.
pub(in crate::http) struct GetResponses;

impl IntoResponses for GetResponses {
    fn responses() -> Responses {
        let mut responses = errors(&GET_ERRORS);
        responses.insert(
            "200".to_owned(),
            message(
                "The message as it stands.",
                &[
                    ("pending", None),
                    ("confirmed", Some(Status::Confirmed)),
                    ("returned", Some(Status::Returned)),
                    ("failed", Some(Status::Failed)),
                ],
                Body::Whole,
            ),
        );
        responses
    }
}

/// What the endpoints beside the API answer to strangers.
pub(in crate::http) struct OperatingResponses;

impl IntoResponses for OperatingResponses {
    fn responses() -> Responses {
        errors(&[])
    }
}

/// Whether `return=minimal` is honoured.
#[derive(Clone, Copy, PartialEq)]
enum Body {
    AsPreferred,
    Whole,
}

fn errors(codes: &[Code]) -> Responses {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for &code in GUARD.iter().chain(codes) {
        by_status
            .entry(code.status().as_u16())
            .or_default()
            .push(code);
    }
    by_status
        .into_iter()
        .map(|(status, codes)| (status.to_string(), error(&codes)))
        .collect()
}

fn error(codes: &[Code]) -> RefOr<Response> {
    let words: Vec<_> = codes
        .iter()
        .map(|code| format!("`{}`", code.as_str()))
        .collect();
    let examples = codes.iter().map(|&code| {
        let mut problem = Problem::new(code, code.title());
        if code == Code::InvalidMessage {
            let detail = "must be a whole number from 0 to 255";
            problem.errors = vec![Fault::new("/properties/priority", detail)];
        }
        let value: Option<Value> = serde_json::from_slice(&problem.to_json()).ok();
        (code.as_str(), ExampleBuilder::new().value(value))
    });
    let content = content("Problem").examples_from_iter(examples).build();
    let mut response = ResponseBuilder::new()
        .description(format!("Code {}.", words.join(", ")))
        .content(MEDIA_TYPE, content);
    if codes
        .iter()
        .any(|code| code.retry_after_seconds().is_some())
    {
        response = response.header(
            "Retry-After",
            header("Seconds after which to try again.", Type::Integer),
        );
    }
    RefOr::T(response.build())
}

fn message(description: &str, examples: &[(&str, Option<Status>)], body: Body) -> RefOr<Response> {
    let examples = examples
        .iter()
        .map(|(name, status)| (*name, ExampleBuilder::new().value(example(*status))));
    let schema = match body {
        Body::Whole => content("Message"),
        Body::AsPreferred => ContentBuilder::new().schema(Some(
            AnyOfBuilder::new()
                .item(Ref::from_schema_name("Message"))
                .item(Ref::from_schema_name("MessageMinimal")),
        )),
    };
    let content: Content = schema.examples_from_iter(examples).build();
    let mut response = ResponseBuilder::new()
        .description(description)
        .content("application/json", content)
        .header(
            "Amqpost-Status",
            header("The status of the message.", Type::String),
        )
        .header(
            "Preference-Applied",
            header("What of `Prefer` was honoured.", Type::String),
        )
        .header("Vary", header("`Prefer`", Type::String))
        .header("Cache-Control", header("`no-store`", Type::String));
    if body == Body::AsPreferred {
        let location = header("Where to ask for the message.", Type::String);
        response = response.header("Location", location);
    }
    RefOr::T(response.build())
}

fn content(schema: &str) -> ContentBuilder {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(schema)))
}

fn header(description: &str, kind: Type) -> Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(kind).build()))
        .description(Some(description))
        .build()
}

/// A message with this status, as the gateway itself would tell it.
fn example(status: Option<Status>) -> Option<Value> {
    let accepted_at = WallTime::from_unix_ms(1_795_341_600_123);
    let row = RowId::from_stored(accepted_at.unix_ms() << 12);
    let id = MessageId::from_parts(row, 0x2a5f_0c11_9d3e_7b64);
    let record = Record {
        id,
        caller: crate::domain::Caller::default(),
        exchange: "log.exchange".into(),
        routing_key: "info.log.key".into(),
        ordering_key: None,
        mandatory: true,
        message_id: None,
        size_bytes: 12,
        accepted_at,
        replays: 0,
        doubt: None,
        outcome: status.map(|status| Settlement {
            id,
            status,
            reason: reason(status),
            attempts: 1,
            duplicate_possible: false,
            revision: 2,
            settled_at: accepted_at.plus_ms(8),
        }),
    };
    serde_json::to_value(MessageJson::of_record(&record, &Progress::default())).ok()
}

fn reason(status: Status) -> Option<Reason> {
    match status {
        Status::Pending | Status::Confirmed => None,
        Status::Returned => Some(Reason::told(
            ReasonCode::NoRoute,
            312,
            "NO_ROUTE",
            "no queue is bound to the exchange with this routing key",
        )),
        Status::Failed => Some(Reason::told(
            ReasonCode::ExchangeNotFound,
            404,
            "NOT_FOUND - no exchange 'log.exchange' in vhost '/'",
            "the exchange does not exist",
        )),
    }
}
