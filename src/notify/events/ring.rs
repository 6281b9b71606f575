//! The last events, as pages that follow each other without a hole.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Event, Wanted};
use crate::store::{KeptSince, OutcomesPage};

/// See the module.
pub(super) struct Ring {
    pages: VecDeque<Page>,
    /// Everything from behind the first to the second position is in the pages. `None` while nobody
    /// listens.
    covers: Option<(u64, u64)>,
    events: usize,
    events_max: usize,
}

struct Page {
    reached: u64,
    kept: KeptSince,
    events: Vec<Arc<Event>>,
}

/// What comes next for somebody.
#[derive(Debug)]
pub(super) enum Step {
    /// This.
    Event(Arc<Event>),
    /// Behind the first position and up to the second, something may be missing.
    Gap(u64, u64),
    /// Nothing up to this position, where the ring ends.
    Nothing(u64),
    /// The ring does not know.
    NotHere,
}

impl Ring {
    pub(super) fn new(events_max: usize) -> Self {
        Self {
            pages: VecDeque::new(),
            covers: None,
            events: 0,
            events_max,
        }
    }

    /// Covers nothing yet, but everything from behind `position` on.
    pub(super) fn start(&mut self, position: u64) {
        self.clear();
        self.covers = Some((position, position));
    }

    pub(super) fn clear(&mut self) {
        self.pages = VecDeque::new();
        self.covers = None;
        self.events = 0;
    }

    /// The last position that is covered.
    pub(super) fn end(&self) -> Option<u64> {
        self.covers.map(|(_, end)| end)
    }

    /// Adds what was read behind [`Self::end`], which is `after`, and drops the oldest pages if there are
    /// too many events.
    pub(super) fn push(&mut self, after: u64, page: OutcomesPage) {
        let Some((start, end)) = &mut self.covers else {
            return;
        };
        debug_assert_eq!(*end, after, "pages follow each other");
        if page.reached <= after {
            return;
        }
        *end = page.reached;
        let events: Vec<_> = (page.outcomes.into_iter())
            .map(|outcome| Arc::new(Event::new(outcome)))
            .collect();
        self.events += events.len();
        self.pages.push_back(Page {
            reached: page.reached,
            kept: page.kept,
            events,
        });
        // A page without events takes room too.
        while self.events + self.pages.len() > self.events_max && self.pages.len() > 1 {
            if let Some(oldest) = self.pages.pop_front() {
                self.events -= oldest.events.len();
                *start = oldest.reached;
            }
        }
    }

    /// Whether everything behind `position` is in here or still to come.
    pub(super) fn covers(&self, position: u64) -> bool {
        self.covers.is_some_and(|(start, _)| start <= position)
    }

    /// What comes for somebody who has everything up to `position`, and knows that something may be
    /// missing up to `missing_to`.
    pub(super) fn step(&self, mut position: u64, missing_to: u64, wanted: &Wanted) -> Step {
        if !self.covers(position) {
            return Step::NotHere;
        }
        let first = (self.pages).partition_point(|page| page.reached <= position);
        for page in self.pages.range(first..) {
            let kept_since = wanted.kept_since(page.kept);
            if kept_since > position.max(missing_to) {
                return Step::Gap(position, kept_since);
            }
            let first = (page.events).partition_point(|event| event.position <= position);
            let mut events = page.events[first..].iter();
            if let Some(event) = events.find(|event| wanted.matches(&event.record)) {
                return Step::Event(Arc::clone(event));
            }
            position = page.reached;
        }
        Step::Nothing(position)
    }
}
