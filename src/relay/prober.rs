//! Asks about exchanges for all lanes, so that a message to one that is missing never reaches a
//! connection that others share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::lanes::{Lanes, moment};
use crate::broker::{Presence, Probe};

/// The pause before a question is asked again after the broker could not be asked.
const PAUSE: Duration = Duration::from_millis(250);
/// How often it is looked whether a lane is connected.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// So often the broker is asked in vain while lanes are up, before the messages go out unasked. They
/// are then isolated by what the broker closes, which is slower, and as safe.
const TRIES_MAX: u32 = 8;

/// Works until `stop` turns true.
pub(super) async fn run(lanes: Arc<Lanes>, probe: Arc<dyn Probe>, mut stop: watch::Receiver<bool>) {
    let mut open: BTreeMap<Box<str>, u32> = BTreeMap::new();
    loop {
        for exchange in questions(&lanes) {
            open.entry(exchange).or_insert(0);
        }
        if open.is_empty() {
            tokio::select! {
                () = lanes.questions.notified() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            continue;
        }
        // While no lane is connected, an answer would help nobody; and where the broker refuses the
        // login, asking again and again would be a hot loop of logins.
        if lanes.health().lanes_up == 0 {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            continue;
        }
        let asked: Vec<_> = open.keys().cloned().collect();
        let mut failed = false;
        for exchange in asked {
            let answer = tokio::select! {
                answer = probe.presence(&exchange) => answer,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            let answer = match answer {
                Ok(presence) => Some(presence),
                Err(error) => {
                    failed = true;
                    tracing::debug!(%error, "cannot ask whether an exchange exists");
                    let tries = open.entry(exchange.clone()).or_insert(0);
                    *tries += u32::from(lanes.health().lanes_up > 0);
                    if *tries < TRIES_MAX {
                        // The others of this round would meet the same.
                        break;
                    }
                    None
                }
            };
            open.remove(&exchange);
            tell(&lanes, &exchange, answer);
        }
        if failed {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }
}

fn questions(lanes: &Lanes) -> BTreeSet<Box<str>> {
    lanes
        .all()
        .iter()
        .flat_map(|desk| desk.dispatch.lock().take_questions())
        .collect()
}

fn tell(lanes: &Lanes, exchange: &str, answer: Option<Presence>) {
    let at = moment();
    for desk in lanes.all() {
        let mut dispatch = desk.dispatch.lock();
        dispatch.answered(exchange, answer, at);
        let suspects = dispatch.has_suspects();
        drop(dispatch);
        if suspects {
            lanes.suspects.notify_one();
        }
        desk.call.notify_one();
    }
}
