//! A follower of the stream of events that comes back with the last position whenever it is cut off.

use std::sync::Arc;
use std::time::Duration;

use super::ledger::Event;
use super::site::Site;
use super::support::event_stream::{self, Block, Stream};
use super::support::wait;
use super::told;

/// For the answer to come, and for a sign of life: the gateway says something every few seconds.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Follows until the task is ended.
pub(crate) async fn follow(site: Arc<Site>) {
    let client = event_stream::client();
    let url = format!("{}/v1/events", site.callers_url);
    let mut last_id = Some(0);
    loop {
        let opening = Stream::open(&client, &url, &[], last_id);
        if let Ok(Ok(mut stream)) = tokio::time::timeout(SILENCE_MAX, opening).await {
            while let Ok(Some(block)) = tokio::time::timeout(SILENCE_MAX, stream.block()).await {
                last_id = block.id.or(last_id);
                note(&site, &block);
            }
        }
        tokio::time::sleep(wait::LOOK_EVERY * 5).await;
    }
}

fn note(site: &Site, block: &Block) {
    if block.data.is_empty() {
        return;
    }
    let (outcome, position) = (told::outcome(&block.json()), block.id);
    let (Some(outcome), Some(position)) = (outcome, position) else {
        site.incident(format!("the stream tells of no outcome: {block:?}"));
        return;
    };
    site.books.lock().events.push(Event { position, outcome });
}
