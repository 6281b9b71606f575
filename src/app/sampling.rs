//! The rates that callers can ask for.

use std::sync::Arc;

use tokio::sync::watch;

use super::Running;
use crate::domain::Caller;
use crate::domain::access::Callers;
use crate::notify::Rates;
use crate::store::ReadStore;

/// Starts to sample the numbers of everybody who can ask for them.
pub(super) fn start(
    callers: watch::Receiver<Arc<Callers>>,
    store: &Arc<dyn ReadStore>,
    parts: &mut Running,
) -> Arc<Rates> {
    let rates = Arc::new(Rates::default());
    let scopes = move || {
        let callers = callers.borrow();
        let named = callers.names().cloned().map(Some);
        named.chain([Some(Caller::default()), None]).collect()
    };
    parts.http.spawn(
        "sampler of rates",
        Arc::clone(&rates).sample(scopes, Arc::clone(store), parts.stop_http.watch()),
    );
    rates
}
