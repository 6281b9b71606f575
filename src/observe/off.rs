//! No traces are built in.

use std::convert::Infallible;
use std::time::Duration;

use super::{CannotExport, Ending};
use crate::domain::{Draft, TraceContext};

/// Nobody has one.
pub struct RequestSpan(Infallible);

/// Nothing begins.
#[must_use]
pub fn begin_request(
    _: &str,
    _: &str,
    _: impl FnOnce() -> Option<TraceContext>,
) -> Option<RequestSpan> {
    None
}

impl RequestSpan {
    /// See the other implementation.
    #[must_use]
    pub fn context(&self) -> Option<TraceContext> {
        match self.0 {}
    }

    /// See the other implementation.
    pub fn end(self, _: u16, _: Option<&'static str>, _: &str) {
        match self.0 {}
    }
}

/// The configuration names no collector, since that is a mistake.
///
/// # Errors
/// None.
pub fn start(_: &str) -> Result<(), CannotExport> {
    Ok(())
}

/// Nothing is to be sent.
pub fn stop(_: Duration) {}

/// No message has a span.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traced(());

/// Nothing is to be told.
#[derive(Default)]
pub struct Endings(());

impl Traced {
    /// Nothing is needed.
    #[must_use]
    pub fn of(_: &Draft) -> Self {
        Self(())
    }
}

impl Endings {
    /// See the other implementation.
    pub fn add(&mut self, _: Traced, _: impl FnOnce() -> Ending) {}

    /// See the other implementation.
    pub fn tell(&mut self) {}
}
