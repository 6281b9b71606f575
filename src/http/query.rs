//! Query parameters that nobody knows are refused: a typo must not be lost.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::problem::{Code, Problem};

/// For endpoints without query parameters.
pub(super) struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.uri.query() {
            None | Some("") => Ok(Self),
            Some(_) => Err(Problem::new(
                Code::InvalidQuery,
                "this endpoint has no query parameters",
            )),
        }
    }
}
