//! Errors as callers see them: `application/problem+json` (RFC 9457).
//!
//! Every error answer of the gateway is one of [`Code`], which knows everything about it that does
//! not depend on the request.

mod code;

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

pub use code::Code;

use super::parse::Faults;
use crate::domain::Fault;
use crate::domain::access::Rate;

/// The media type of every error answer.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// One error answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// What went wrong.
    pub code: Code,
    /// What went wrong this time, for people.
    pub detail: Cow<'static, str>,
    /// The faulty fields, where there are any.
    pub errors: Vec<Fault>,
    /// When it can succeed, where that is known better than its code tells.
    retry_after_seconds: Option<u64>,
}

impl Problem {
    /// An error without faulty fields.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_seconds: None,
        }
    }

    /// The answer to who `does` more than its rate, and may do so again after `wait`.
    pub(super) fn rate_limited(does: &str, rate: Rate, wait: Duration) -> Self {
        let Rate { per_second, burst } = rate;
        let detail = format!(
            "this caller {does} than its {per_second} a second with {burst} at once; nothing was done"
        );
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self {
            retry_after_seconds: Some(seconds.max(1)),
            ..Self::new(Code::RateLimited, detail)
        }
    }

    /// An error that names each of `faults`.
    pub(super) fn faulty(code: Code, faults: Faults) -> Self {
        let (errors, mut detail) = faults.into_parts();
        if code == Code::InvalidMessage {
            detail.push_str("; the message was not accepted");
        }
        Self {
            errors,
            ..Self::new(code, detail)
        }
    }

    /// The body as a JSON text.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Strings and numbers always have a JSON form, so this is never the empty fallback.
        serde_json::to_vec(&self.told()).unwrap_or_default()
    }

    /// The body, to be written.
    pub(super) fn told(&self) -> ProblemJson<'_> {
        ProblemJson {
            kind: format!("/problems/{}", self.code.as_str()),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: &self.detail,
            code: self.code.as_str(),
            retryable: self.code.retryable(),
            errors: self.errors.iter().map(FaultJson::of).collect(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE)),
            (
                header::CACHE_CONTROL,
                HeaderValue::from_static(super::NO_STORE),
            ),
        ];
        let mut response = (self.code.status(), headers, self.to_json()).into_response();
        let seconds = self.retry_after_seconds;
        if let Some(seconds) = seconds.or(self.code.retry_after_seconds()) {
            let seconds = HeaderValue::from(seconds);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        if self.code == Code::Unauthorized {
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        // For the access log.
        response.extensions_mut().insert(self.code);
        response
    }
}

/// An error (RFC 9457). Callers must ignore members and codes that they do not know.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemJson<'a> {
    /// Identifies the kind of problem; ends with the code.
    #[serde(rename = "type")]
    #[schema(format = "uri-reference")]
    kind: String,
    /// The same for every problem of this kind.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What went wrong this time.
    detail: &'a str,
    /// Stable, for programs.
    code: &'a str,
    /// Whether the same request can succeed later.
    retryable: bool,
    /// Every fault, for codes `invalid_message`, `invalid_request` and `invalid_query`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FaultJson<'a>>,
}

/// One faulty field.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Fault)]
pub(super) struct FaultJson<'a> {
    /// Where it stands in the request body (RFC 6901); for an item of a batch, in that item; for a raw
    /// message, where it would stand in the JSON form. Empty for the request as a whole, as when a
    /// header or a query parameter is not known.
    pointer: &'a str,
    /// What is wrong with it.
    detail: &'a str,
}

impl<'a> FaultJson<'a> {
    fn of(fault: &'a Fault) -> Self {
        Self {
            pointer: &fault.pointer,
            detail: &fault.detail,
        }
    }
}

#[cfg(test)]
mod tests;
