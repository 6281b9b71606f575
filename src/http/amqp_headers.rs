//! `Amqp-*` headers belong to raw messages. Where they would silently mean nothing they are refused.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::parse::{self, Faults};
use super::problem::{Code, Problem};

/// For endpoints without `Amqp-*` headers.
pub(super) struct NoAmqpHeaders;

impl<S: Sync> FromRequestParts<S> for NoAmqpHeaders {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut faults = Faults::default();
        parse::refuse_headers(&parts.headers, &mut faults);
        if faults.is_empty() {
            return Ok(Self);
        }
        Err(Problem::faulty(Code::InvalidRequest, faults))
    }
}
