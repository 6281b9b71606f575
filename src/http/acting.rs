//! Why a wish about messages that were accepted before was not carried out (contract, section 4).

use super::problem::{Code, Problem};
use crate::domain::Status;
use crate::relay::AcceptError;
use crate::store::Record;

/// The answer to what went wrong behind the edge. Every wish may be repeated: what was carried out
/// already changes nothing any more.
pub(super) fn not_done(error: &AcceptError) -> Problem {
    let (code, detail) = match error {
        AcceptError::Full => (
            Code::StoreFull,
            "the gateway has as much to do as it may; nothing was sent again",
        ),
        AcceptError::Stopping => (
            Code::Stopping,
            "the gateway is about to end; nothing was changed",
        ),
        AcceptError::KeyReused | AcceptError::StoreUnavailable => (
            Code::StoreUnavailable,
            "the store could not be asked; nothing was changed",
        ),
        AcceptError::OutcomeUnknown => (
            Code::OutcomeUnknown,
            "the store did not confirm the change: it may or may not have been made, and it is safe to \
             ask for it again",
        ),
    };
    Problem::new(code, detail)
}

/// The status in a record.
pub(super) fn status(record: &Record) -> Status {
    (record.outcome.as_ref()).map_or(Status::Pending, |outcome| outcome.status)
}

/// Whether its caller has cancelled it.
pub(super) fn is_cancelled(record: &Record) -> bool {
    let outcome = record.outcome.as_ref();
    let reason = outcome.and_then(|outcome| outcome.reason.as_ref());
    reason.is_some_and(|reason| reason.code == crate::domain::ReasonCode::Cancelled)
}
