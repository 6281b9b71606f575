//! The safety net below every handler: a panic ends one request, not the process.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use axum::response::{IntoResponse, Response};

use super::problem::{Code, Problem};

/// The answer, also when `answering` panics. Nothing of it is used after that.
pub(super) async fn caught(answering: impl Future<Output = Response>) -> Response {
    let mut answering = pin!(answering);
    let answered = poll_fn(|cx| {
        let polling = AssertUnwindSafe(|| answering.as_mut().poll(cx));
        match catch_unwind(polling) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    });
    match answered.await {
        Ok(response) => response,
        Err(panic) => answer(&*panic),
    }
}

/// The answer to a request whose handler panicked. It may have accepted a message before.
fn answer(panic: &(dyn Any + Send)) -> Response {
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
