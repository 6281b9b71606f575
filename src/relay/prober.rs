//! Asks about exchanges for all lanes, so that a message to one that is missing never reaches a
//! connection that others share.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::lanes::{Lanes, moment};
use crate::broker::{Presence, Probe, ProbeError};

/// The pause before a question is asked again after the broker could not be asked.
const PAUSE: Duration = Duration::from_millis(250);
/// How often it is looked whether a lane is connected.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// So often the broker is asked in vain while lanes are up, before the messages go out unasked. They
/// are then isolated by what the broker closes, which is slower, and as safe.
const TRIES_MAX: u32 = 8;

/// Works until `stop` turns true.
pub(super) async fn run(lanes: Arc<Lanes>, probe: Arc<dyn Probe>, mut stop: watch::Receiver<bool>) {
    let mut open: VecDeque<(Box<str>, u32)> = VecDeque::new();
    loop {
        for exchange in questions(&lanes) {
            if !open.iter().any(|(asked, _)| *asked == exchange) {
                open.push_back((exchange, 0));
            }
        }
        let Some((exchange, tries)) = open.pop_front() else {
            tokio::select! {
                () = lanes.questions.notified() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            continue;
        };
        // While no lane is connected, an answer would help nobody; and where the broker refuses the
        // login, asking again and again would be a hot loop of logins.
        let up = lanes.health().lanes_up > 0;
        let answer = if up {
            tokio::select! {
                answer = probe.presence(&exchange) => answer.map(Some),
                _ = stop.wait_for(|stop| *stop) => return,
            }
        } else {
            Err(ProbeError("no lane is connected".into()))
        };
        let pause = match answer {
            Ok(presence) => {
                tell(&lanes, &exchange, presence);
                continue;
            }
            Err(_) if !up => {
                open.push_front((exchange, tries));
                LOOK_EVERY
            }
            Err(error) => {
                tracing::debug!(%error, "cannot ask whether an exchange exists");
                let tries = tries + u32::from(lanes.health().lanes_up > 0);
                if tries < TRIES_MAX {
                    // The others come first: it may be this question that cannot be answered.
                    open.push_back((exchange, tries));
                } else {
                    tell(&lanes, &exchange, None);
                }
                PAUSE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => return,
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
