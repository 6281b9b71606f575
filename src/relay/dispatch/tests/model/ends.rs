//! What the end of a hand-over means.

use super::{KNOWN, PAUSES, Whereabouts, World};
use crate::broker::Outcome;
use crate::domain::{ReasonCode, Status};

impl World {
    /// What one outcome means, the naive way.
    pub(super) fn end(&mut self, index: usize, outcome: &Outcome) {
        let now = self.now;
        let probed = self.all[index].whereabouts == Whereabouts::Quarantine;
        self.hear(index, outcome);
        self.take_note(index, outcome);
        let seen = &mut self.all[index];
        let exchange = seen.message.draft.exchange.clone();
        seen.whereabouts = Whereabouts::Idle;
        let doubts = [Outcome::Nacked, Outcome::Unknown, Outcome::Unanswered].contains(outcome)
            || matches!(outcome, Outcome::Suspect(_))
            || matches!(
                outcome,
                Outcome::Refused {
                    maybe_taken: true,
                    ..
                }
            );
        seen.doubt |= doubts;
        let mut settled = None;
        match outcome {
            Outcome::Confirmed => settled = Some((Status::Confirmed, None)),
            Outcome::Returned(why) => settled = Some((Status::Returned, Some(why.code))),
            Outcome::Refused { reason, .. } => settled = Some((Status::Failed, Some(reason.code))),
            Outcome::Nacked => {
                seen.nacks += 1;
                seen.suspect = false;
                seen.reason = Some(ReasonCode::Nacked);
                match PAUSES.get(seen.nacks as usize - 1) {
                    Some(pause) => seen.due = Some(now + *pause),
                    None => settled = Some((Status::Failed, Some(ReasonCode::Nacked))),
                }
            }
            Outcome::Unknown | Outcome::Unanswered => {
                seen.suspect &= *outcome == Outcome::Unknown;
                seen.lost = true;
                seen.reason = Some(ReasonCode::ConnectionLost);
            }
            Outcome::Suspect(why) => {
                seen.strikes += u32::from(seen.suspect);
                (seen.lost, seen.suspect) = (true, true);
                seen.reason = Some(why.code);
                if seen.strikes == 3 {
                    settled = Some((Status::Failed, Some(why.code)));
                }
            }
            Outcome::Unsent => {
                seen.lost = true;
                seen.attempts -= 1;
            }
        }
        if seen.expired && settled.is_none() {
            settled = Some((Status::Failed, Some(ReasonCode::Expired)));
        }
        if let Some((status, code)) = settled {
            seen.due = None;
            seen.whereabouts = Whereabouts::Settled;
            let row = seen.message.id.row();
            let expected = (row, status, code, seen.attempts, seen.doubt);
            self.expected.push(expected);
        }
        if *outcome == Outcome::Unanswered && !probed {
            self.was_silent_alone(index);
        }
        match outcome {
            Outcome::Confirmed | Outcome::Returned(_) => {
                self.known
                    .entry(exchange)
                    .and_modify(|until| *until = now + KNOWN);
            }
            Outcome::Suspect(_) | Outcome::Refused { .. } => {
                self.known.remove(&exchange);
            }
            _ => {}
        }
    }
}
