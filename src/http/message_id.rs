//! The id in a path.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use super::problem::Problem;
use super::wait;
use crate::domain::MessageId;

impl<S: Send + Sync> FromRequestParts<S> for MessageId {
    type Rejection = Problem;

    /// What cannot be decoded or is no UUID is an id that nobody knows.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        let Path(id) = id.map_err(|_| wait::not_found())?;
        id.parse().map_err(|_| wait::not_found())
    }
}
