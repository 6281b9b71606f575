//! The ledger notices each kind of violation, and nothing else.

mod news;
mod order;

use super::*;

fn id(number: u64) -> Uuid {
    Uuid::from_u128((0x0193_a5c4_u128 << 96) | u128::from(number))
}

fn tag(number: u32) -> Tag {
    Tag { writer: 0, number }
}

fn digest(number: u32) -> Digest {
    Digest([u16::try_from(number + 1).expect("small"); FIELDS.len()])
}

/// One kind of each, all as they must be: sent, answered, consumed and told.
fn clean() -> Books {
    let mut books = Books::default();
    let ends = [
        (Kind::Routable, Status::Confirmed, None),
        (Kind::Routable, Status::Confirmed, None),
        (Kind::Nowhere, Status::Returned, Some("no_route")),
        (Kind::Missing, Status::Failed, Some("exchange_not_found")),
        (Kind::Dropped, Status::Confirmed, None),
        (Kind::Cancelled, Status::Failed, Some("cancelled")),
    ];
    for (number, (kind, status, reason)) in (0..).zip(ends) {
        add(&mut books, number, kind, status, reason);
    }
    // One that was refused, and one that nobody knows of.
    for (number, answer) in [(100, Answer::Refused), (101, Answer::Unknown)] {
        books.sent.push(Sent {
            answers: vec![answer],
            ..sent(number, Kind::Routable)
        });
    }
    books
}

fn sent(number: u32, kind: Kind) -> Sent {
    Sent {
        tag: tag(number),
        kind,
        order: (kind == Kind::Routable).then_some(OrderKey {
            writer: 0,
            number: 0,
            explicit: false,
        }),
        idempotency_key: Some(number),
        callback: number == 0,
        request: number,
        in_place: true,
        at_ms: u64::from(number) * 10,
        answers: vec![Answer::Accepted(id(number.into()))],
    }
}

fn add(books: &mut Books, number: u32, kind: Kind, status: Status, reason: Option<&str>) {
    let one = sent(number, kind);
    let told = Told {
        id: id(number.into()),
        tag: Some(one.tag),
        status,
        reason: reason.map(str::to_owned),
        revision: 2,
        attempts: 1,
        replays: 0,
        duplicate_possible: false,
        group: Some(1),
        digest: digest(number),
    };
    if status == Status::Confirmed && kind != Kind::Dropped {
        books.copies.push(copy(number));
    }
    let outcome = Outcome {
        id: told.id,
        status,
        revision: 2,
        digest: digest(number),
    };
    books.events.push(Event {
        position: u64::from(number) + 1,
        outcome,
    });
    books.answered.push(outcome);
    for standing in [true, false] {
        if standing || one.callback {
            books.hooks.push(hook(outcome, standing));
        }
    }
    books.stats.count(status);
    books.groups.entry(1).or_default().count(status);
    books.told.push(told);
    books.sent.push(one);
}

fn copy(number: u32) -> Copy {
    Copy {
        queue: 0,
        id: id(number.into()),
        tag: Some(tag(number)),
        intact: true,
        flagged: false,
        redelivered: false,
        at_ms: u64::from(number) * 10 + 5,
    }
}

fn hook(outcome: Outcome, standing: bool) -> Hook {
    Hook {
        webhook_id: format!("{}-{}", outcome.id, outcome.revision),
        standing,
        outcome,
        signed: true,
        well_formed: true,
        taken: true,
    }
}

/// The names of what is found after this was done to clean books.
fn found(spoil: impl FnOnce(&mut Books)) -> Vec<String> {
    let mut books = clean();
    spoil(&mut books);
    let mut names: Vec<_> = violations(&books).iter().map(Violation::name).collect();
    names.sort();
    names
}

#[test]
fn clean_books_are_clean() {
    assert_eq!(violations(&clean()), []);
    assert_eq!(outstanding(&clean()), 0);
}

#[test]
fn a_confirmed_message_that_nobody_got_is_lost() {
    assert_eq!(
        found(|books| books.copies.retain(|one| one.id != id(1))),
        ["Lost"]
    );
    let mut books = clean();
    books.copies.clear();
    assert_eq!(outstanding(&books), 2);
}

#[test]
fn an_accepted_message_that_the_gateway_does_not_know_is_forgotten() {
    let names = found(|books| {
        let told = books.told.pop().expect("the cancelled one");
        books.stats.failed -= 1;
        books.groups.get_mut(&1).expect("it is there").failed -= 1;
        books.events.retain(|one| one.outcome.id != told.id);
        books.answered.retain(|one| one.id != told.id);
        books.hooks.retain(|one| one.outcome.id != told.id);
    });
    assert_eq!(names, ["Forgotten"]);
}

#[test]
fn a_message_without_a_final_status_is_noticed() {
    let names = found(|books| {
        books.told[0].status = Status::Pending;
        books.stats.pending += 1;
        books.stats.confirmed -= 1;
        *books.groups.get_mut(&1).expect("it is there") = books.stats;
    });
    // Whoever was told that it was confirmed was told so too early.
    assert_eq!(names, ["NeverEnded", "TakenBack"]);
}

#[test]
fn a_refused_message_that_was_kept_or_consumed_is_noticed() {
    let consumed = found(|books| books.copies.push(copy(100)));
    assert_eq!(consumed, ["RefusedAndConsumed", "Unaccounted"]);
    let kept = found(|books| {
        add(
            books,
            100,
            Kind::Nowhere,
            Status::Returned,
            Some("no_route"),
        );
        books.sent.pop();
    });
    assert!(kept.contains(&"RefusedAndKept".to_owned()), "{kept:?}");
}

#[test]
fn a_message_of_unknown_outcome_may_be_kept_and_must_then_be_true() {
    let kept = |copies: bool| {
        found(|books| {
            add(books, 101, Kind::Routable, Status::Confirmed, None);
            books.sent.pop();
            if !copies {
                books.copies.pop();
            }
        })
    };
    assert!(kept(true).is_empty(), "{:?}", kept(true));
    assert_eq!(kept(false), ["Lost"]);
    assert_eq!(found(|books| books.copies.push(copy(101))), ["Unaccounted"]);
}

#[test]
fn a_returned_message_that_was_consumed_is_noticed_unless_it_is_in_doubt() {
    assert_eq!(
        found(|books| books.copies.push(copy(2))),
        ["ConsumedAndDenied"]
    );
    let doubted = found(|books| {
        books.copies.push(copy(2));
        books.told[2].duplicate_possible = true;
    });
    assert!(doubted.is_empty(), "{doubted:?}");
}

#[test]
fn a_status_that_this_kind_of_message_cannot_have_is_false() {
    for (kind, status, reason) in [
        (Kind::Routable, Status::Returned, Some("no_route")),
        (Kind::Nowhere, Status::Confirmed, None),
        (Kind::Missing, Status::Confirmed, None),
        (Kind::Forbidden, Status::Failed, Some("exchange_not_found")),
        (Kind::Routable, Status::Failed, Some("nacked")),
        (Kind::Routable, Status::Failed, Some("precondition_failed")),
        (Kind::Routable, Status::Failed, Some("expired")),
        (Kind::Later, Status::Failed, Some("cancelled")),
        (Kind::Routable, Status::Failed, None),
    ] {
        let names = found(|books| add(books, 50, kind, status, reason));
        assert_eq!(names, ["FalseStatus"], "{kind:?} {status:?} {reason:?}");
    }
    let doubted = found(|books| {
        add(books, 50, Kind::Refused, Status::Failed, Some("nacked"));
        books
            .told
            .last_mut()
            .expect("it was added")
            .duplicate_possible = true;
    });
    assert!(doubted.is_empty(), "{doubted:?}");
}

#[test]
fn a_message_nobody_sent_is_noticed() {
    let names = found(|books| {
        add(books, 50, Kind::Routable, Status::Confirmed, None);
        books.sent.pop();
    });
    assert!(names.contains(&"NobodySent".to_owned()), "{names:?}");
}

#[test]
fn one_message_and_one_key_have_one_id() {
    let twice = |key: Option<u32>| {
        found(|books| {
            books.sent[0].idempotency_key = key;
            books.sent[0].answers.push(Answer::Accepted(id(50)));
        })
    };
    assert_eq!(twice(Some(0)), ["SeveralIds"]);
    assert_eq!(twice(None), ["SeveralIds"]);
    // Two messages that came with the same key.
    assert_eq!(
        found(|books| books.sent[1].idempotency_key = Some(0)),
        ["SeveralIds"]
    );
    // A second one was consumed, whatever was answered.
    let consumed = found(|books| {
        books.copies.push(Copy {
            id: id(50),
            ..copy(0)
        });
    });
    assert_eq!(consumed, ["SeveralIds", "Unaccounted"]);
}

#[test]
fn what_arrives_is_what_was_sent() {
    assert_eq!(found(|books| books.copies[0].intact = false), ["Altered"]);
    let anothers = found(|books| books.copies[1].tag = Some(tag(0)));
    assert!(anothers.contains(&"Unaccounted".to_owned()), "{anothers:?}");
}

#[test]
fn a_second_copy_must_be_flagged_and_told_unless_the_broker_repeats_itself() {
    let second = |change: fn(&mut Copy), told: bool| {
        found(|books| {
            let mut second = copy(1);
            change(&mut second);
            books.copies.push(second);
            books.told[1].duplicate_possible = told;
        })
    };
    assert_eq!(second(|_| {}, true), ["UnflaggedDuplicate"]);
    assert_eq!(second(|_| {}, false), ["DoubtUntold", "UnflaggedDuplicate"]);
    assert_eq!(second(|copy| copy.flagged = true, false), ["DoubtUntold"]);
    assert!(second(|copy| copy.flagged = true, true).is_empty());
    assert!(second(|copy| copy.redelivered = true, false).is_empty());
}

#[test]
fn duplicates_are_counted_by_their_flags() {
    let mut books = clean();
    assert_eq!(books.duplicates(), (0, 0));
    let flagged = Copy {
        flagged: true,
        ..copy(1)
    };
    books.copies.extend([flagged, flagged, copy(0)]);
    assert_eq!(books.duplicates(), (2, 1));
}

#[test]
fn counts_are_what_there_is() {
    assert_eq!(found(|books| books.stats.confirmed += 1), ["FalseTally"]);
    let group = found(|books| books.groups.get_mut(&1).expect("it is there").failed -= 1);
    assert_eq!(group, ["FalseTally"]);
    assert_eq!(found(|books| books.groups.clear()), ["FalseTally"]);
}

#[test]
fn an_incident_is_a_violation() {
    assert_eq!(
        found(|books| books.incidents.push("a 500".into())),
        ["Incident"]
    );
}

#[test]
fn tags_are_read_as_they_are_written() {
    let tag = Tag {
        writer: 3,
        number: 4711,
    };
    assert_eq!(tag.to_string().parse(), Ok(tag));
    assert!("x3-1".parse::<Tag>().is_err());
    assert!("w3".parse::<Tag>().is_err());
}
