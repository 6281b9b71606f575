//! Reading a request's body within its limits of size and time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::problem::{Code, Problem};
use crate::http::state::Parts;

/// The whole body. What is announced as too large is refused before any of it is read; what is not
/// announced is cut off at the limit.
pub(super) async fn read(body: Body, parts: &Parts) -> Result<Bytes, Problem> {
    let max = parts.rules.limits.body_bytes_max;
    let too_large = || {
        Problem::new(
            Code::BodyTooLarge,
            format!("at most {max} bytes are allowed"),
        )
    };
    let announced = axum::body::HttpBody::size_hint(&body).lower();
    if announced > max as u64 {
        return Err(too_large());
    }
    let seconds = parts.settings.body_read_seconds_max;
    let limit = Duration::from_secs(seconds.into());
    match tokio::time::timeout(limit, Limited::new(body, max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(
            Code::IncompleteBody,
            "the body broke off before its end",
        )),
        Err(_) => Err(Problem::new(
            Code::RequestTimeout,
            format!("the body must arrive within {seconds} seconds"),
        )),
    }
}
