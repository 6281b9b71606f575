//! What must hold whenever a message is handed over.

use super::{Seen, Whereabouts, World};
use crate::broker::Handover;

impl World {
    /// A message goes out by `way`: whatever must not be at that moment is not. Gives its number.
    pub(super) fn handed_over(&mut self, handover: &Handover, way: Whereabouts) -> usize {
        let row = handover.message.id.row().get();
        let index = usize::try_from(row).expect("small") - 1;
        let (older, rest) = self.all.split_at(index);
        let seen = &rest[0];
        assert_eq!(seen.whereabouts, Whereabouts::Idle, "{index} is out twice");
        assert_eq!(
            handover.duplicate_possible, seen.doubt,
            "the flag of {index}"
        );
        assert_eq!(seen.due, None, "the pause of {index} is not over");
        for (number, other) in older.iter().enumerate() {
            if other.key() != seen.key() {
                continue;
            }
            let idle = other.whereabouts == Whereabouts::Idle;
            let withdrawn = other.whereabouts == Whereabouts::Settled;
            assert!(
                seen.handed || other.handed || withdrawn,
                "{index} came before {number}"
            );
            assert!(!(idle && other.lost), "{index} overtook the lost {number}");
            assert!(!other.holds(), "{index} did not wait for {number}");
            // What takes different connections may arrive in any order.
            let apart = [Whereabouts::Lane, Whereabouts::Quarantine].contains(&other.whereabouts)
                && other.whereabouts != way
                && other.nacks == 0;
            assert!(!apart, "{index} may overtake {number}");
        }
        let silent = self.quarantined.contains(&seen.destination());
        assert!(
            way == Whereabouts::Probation || silent == (way == Whereabouts::Quarantine),
            "{index} took the wrong way: {way:?}"
        );
        if way == Whereabouts::Quarantine {
            assert!(!seen.suspect, "the suspect {index} was tried too long");
            for &other in &self.probes {
                let other = self.all[other].destination();
                assert_ne!(other, seen.destination(), "one at a time");
            }
        } else if way == Whereabouts::Probation {
            let of_key = |other: &&Seen| other.key() == seen.key();
            let suspicious = |other: &Seen| other.suspect || other.missing;
            assert!(
                rest.iter().filter(of_key).any(suspicious),
                "nobody suspects {index} or a later one of its key"
            );
        } else {
            assert!(!seen.suspect, "the suspect {index} went out among others");
            let exchange = &*seen.message.draft.exchange;
            let known = self
                .known
                .get(exchange)
                .is_some_and(|until| self.now < *until);
            assert!(exchange.is_empty() || known, "nobody knows of {exchange}");
        }
        let seen = &mut self.all[index];
        (seen.handed, seen.lost) = (true, false);
        seen.suspect = way == Whereabouts::Probation;
        seen.attempts += 1;
        seen.whereabouts = way;
        seen.sent_at = Some(self.now);
        index
    }
}
