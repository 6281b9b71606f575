//! What operators ask about, in the text form that Prometheus reads.
//!
//! The other rooms count their own work in plain numbers and know nothing of this one, which asks them
//! when somebody looks and not before. Every family has the prefix `amqpost_` (those of the process
//! apart, whose names are everybody's), base units in its name, labels with few values that are known
//! beforehand, and is there from the start.

mod families;
mod process;
mod relay;
mod store;
mod telling;

use std::sync::Arc;

pub use families::Families;
pub use process::OfProcess;
pub use relay::OfRelay;
pub use store::OfStore;
pub use telling::OfTelling;

/// The media type of what [`Metrics::text`] gives.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Somebody who has figures to tell.
pub trait Source: Send + Sync + 'static {
    /// Tells them as they are now. It may ask a store, so it may take its time.
    fn tell(&self, told: &mut Families);
}

/// Everybody who has figures to tell, in the order in which they are told.
#[derive(Clone, Default)]
pub struct Metrics(Vec<Arc<dyn Source>>);

impl Metrics {
    /// One more.
    #[must_use]
    pub fn with(mut self, source: impl Source) -> Self {
        self.0.push(Arc::new(source));
        self
    }

    /// What they and `more` tell at this moment.
    #[must_use]
    pub fn text(&self, more: &dyn Source) -> String {
        let mut told = Families::default();
        for source in &self.0 {
            source.tell(&mut told);
        }
        more.tell(&mut told);
        told.text()
    }
}

#[cfg(test)]
mod tests;
