//! What is answered of what is kept.

use std::ops::Bound;
use std::sync::Arc;

use super::kept::{Kept, Place, Row};
use crate::domain::{Caller, Message, MessageId, ReasonCode, RowId, Status, Turn, WallTime};
use crate::store::{
    DueMessages, Filter, Lookup, Oldest, Page, PageSize, Payload, PayloadLookup, Pending, Record,
    Replayable, Standing, Tally, UsedKey,
};

impl Kept {
    pub(super) fn look_up(&self, id: MessageId) -> Lookup {
        match self.rows.get(&id.row()) {
            Some(row) if row.message.id == id => Lookup::Found(Box::new(row.record())),
            None if self.counts.horizon.is_some_and(|row| id.row() <= row) => Lookup::Expired,
            _ => Lookup::NotFound,
        }
    }

    pub(super) fn used_keys(
        &self,
        keys: &[(Caller, Box<str>)],
        since: WallTime,
    ) -> Vec<Option<UsedKey>> {
        keys.iter().map(|key| self.keys.get(key, since)).collect()
    }

    pub(super) fn payload(&self, id: MessageId) -> PayloadLookup {
        let record = match self.look_up(id) {
            Lookup::Found(record) => record,
            Lookup::NotFound => return PayloadLookup::NotFound,
            Lookup::Expired => return PayloadLookup::Expired,
        };
        let confirmed =
            (record.outcome.as_ref()).is_some_and(|outcome| outcome.status == Status::Confirmed);
        let row = self.rows.get(&id.row()).filter(|_| !confirmed);
        let draft = row.map(|row| &row.message.draft);
        let properties = draft.map(|draft| &draft.properties);
        PayloadLookup::Found(Box::new(Payload {
            caller: record.caller,
            content_type: properties.and_then(|all| all.content_type.clone()),
            content_encoding: properties.and_then(|all| all.content_encoding.clone()),
            bytes: draft.map(|draft| draft.payload.clone()),
        }))
    }

    pub(super) fn list(&self, filter: &Filter, before: Option<RowId>, size: PageSize) -> Page {
        let end = before.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.rows.range((Bound::Unbounded, end)).rev();
        let young =
            |(row, _): &(&RowId, &Row)| filter.since.is_none_or(|since| row.time() >= since);
        page(filter, rows.take_while(young), size)
    }

    pub(super) fn unconfirmed(
        &self,
        filter: &Filter,
        after: Option<RowId>,
        size: PageSize,
    ) -> Page {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.rows.range((start, Bound::Unbounded));
        let old = |(row, _): &(&RowId, &Row)| filter.until.is_none_or(|until| row.time() < until);
        let unconfirmed = |(_, row): &(&RowId, &Row)| {
            let status = row.settlement().map(|settlement| settlement.status);
            matches!(status, Some(Status::Returned | Status::Failed))
        };
        page(filter, rows.take_while(old).filter(unconfirmed), size)
    }

    pub(super) fn tally(&self, caller: Option<&Caller>) -> Tally {
        match caller {
            Some(caller) => self.tallies.get(caller).copied().unwrap_or_default(),
            None => self
                .tallies
                .values()
                .copied()
                .fold(Tally::default(), Tally::plus),
        }
    }

    pub(super) fn oldest_pending(&self, caller: Option<&Caller>) -> Oldest {
        let theirs = |row: &&Row| {
            matches!(row.place, Place::Turn { .. })
                && caller.is_none_or(|caller| *caller == row.message.draft.caller)
        };
        let oldest = self.rows.values().find(theirs);
        oldest.map_or(Oldest::None, |row| Oldest::Message(row.message.id))
    }

    pub(super) fn pending(
        &self,
        partition: u8,
        after: Option<Turn>,
        messages_max: usize,
        bytes_max: usize,
    ) -> Vec<Pending> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        let Some(turns) = self.turns.get(usize::from(partition)) else {
            return found;
        };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        for (turn, row) in turns.range((from, Bound::Unbounded)) {
            let Some(row) = self.rows.get(row) else {
                continue;
            };
            bytes += row.message.footprint_bytes();
            if found.len() >= messages_max.max(1) || (bytes > bytes_max && !found.is_empty()) {
                break;
            }
            found.push(Pending {
                message: Arc::clone(&row.message),
                turn: *turn,
                replays: row.replays,
                duplicate_possible: row.doubt.is_some(),
                attempts: row.doubt.unwrap_or(0),
            });
        }
        found
    }

    pub(super) fn due(&self, now: WallTime, messages_max: usize, bytes_max: usize) -> DueMessages {
        let mut due = DueMessages::default();
        let mut bytes = 0;
        for (at, row) in self.scheduled.keys() {
            let Some(row) = self.rows.get(row) else {
                continue;
            };
            bytes += row.message.footprint_bytes();
            let many = due.messages.len() >= messages_max.max(1) || bytes > bytes_max;
            if *at > now || (many && !due.messages.is_empty()) {
                due.next = Some(*at);
                break;
            }
            due.messages.push(Arc::clone(&row.message));
        }
        due
    }

    pub(super) fn scheduled(&self, id: MessageId) -> Option<Arc<Message>> {
        let row = self.rows.get(&id.row())?;
        let is_it = row.message.id == id && matches!(row.place, Place::Scheduled(_));
        is_it.then(|| Arc::clone(&row.message))
    }

    pub(super) fn overdue(
        &self,
        now: WallTime,
        after: Option<(WallTime, Turn)>,
        max: usize,
    ) -> Vec<Record> {
        let overdue = |row: &Row| match row.place {
            Place::Turn { turn, .. } => {
                let at = row.give_up_at.filter(|at| *at <= now)?;
                (Some((at, turn)) > after).then(|| ((at, turn), row.record()))
            }
            _ => None,
        };
        let mut found: Vec<_> = self.rows.values().filter_map(overdue).collect();
        found.sort_by_key(|(at, _)| *at);
        found
            .into_iter()
            .take(max)
            .map(|(_, record)| record)
            .collect()
    }

    pub(super) fn replayable(&self, id: MessageId) -> Replayable {
        let row = self.rows.get(&id.row());
        let Some(row) = row.filter(|row| row.message.id == id) else {
            return Replayable::Unknown;
        };
        let Some(settlement) = row.settlement() else {
            return Replayable::No;
        };
        let code = settlement.reason.as_ref().map(|reason| reason.code);
        if settlement.status == Status::Confirmed || code == Some(ReasonCode::Cancelled) {
            return Replayable::No;
        }
        Replayable::Yes {
            message: Arc::clone(&row.message),
            replays: row.replays,
            duplicate_possible: settlement.duplicate_possible,
        }
    }
}

/// The first of `rows` that match, as many as a page has.
fn page<'r>(
    filter: &Filter,
    rows: impl Iterator<Item = (&'r RowId, &'r Row)>,
    size: PageSize,
) -> Page {
    let (mut page, mut last) = (Page::default(), None);
    for (examined, (row_id, row)) in rows.enumerate() {
        if page.records.len() >= size.records_max.max(1) || examined >= size.examined_max.max(1) {
            page.next = last;
            return page;
        }
        last = Some(*row_id);
        let record = row.record();
        let early = match row.place {
            Place::Ended { position, .. } => filter.settled_to.is_none_or(|to| position <= to),
            _ => true,
        };
        if early && filter.matches(&record) {
            page.records.push(record);
        }
    }
    page
}

impl Row {
    fn settlement(&self) -> Option<&super::super::Settlement> {
        match &self.place {
            Place::Ended { settlement, .. } => Some(settlement),
            _ => None,
        }
    }

    pub(super) fn record(&self) -> Record {
        let mut record = Record {
            replays: self.replays,
            give_up_at: self.give_up_at,
            doubt: self.doubt,
            ..Record::of(&self.message, self.settlement().cloned())
        };
        match self.place {
            Place::Scheduled(due) => {
                record.deliver_at = Some(due.at);
                record.give_up_at = self.message.give_up_at(due.at);
            }
            Place::Turn { turn, .. } => {
                record.standing = Some(Standing {
                    turn,
                    footprint_bytes: self.message.footprint_bytes() as u64,
                });
            }
            Place::Ended { .. } => {}
        }
        record
    }
}
