//! What each endpoint answers.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::IntoResponses;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Type};
use utoipa::openapi::{
    Content, ContentBuilder, Header, Ref, RefOr, Response, ResponseBuilder, example::ExampleBuilder,
};

use super::super::problem::Code;
use super::super::stats;
use super::acting::of_statuses;
use super::errors::{errors, problem_example};
use super::examples;
use crate::domain::Status;

pub(super) type Responses = BTreeMap<String, RefOr<Response>>;

/// What any endpoint may answer that has to do with messages.
pub(super) const ANY: [Code; 3] = [Code::Unauthorized, Code::RateLimited, Code::InvalidQuery];

/// What any endpoint may answer that reads a body.
pub(super) const BODY: [Code; 4] = [
    Code::IncompleteBody,
    Code::RequestTimeout,
    Code::BodyTooLarge,
    Code::Overloaded,
];

/// Why nothing is accepted.
const NOT_ACCEPTED: [Code; 4] = [
    Code::StoreFull,
    Code::StoreUnavailable,
    Code::Stopping,
    Code::OutcomeUnknown,
];

/// What else a message with an idempotency key may be answered.
const REPEATED: [Code; 2] = [Code::IdempotencyKeyReused, Code::HistoryExpired];

/// What `POST /v1/messages` answers.
pub(in crate::http) struct PublishResponses;

impl IntoResponses for PublishResponses {
    fn responses() -> Responses {
        let own = [
            Code::Forbidden,
            Code::MalformedJson,
            Code::UnsupportedMediaType,
            Code::InvalidMessage,
        ];
        accepted(errors(&[&ANY, &BODY, &NOT_ACCEPTED, &REPEATED, &own]))
    }
}

/// What `POST /v1/exchanges/{exchange}/messages` answers.
pub(in crate::http) struct PublishRawResponses;

impl IntoResponses for PublishRawResponses {
    fn responses() -> Responses {
        accepted(errors(&[
            &ANY,
            &BODY,
            &NOT_ACCEPTED,
            &REPEATED,
            &[Code::Forbidden, Code::InvalidMessage],
        ]))
    }
}

fn accepted(mut responses: Responses) -> Responses {
    responses.insert(
        "202".to_owned(),
        message(
            "Accepted, and no final status yet. The message is safe in the store.",
            &of_statuses(&[("pending", None)]),
            Body::Accepted,
        ),
    );
    responses.insert(
        "200".to_owned(),
        message(
            "Accepted, and settled within the time that `Prefer: wait` gave, or before this repeat.",
            &of_statuses(&[
                ("confirmed", Some(Status::Confirmed)),
                ("returned", Some(Status::Returned)),
            ]),
            Body::Accepted,
        ),
    );
    responses
}

/// What `POST /v1/messages/batch` answers.
pub(in crate::http) struct PublishBatchResponses;

impl IntoResponses for PublishBatchResponses {
    fn responses() -> Responses {
        let own = [
            Code::MalformedJson,
            Code::UnsupportedMediaType,
            Code::TooManyItems,
            Code::InvalidRequest,
        ];
        let mut responses = errors(&[&ANY, &BODY, &NOT_ACCEPTED, &own]);
        let faulty = problem_example(Code::InvalidMessage);
        let faulty: Vec<_> = faulty.iter().collect();
        for (status, description, example) in [
            (
                "202",
                "All are accepted, and safe in the store.",
                examples::batch(&[]),
            ),
            (
                "207",
                "Some are accepted and some refused.",
                examples::batch(&faulty),
            ),
        ] {
            responses.insert(status.to_owned(), RefOr::T(batch(description, example)));
        }
        // All refused: the results; or the batch as a whole: a problem.
        if let Some(RefOr::T(refused)) = responses.get_mut("422") {
            let both = [faulty.clone(), faulty].concat();
            let results = content("BatchAnswer")
                .example(Some(examples::batch(&both)))
                .build();
            refused.description = format!(
                "All messages are refused; or, as a problem: {}",
                refused.description
            );
            refused
                .content
                .insert("application/json".to_owned(), RefOr::T(results));
        }
        responses
    }
}

fn batch(description: &str, example: Value) -> Response {
    let results = content("BatchAnswer").example(Some(example)).build();
    ResponseBuilder::new()
        .description(description)
        .content("application/json", results)
        .header(
            "Preference-Applied",
            header("What of `Prefer` was honoured.", Type::String),
        )
        .header("Vary", header("`Prefer`", Type::String))
        .header("Cache-Control", header("`no-store`", Type::String))
        .build()
}

/// What `GET /v1/messages/{id}` answers.
pub(in crate::http) struct GetResponses;

impl IntoResponses for GetResponses {
    fn responses() -> Responses {
        let own = [
            Code::NotFound,
            Code::HistoryExpired,
            Code::InvalidRequest,
            Code::StoreUnavailable,
        ];
        let mut responses = errors(&[&ANY, &own]);
        responses.insert(
            "200".to_owned(),
            message(
                "The message as it stands.",
                &of_statuses(&[
                    ("pending", None),
                    ("confirmed", Some(Status::Confirmed)),
                    ("returned", Some(Status::Returned)),
                    ("failed", Some(Status::Failed)),
                ]),
                Body::Whole,
            ),
        );
        responses
    }
}

/// What `GET /v1/messages` answers.
pub(in crate::http) struct ListResponses;

impl IntoResponses for ListResponses {
    fn responses() -> Responses {
        let own = [
            Code::InvalidCursor,
            Code::InvalidRequest,
            Code::StoreUnavailable,
        ];
        let mut responses = errors(&[&ANY, &own]);
        let page = told("A page of the list.", "MessageList", Some(examples::list()));
        responses.insert("200".to_owned(), page);
        responses
    }
}

/// What `POST /v1/messages/lookup` answers.
pub(in crate::http) struct LookupResponses;

impl IntoResponses for LookupResponses {
    fn responses() -> Responses {
        let own = [
            Code::MalformedJson,
            Code::UnsupportedMediaType,
            Code::TooManyItems,
            Code::InvalidRequest,
            Code::StoreUnavailable,
        ];
        let mut responses = errors(&[&ANY, &BODY, &own]);
        let found = told(
            "What is known of them.",
            "LookupAnswer",
            Some(examples::lookup()),
        );
        responses.insert("200".to_owned(), found);
        responses
    }
}

/// What `GET /v1/messages/{id}/payload` answers.
pub(in crate::http) struct PayloadResponses;

impl IntoResponses for PayloadResponses {
    fn responses() -> Responses {
        let own = [
            Code::NotFound,
            Code::HistoryExpired,
            Code::PayloadNotKept,
            Code::InvalidRequest,
            Code::StoreUnavailable,
        ];
        let mut responses = errors(&[&ANY, &own]);
        let bytes = ContentBuilder::new().build();
        let mut payload = ResponseBuilder::new()
            .description("The bytes, as an attachment that browsers run nothing of.")
            .content("*/*", bytes);
        for (name, words) in [
            ("Amqpost-Content-Type", "The property, if there is one."),
            ("Amqpost-Content-Encoding", "The property, if there is one."),
            (
                "Content-Disposition",
                "`attachment`, with the id as the name of a file.",
            ),
            ("X-Content-Type-Options", "`nosniff`"),
            ("Content-Security-Policy", "`sandbox; default-src 'none'`"),
            ("Cache-Control", "`no-store`"),
        ] {
            payload = payload.header(name, header(words, Type::String));
        }
        responses.insert("200".to_owned(), RefOr::T(payload.build()));
        responses
    }
}

/// What `GET /v1/stats` answers.
pub(in crate::http) struct StatsResponses;

impl IntoResponses for StatsResponses {
    fn responses() -> Responses {
        let mut responses = errors(&[&ANY, &[Code::InvalidRequest, Code::StoreUnavailable]]);
        let numbers = told("The numbers.", "Stats", stats::example());
        responses.insert("200".to_owned(), numbers);
        responses
    }
}

/// What `GET /metrics` answers.
pub(in crate::http) struct MetricsResponses;

impl IntoResponses for MetricsResponses {
    fn responses() -> Responses {
        let codes = [
            Code::Forbidden,
            Code::InvalidRequest,
            Code::StoreUnavailable,
        ];
        let mut responses = errors(&[&ANY, &codes]);
        let text = ContentBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .example(Some("amqpost_accepted_messages_total 10000".into()))
            .build();
        let answer = ResponseBuilder::new()
            .description("The figures at this moment.")
            .content("text/plain", text);
        responses.insert("200".to_owned(), answer.build().into());
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

/// What is told of a message.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Body {
    /// `return=minimal` is honoured, and the message may be one that was accepted before.
    Accepted,
    /// `return=minimal` is honoured.
    Preferred,
    /// All of it.
    Whole,
}

/// JSON of this schema.
pub(super) fn told(description: &str, schema: &str, example: Option<Value>) -> RefOr<Response> {
    let json = content(schema).example(example).build();
    let response = ResponseBuilder::new()
        .description(description)
        .content("application/json", json)
        .header("Cache-Control", header("`no-store`", Type::String));
    RefOr::T(response.build())
}

pub(super) fn message(
    description: &str,
    examples: &[(&str, Option<Value>)],
    body: Body,
) -> RefOr<Response> {
    let examples =
        (examples.iter()).map(|(name, value)| (*name, ExampleBuilder::new().value(value.clone())));
    let schema = match body {
        Body::Whole => content("Message"),
        Body::Accepted | Body::Preferred => ContentBuilder::new().schema(Some(
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
    if body == Body::Accepted {
        let location = header("Where to ask for the message.", Type::String);
        let replayed = header(
            "`true`, when the message was accepted before with the same idempotency key.",
            Type::String,
        );
        response = response
            .header("Location", location)
            .header("Idempotent-Replayed", replayed);
    }
    RefOr::T(response.build())
}

pub(super) fn content(schema: &str) -> ContentBuilder {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(schema)))
}

pub(super) fn header(description: &str, kind: Type) -> Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(kind).build()))
        .description(Some(description))
        .build()
}
