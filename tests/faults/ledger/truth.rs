//! Whether what is told of each message is true.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::{Fate, Index, Kind, Sent, Status, Tag, Told, Violation};

pub(super) fn check(index: &Index<'_>, all: &mut Vec<Violation>) {
    let ids = ids_by_tag(index);
    for sent in &index.books.sent {
        answers_hold(index, sent, &ids, all);
    }
    for told in &index.books.told {
        match index.sent(told) {
            Some(sent) => status_is_true(index, sent, told, all),
            None => all.push(Violation::NobodySent { id: told.id }),
        }
    }
    one_id_each(index, ids, all);
}

/// Every id that a message was ever seen with.
fn ids_by_tag(index: &Index<'_>) -> HashMap<Tag, BTreeSet<Uuid>> {
    let mut ids: HashMap<Tag, BTreeSet<Uuid>> = HashMap::new();
    let told = index.books.told.iter().map(|one| (one.tag, one.id));
    let copies = index.books.copies.iter().map(|one| (one.tag, one.id));
    for (tag, id) in told.chain(copies) {
        if let Some(tag) = tag {
            ids.entry(tag).or_default().insert(id);
        }
    }
    for sent in &index.books.sent {
        for answer in &sent.answers {
            if let super::Answer::Accepted(id) = answer {
                ids.entry(sent.tag).or_default().insert(*id);
            }
        }
    }
    ids
}

fn answers_hold(
    index: &Index<'_>,
    sent: &Sent,
    ids: &HashMap<Tag, BTreeSet<Uuid>>,
    all: &mut Vec<Violation>,
) {
    let tag = sent.tag;
    match sent.fate() {
        Fate::Accepted(id) if !index.told.contains_key(&id) => {
            all.push(Violation::Forgotten { tag, id });
        }
        Fate::Refused => {
            if index.consumed.contains(&tag) {
                all.push(Violation::RefusedAndConsumed { tag });
            } else if let Some(id) = ids.get(&tag).and_then(BTreeSet::first) {
                all.push(Violation::RefusedAndKept { tag, id: *id });
            }
        }
        Fate::Accepted(_) | Fate::Unknown => {}
    }
}

fn status_is_true(index: &Index<'_>, sent: &Sent, told: &Told, all: &mut Vec<Violation>) {
    let (tag, id, status) = (sent.tag, told.id, told.status);
    if status == Status::Pending {
        all.push(Violation::NeverEnded { tag, id });
        return;
    }
    let consumed = !index.copies(id).is_empty();
    if status == Status::Confirmed && sent.kind.reaches_a_queue() && !consumed {
        all.push(Violation::Lost { tag, id });
    }
    if status != Status::Confirmed && !told.duplicate_possible && consumed {
        all.push(Violation::ConsumedAndDenied { tag, id, status });
    }
    if !may_end(sent.kind, told) {
        let reason = told.reason.clone();
        all.push(Violation::FalseStatus {
            tag,
            id,
            kind: sent.kind,
            status,
            reason,
        });
    }
}

/// Whether a message of this kind may end so. A broker that loses a queue's leader nacks, so anything
/// that goes to a queue may run out of tries; whatever is cancelled or given up in time ends as that.
fn may_end(kind: Kind, told: &Told) -> bool {
    let reason = told.reason.as_deref();
    let nacked = reason == Some("nacked") && told.duplicate_possible;
    match (kind, told.status) {
        (Kind::Nowhere | Kind::Sometimes | Kind::Vanishing, Status::Returned) => {
            reason == Some("no_route")
        }
        (Kind::Nowhere | Kind::Missing | Kind::Forbidden | Kind::Refused, Status::Confirmed)
        | (_, Status::Returned | Status::Pending) => false,
        (_, Status::Confirmed) => reason.is_none(),
        (_, Status::Failed) => match reason {
            Some("exchange_not_found") => matches!(kind, Kind::Missing | Kind::Vanishing),
            Some("access_refused") => kind == Kind::Forbidden,
            Some("nacked") => nacked && !matches!(kind, Kind::Missing | Kind::Forbidden),
            Some("expired") => kind == Kind::GivenUp,
            Some("cancelled") => kind == Kind::Cancelled,
            _ => false,
        },
    }
}

/// One message has one id, and so has one idempotency key.
fn one_id_each(index: &Index<'_>, ids: HashMap<Tag, BTreeSet<Uuid>>, all: &mut Vec<Violation>) {
    let mut by_key: HashMap<(u16, u32), (Tag, BTreeSet<Uuid>)> = HashMap::new();
    for (tag, ids) in ids {
        let key = index.by_tag.get(&tag).and_then(|one| one.idempotency_key);
        if let Some(key) = key {
            let entry = by_key.entry((tag.writer, key));
            entry.or_insert((tag, BTreeSet::new())).1.extend(ids);
        } else if ids.len() > 1 {
            let ids = ids.into_iter().collect();
            all.push(Violation::SeveralIds { tag, ids });
        }
    }
    for (tag, ids) in by_key.into_values() {
        if ids.len() > 1 {
            let ids = ids.into_iter().collect();
            all.push(Violation::SeveralIds { tag, ids });
        }
    }
}
