//! Whether what arrived is what was sent, and whether more than one copy was flagged.

use super::{Copy, Index, Violation};

pub(super) fn check(index: &Index<'_>, all: &mut Vec<Violation>) {
    for (id, copies) in &index.copies {
        let id = *id;
        if copies.iter().any(|copy| !copy.intact) {
            all.push(Violation::Altered { id });
        }
        let Some(told) = index.told.get(&id) else {
            all.push(Violation::Unaccounted { id });
            continue;
        };
        let Some(tag) = told.tag else { continue };
        if copies.iter().any(|copy| copy.tag != Some(tag)) {
            all.push(Violation::Unaccounted { id });
            continue;
        }
        let unflagged = fresh(copies).filter(|copy| !copy.flagged).count();
        if unflagged > 1 {
            all.push(Violation::UnflaggedDuplicate {
                tag,
                id,
                copies: unflagged,
            });
        }
        let doubted = fresh(copies).count() > 1 || copies.iter().any(|copy| copy.flagged);
        if doubted && !told.duplicate_possible {
            all.push(Violation::DoubtUntold { tag, id });
        }
    }
}

/// Copies that the gateway handed over. What the broker delivers once more is marked by it, since the
/// queues are quorum queues, which know what they have delivered also after a crash.
pub(super) fn fresh<'a>(copies: &[&'a Copy]) -> impl Iterator<Item = &'a Copy> {
    copies.iter().copied().filter(|copy| !copy.redelivered)
}
