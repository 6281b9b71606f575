//! The safety net below every handler: a panic ends one request, not the process.

use std::any::Any;

use axum::response::{IntoResponse, Response};

use super::problem::{Code, Problem};

/// The answer to a request whose handler panicked. It may have accepted a message before.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer hands over the panic itself"
)]
pub(super) fn answer(panic: Box<dyn Any + Send + 'static>) -> Response {
    let what = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no words");
    tracing::error!(panic = what, "a request ended with a panic");
    Problem::new(
        Code::OutcomeUnknown,
        "the gateway failed unexpectedly; if this was a message, it may or may not be published",
    )
    .into_response()
}
