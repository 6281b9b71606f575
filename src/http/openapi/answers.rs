//! Answers that are written by hand, for the document.

use utoipa::ToSchema;

use super::super::problem::ProblemJson;

/// What became of each message of a batch.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct BatchAnswer<'a> {
    /// Messages that were accepted.
    accepted: u64,
    /// Messages that were refused.
    rejected: u64,
    /// In the order of the request; with `return=minimal`, the refused ones only.
    results: Vec<BatchResult<'a>>,
}

/// What became of one message of a batch: an id and a status, or an error.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct BatchResult<'a> {
    /// Its place in the request, from 0.
    index: u64,
    /// Its id, when it was accepted, now or before.
    #[schema(nullable = false, required = false, format = "uuid")]
    id: Option<String>,
    /// When it was accepted: `pending`, or for a repeat its present status.
    #[schema(
        nullable = false,
        required = false,
        pattern = "^(pending|confirmed|returned|failed)$"
    )]
    status: Option<String>,
    /// `true`, when it was accepted before with the same idempotency key.
    #[schema(nullable = false, required = false)]
    idempotent_replayed: Option<bool>,
    /// Why it was refused; pointers are those of its own fields.
    #[schema(nullable = false, required = false)]
    error: Option<ProblemJson<'a>>,
}
