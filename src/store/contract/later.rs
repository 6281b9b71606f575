//! Schedules, giving up, groups and replays: what a store must answer, given what the model knows.

use proptest::sample::Index;

use super::model::{GROUPS, Model, Place, group_name};
use super::operations::{BulkKind, CALLERS, Question};
use super::questions::is_forgotten;
use super::{Subject, caller};
use crate::domain::{MessageId, RowId, Turn, WallTime};
use crate::store::{BecomesDue, BulkReplay, Filter, Record, Replayable, Replayed};

/// A time near that of some message.
fn time(model: &Model, (index, more_ms): &(Index, i64)) -> WallTime {
    let known = model.known(&[]);
    let near = match known.len() {
        0 => WallTime::default(),
        len => known[index.index(len)].accepted_at,
    };
    near.moved_by_ms(*more_ms)
}

/// Those that become due; some of them are not scheduled.
pub(super) fn becoming_due(
    model: &mut Model,
    known: &[MessageId],
    drawn: &[(Index, u8)],
) -> Vec<BecomesDue> {
    let one = |(index, partition): &(Index, u8)| BecomesDue {
        id: known[index.index(known.len())],
        turn: model.turn(),
        partition: model.partition(*partition),
    };
    drawn.iter().map(one).collect()
}

/// Those that are replayed; some of them cannot be. What a store has forgotten is left out.
pub(super) fn replayed(
    subject: &mut dyn Subject,
    model: &mut Model,
    known: &[MessageId],
    drawn: &[(Index, u8)],
) -> Vec<Replayed> {
    let mut all = Vec::new();
    for (index, partition) in drawn {
        let id = known[index.index(known.len())];
        let answer = subject.writer().replayable(id).expect("an answer");
        if may_be_sent_again(subject, model, id, &answer) {
            let turn = model.turn();
            all.push(Replayed {
                id,
                turn,
                partition: model.partition(*partition),
                at: turn.row().time(),
            });
        }
    }
    all
}

/// Whether the store would do as the model does; otherwise it has forgotten.
fn may_be_sent_again(
    subject: &dyn Subject,
    model: &Model,
    id: MessageId,
    answer: &Replayable,
) -> bool {
    let kept = model.find(id);
    match answer {
        Replayable::Yes {
            message,
            replays,
            duplicate_possible,
        } => {
            let kept = kept.expect("it is known");
            assert!(kept.may_be_replayed());
            assert_eq!((message, *replays), (&kept.message, kept.replays));
            let end = kept.settled().expect("it has ended");
            assert_eq!(*duplicate_possible, end.duplicate_possible);
            true
        }
        Replayable::No => {
            assert!(kept.is_some_and(|kept| !kept.may_be_replayed()));
            true
        }
        // One that comes with the same batch.
        Replayable::Unknown if kept.is_none() => true,
        Replayable::PayloadGone | Replayable::Unknown => {
            assert!(!subject.keeps_everything());
            assert!(kept.is_some_and(|kept| kept.settled().is_some()));
            false
        }
    }
}

/// A bulk replay as it is told next.
pub(super) fn bulk(model: &mut Model, kind: &BulkKind) -> BulkReplay {
    match kind {
        BulkKind::Further(index, done) if !model.bulk.is_empty() => {
            let known = &model.bulk[index.index(model.bulk.len())];
            BulkReplay {
                through: model.last_row,
                matched: known.matched + 5,
                replayed: known.replayed + 3,
                skipped: known.skipped + 2,
                done: *done,
                ..known.clone()
            }
        }
        BulkKind::Further(..) => new_bulk(model, Filter::default()),
        BulkKind::New(question) => {
            let filter = question.filter(model);
            new_bulk(model, filter)
        }
    }
}

fn new_bulk(model: &mut Model, filter: Filter) -> BulkReplay {
    let row = model.turn().row();
    BulkReplay {
        id: MessageId::from_parts(row, row.get() * 7),
        filter: Filter {
            caller: Some(filter.caller.unwrap_or_default()),
            ..filter
        },
        through: None,
        matched: 0,
        replayed: 0,
        skipped: 0,
        done: false,
    }
}

pub(super) fn due(
    subject: &mut dyn Subject,
    model: &Model,
    now: &(Index, i64),
    messages_max: usize,
    bytes_max: usize,
) {
    let now = time(model, now);
    let found = subject.writer().due(now, messages_max, bytes_max);
    let expected = model.due(now, messages_max, bytes_max);
    assert_eq!(found.expect("what is due"), expected);
}

pub(super) fn overdue(subject: &mut dyn Subject, model: &Model, now: &(Index, i64), max: usize) {
    let now = time(model, now);
    let (mut found, mut after): (Vec<Record>, Option<(WallTime, Turn)>) = (Vec::new(), None);
    loop {
        let page = subject.writer().overdue(now, after, max);
        let page = page.expect("what is overdue");
        assert!(page.len() <= max);
        let Some(last) = page.last() else { break };
        let at = last.give_up_at.expect("it has a time");
        after = Some((at, last.standing.expect("it has a turn").turn));
        found.extend(page);
    }
    assert_eq!(found, model.overdue(now));
}

/// All pages come to what the model has, oldest first.
pub(super) fn unconfirmed(subject: &dyn Subject, model: &Model, question: &Question) {
    let filter = question.filter(model);
    let (mut found, mut after): (Vec<Record>, Option<RowId>) = (Vec::new(), None);
    loop {
        let page = subject.reader().unconfirmed(&filter, after, question.size);
        let page = page.expect("a page");
        assert!(page.records.len() <= question.size.records_max);
        found.extend(page.records);
        let Some(next) = page.next else { break };
        assert!(after.is_none_or(|after| next > after), "no progress");
        after = Some(next);
    }
    let ended = |record: &Record| {
        let status = record.outcome.as_ref().map(|outcome| outcome.status);
        let unconfirmed = status.is_some_and(|status| status != crate::domain::Status::Confirmed);
        unconfirmed && !is_forgotten(subject, record)
    };
    let mut expected: Vec<_> = model.list(&filter).into_iter().filter(ended).collect();
    expected.reverse();
    assert_eq!(found, expected);
}

pub(super) fn compare_groups(subject: &dyn Subject, model: &Model) {
    let callers = (0..=CALLERS).map(|number| Some(caller(number)));
    for caller in callers.chain([None]) {
        for group in (0..=GROUPS).map(group_name) {
            let theirs = |record: &Record| {
                caller
                    .as_ref()
                    .is_none_or(|caller| record.caller == *caller)
                    && record.group.as_ref() == Some(&group)
            };
            let all = model.tally_of(theirs);
            let found = subject
                .reader()
                .group(caller.as_ref(), &group)
                .expect("a group");
            if subject.keeps_everything() {
                let expected = (all.accepted() > 0).then_some(all);
                assert_eq!(found, expected, "{caller:?} {group}");
            } else if let Some(found) = found {
                assert_eq!(found.pending, all.pending);
                assert!(found.accepted() <= all.accepted());
            } else {
                assert_eq!(all.pending, 0, "{caller:?} {group}");
                let mut records = model.records();
                let forgotten = |record: &Record| !theirs(record) || is_forgotten(subject, record);
                assert!(records.all(|(record, _)| forgotten(&record)));
            }
        }
    }
}

pub(super) fn compare_scheduled(subject: &mut dyn Subject, model: &Model) {
    for kept in &model.kept {
        let found = subject.writer().scheduled(kept.message.id);
        let is_scheduled = matches!(kept.place, Place::Scheduled(_));
        let expected = is_scheduled.then(|| kept.message.clone());
        assert_eq!(found.expect("an answer"), expected);
    }
}

pub(super) fn compare_bulk_replays(subject: &dyn Subject, model: &Model) {
    for bulk in &model.bulk {
        let found = subject.reader().bulk_replay(bulk.id);
        assert_eq!(found.expect("an answer").as_ref(), Some(bulk));
    }
    let under_way: Vec<_> = (model.bulk.iter())
        .filter(|bulk| !bulk.done)
        .cloned()
        .collect();
    let found = subject.reader().bulk_replays_under_way();
    assert_eq!(found.expect("an answer"), under_way);
    let nobody = MessageId::from_parts(RowId::from_stored(1), 1);
    assert_eq!(subject.reader().bulk_replay(nobody), Ok(None));
}
