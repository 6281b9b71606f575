//! The problems that each endpoint may answer, by status.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{RefOr, Response, ResponseBuilder, example::ExampleBuilder};

use super::super::problem::{Code, MEDIA_TYPE, Problem};
use super::responses::{Responses, content, header};
use crate::domain::Fault;

/// What any endpoint may answer before it looks at the request.
const GUARD: [Code; 5] = [
    Code::HostNotAllowed,
    Code::CrossSiteRequest,
    Code::MalformedRequest,
    Code::UriTooLong,
    Code::HeadTooLarge,
];

/// The problems of `codes`, and what any endpoint may answer before it looks at the request.
pub(super) fn errors(codes: &[&[Code]]) -> Responses {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for &code in GUARD.iter().chain(codes.iter().copied().flatten()) {
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
        let example = ExampleBuilder::new().value(problem_example(code));
        (code.as_str(), example)
    });
    let content = content("Problem").examples_from_iter(examples).build();
    let mut response = ResponseBuilder::new()
        .description(format!("Code {}.", words.join(", ")))
        .content(MEDIA_TYPE, content);
    if codes.contains(&Code::Unauthorized) {
        response = response.header("WWW-Authenticate", header("`Bearer`", Type::String));
    }
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

/// A problem as the gateway itself would tell it.
pub(super) fn problem_example(code: Code) -> Option<Value> {
    let mut problem = Problem::new(code, code.title());
    problem.errors = match code {
        Code::InvalidMessage => vec![Fault::new(
            "/properties/priority",
            "must be a whole number from 0 to 255",
        )],
        Code::InvalidRequest => vec![Fault::new("", "the header amqp-priority is not known here")],
        Code::InvalidQuery => vec![Fault::new("", "the query parameter x is not known here")],
        _ => Vec::new(),
    };
    serde_json::from_slice(&problem.to_json()).ok()
}
