//! Questions about many messages: what a store must answer, given what the model knows.

use super::model::{Model, group_name};
use super::operations::{IdKind, Question};
use super::{Subject, caller};
use crate::domain::{MessageId, RowId, Status, WallTime};
use crate::store::{Filter, Lookup, Oldest, PageSize, PayloadLookup, Record};
use proptest::sample::Index;

impl Question {
    pub(super) fn filter(&self, model: &Model) -> Filter {
        let known = model.known(&[]);
        let time = |(index, more): &(Index, u64)| {
            let time = match known.len() {
                0 => WallTime::default(),
                len => known[index.index(len)].id.row().time(),
            };
            time.plus_ms(*more)
        };
        Filter {
            caller: self.caller.map(caller),
            status: self.status,
            reason: self.reason,
            exchange: (self.default_exchange)
                .map(|default| if default { "" } else { "log.exchange" }.into()),
            routing_key: self.routing_key.map(|key| format!("key.{key}").into()),
            since: self.since.as_ref().map(time),
            until: self.until.as_ref().map(time),
            group: self.group.map(group_name),
            settled_to: (self.settled_to.as_ref())
                .map(|index| index.index(usize::try_from(model.positions).unwrap_or(0) + 2) as u64),
        }
    }
}

/// A list that is being read, page by page.
pub(super) struct Browsing {
    filter: Filter,
    size: PageSize,
    before: Option<RowId>,
    seen: Vec<Record>,
    /// What matched at the start and has done so since.
    expected: Vec<MessageId>,
}

impl Browsing {
    pub(super) fn start(model: &Model, question: &Question) -> Self {
        let filter = question.filter(model);
        let expected = model.list(&filter).iter().map(|record| record.id).collect();
        Self {
            filter,
            size: question.size,
            before: None,
            seen: Vec::new(),
            expected,
        }
    }

    /// Reads a page; answers nothing when it was the last.
    pub(super) fn turn(mut self, subject: &dyn Subject, model: &Model) -> Option<Self> {
        let page = subject.reader().list(&self.filter, self.before, self.size);
        let page = page.expect("read");
        assert!(page.records.len() <= self.size.records_max);
        let now = model.list(&self.filter);
        // One that was replayed may match, not match, and match again behind the reader's back.
        (self.expected).retain(|id| now.iter().any(|record| record.id == *id));
        let start = self.before;
        for record in page.records {
            let row = record.id.row();
            let in_order = self.before.is_none_or(|before| row < before);
            assert!(in_order, "{} is out of order", record.id);
            assert!(now.contains(&record), "{record:?} is not so");
            self.before = Some(row);
            self.seen.push(record);
        }
        if let Some(next) = page.next {
            assert!(start.is_none_or(|start| next < start), "no progress");
            assert!(self.before.is_none_or(|last| next <= last));
            self.before = Some(next);
            return Some(self);
        }
        for record in now {
            let id = record.id;
            let seen = self.seen.iter().any(|seen| seen.id == id);
            let missed = self.expected.contains(&id) && !seen;
            assert!(!missed || is_forgotten(subject, &record), "{id} was missed");
        }
        None
    }
}

pub(super) fn is_forgotten(subject: &dyn Subject, record: &Record) -> bool {
    let gone = subject.reader().get(record.id) == Ok(Lookup::Expired);
    assert!(!gone || !subject.keeps_everything());
    assert!(!gone || record.outcome.is_some(), "it was pending");
    gone
}

/// All pages at once come to what the model has, and cost what they may.
pub(super) fn list(subject: &dyn Subject, model: &Model, question: &Question) {
    let mut list = Browsing::start(model, question);
    let (mut before, mut pages) = (None, 0);
    let mut found = Vec::new();
    loop {
        let page = subject.reader().list(&list.filter, before, list.size);
        let page = page.expect("read");
        assert!(page.records.len() <= list.size.records_max);
        pages += 1;
        found.extend(page.records);
        match page.next {
            Some(next) => {
                assert!(before.is_none_or(|before| next < before), "no progress");
                before = Some(next);
            }
            None => break,
        }
    }
    let kept = |record: &Record| !is_forgotten(subject, record);
    let expected: Vec<_> = model.list(&list.filter).into_iter().filter(kept).collect();
    assert_eq!(found, expected);
    // Somebody's messages among all: each was looked at, so many to a page at most.
    list.filter = Filter {
        status: list
            .filter
            .status
            .filter(|status| *status == Status::Pending),
        since: list.filter.since,
        until: list.filter.until,
        ..Filter::default()
    };
    let by_label = question.group.is_some();
    if !by_label && question.reason.is_none() && question.status == list.filter.status {
        let whose = question.caller.map(caller);
        let known = whose.is_none_or(|whose| model.tally(Some(&whose)).accepted() > 0);
        let all = model.list(&list.filter);
        let all = all.iter().filter(|record| kept(record)).count();
        assert!(!known || pages * list.size.examined_max >= all);
    }
}

/// By id, many at once, and the payloads.
pub(super) fn look_up(subject: &dyn Subject, model: &Model, ids: &[(Index, IdKind)]) {
    let known: Vec<_> = model.records().collect();
    if known.is_empty() {
        return;
    }
    let ids = ids.iter().map(|(index, kind)| {
        let (record, message) = &known[index.index(known.len())];
        let row = message.id.row();
        let (id, is_known) = match kind {
            IdKind::Known => (message.id, true),
            IdKind::Guessed => (MessageId::from_parts(row, message.id.random() ^ 1), false),
            IdKind::Unknown => {
                let never = RowId::from_stored((1 << 59) + row.get());
                (MessageId::from_parts(never, 7), false)
            }
        };
        (id, is_known.then_some((record, message)))
    });
    let ids: Vec<_> = ids.collect();
    let asked: Vec<_> = ids.iter().map(|(id, _)| *id).collect();
    let found = subject.reader().get_many(&asked).expect("read");
    assert_eq!(found.len(), ids.len());
    for (found, (id, known)) in found.into_iter().zip(ids) {
        let payload = subject.reader().payload(id).expect("read");
        let Some((record, message)) = known else {
            // Where a message was forgotten, nobody knows which rest was right.
            let forgotten = found == Lookup::Expired && !subject.keeps_everything();
            assert!(found == Lookup::NotFound || forgotten);
            assert_eq!(payload == PayloadLookup::Expired, forgotten);
            assert!(!matches!(payload, PayloadLookup::Found(_)));
            continue;
        };
        if is_forgotten(subject, record) {
            assert_eq!((found, payload), (Lookup::Expired, PayloadLookup::Expired));
            continue;
        }
        assert_eq!(found, Lookup::Found(Box::new(record.clone())));
        let PayloadLookup::Found(payload) = payload else {
            panic!("the payload of {id} is not found");
        };
        assert_eq!(payload.caller, record.caller);
        let end = record.outcome.as_ref().map(|end| end.status);
        let content_type = payload.content_type;
        if let Some(bytes) = payload.bytes {
            assert_ne!(end, Some(Status::Confirmed));
            assert_eq!(bytes, message.draft.payload);
            assert_eq!(content_type, message.draft.properties.content_type);
        } else {
            let may_go = end.is_some() && !subject.keeps_everything();
            assert!(end == Some(Status::Confirmed) || may_go);
            assert_eq!(content_type, None);
        }
    }
}

/// The oldest that is pending, or as far as was looked.
pub(super) fn oldest(subject: &dyn Subject, model: &Model, whose: Option<u8>, examined_max: usize) {
    let whose = whose.map(caller);
    let found = subject
        .reader()
        .oldest_pending(whose.as_ref(), examined_max)
        .expect("read");
    let expected = model.waiting(whose.as_ref()).first().copied();
    match found {
        Oldest::None => assert_eq!(expected, None),
        Oldest::Message(id) => assert_eq!(expected, Some(id)),
        Oldest::After(row) => {
            assert!(expected.is_some_and(|id| id.row() > row));
            let all = model.waiting(None).into_iter();
            let examined = all.filter(|id| id.row() <= row).count();
            assert!(examined >= examined_max, "it looked at {examined}");
        }
    }
}
