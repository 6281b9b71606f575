//! Wakes the engine when there may be something to deliver.

use tokio::sync::Notify;

/// To be rung after each commit that has kept deliveries. It only wakes: what there is to do stands in the store.
#[derive(Default)]
pub struct Doorbell(Notify);

impl Doorbell {
    /// Something about the outbox may have changed: deliveries, a webhook, or a delivery that is to be
    /// sent again.
    pub fn ring(&self) {
        self.0.notify_one();
    }

    pub(in crate::notify) async fn rung(&self) {
        self.0.notified().await;
    }
}
