//! The callers' own labels, and how many messages have each.

use rustc_hash::FxHashMap;

use crate::domain::{Caller, Draft, Status};
use crate::store::Tally;

/// By caller and name.
#[derive(Default)]
pub(super) struct Groups(FxHashMap<(Caller, Box<str>), Group>);

#[derive(Default)]
struct Group {
    tally: Tally,
    /// Messages that are kept; the group goes with the last.
    kept: u64,
}

impl Groups {
    /// Of a caller's group, or of all groups of this name.
    pub(super) fn tally(&self, caller: Option<&Caller>, group: &str) -> Option<Tally> {
        if let Some(caller) = caller {
            let name = (caller.clone(), group.into());
            return self.0.get(&name).map(|group| group.tally);
        }
        let same = self.0.iter().filter(|((_, name), _)| **name == *group);
        same.map(|(_, group)| group.tally).reduce(Tally::plus)
    }

    pub(super) fn accepted(&mut self, draft: &Draft) {
        if let Some(name) = name(draft) {
            let group = self.0.entry(name).or_default();
            group.kept += 1;
            group.tally.pending += 1;
        }
    }

    /// A message is no longer `from`, and is `to` now.
    pub(super) fn moved(&mut self, draft: &Draft, from: Status, to: Status) {
        if let Some(group) = name(draft).and_then(|name| self.0.get_mut(&name)) {
            group.tally.moved(from, to);
        }
    }

    /// A message is not kept any more.
    pub(super) fn forgotten(&mut self, draft: &Draft) {
        let Some(name) = name(draft) else {
            return;
        };
        if let Some(group) = self.0.get_mut(&name) {
            group.kept -= 1;
            if group.kept == 0 {
                self.0.remove(&name);
            }
        }
    }
}

fn name(draft: &Draft) -> Option<(Caller, Box<str>)> {
    let group = draft.group()?;
    Some((draft.caller.clone(), group.into()))
}
