//! What was told to whom.

use super::*;

#[test]
fn a_status_that_was_told_cannot_be_taken_back() {
    for change in [
        |outcome: &mut Outcome| outcome.status = Status::Returned,
        |outcome: &mut Outcome| outcome.digest = digest(77),
        |outcome: &mut Outcome| outcome.revision = 1,
        |outcome: &mut Outcome| outcome.revision = 3,
        |outcome: &mut Outcome| outcome.id = id(60),
    ] {
        let names = found(|books| change(&mut books.answered[1]));
        assert_eq!(names, ["TakenBack"]);
    }
}

#[test]
fn what_differs_is_named_where_it_is_known() {
    let two = (digest(1), digest(2));
    assert_eq!(two.0.differences(two.1).count(), FIELDS.len());
    let mut without_the_id = two.0;
    without_the_id.0[0] = 0;
    let known: Vec<_> = without_the_id.differences(two.1).collect();
    assert_eq!(known, FIELDS[1..]);
    assert_eq!(two.0.differences(two.0).count(), 0);
}

#[test]
fn every_outcome_has_its_webhooks() {
    let standing = found(|books| books.hooks.retain(|one| one.outcome.id != id(3)));
    assert_eq!(standing, ["MissingWebhook"]);
    let callback = found(|books| books.hooks.retain(|one| one.standing));
    assert_eq!(callback, ["MissingWebhook"]);
    let refused = found(|books| books.hooks[0].taken = false);
    assert_eq!(refused, ["MissingWebhook"]);
    let surplus = found(|books| {
        let outcome = books.answered[1];
        books.hooks.push(hook(outcome, false));
    });
    assert_eq!(surplus, ["SurplusWebhook"]);
    let twice = found(|books| {
        let outcome = books.answered[1];
        books.hooks.push(hook(outcome, true));
    });
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn a_webhook_is_signed_and_says_what_was() {
    assert_eq!(
        found(|books| books.hooks[0].signed = false),
        ["BadSignature"]
    );
    assert_eq!(
        found(|books| books.hooks[0].well_formed = false),
        ["BadWebhook"]
    );
    let another_id = found(|books| {
        let again = hook(books.answered[1], true);
        books.hooks.push(Hook {
            webhook_id: "another".into(),
            ..again
        });
    });
    assert_eq!(another_id, ["BadWebhook"]);
    let shared_id = found(|books| books.hooks[3].webhook_id = books.hooks[2].webhook_id.clone());
    assert_eq!(shared_id, ["BadWebhook"]);
}

#[test]
fn the_stream_tells_every_outcome_in_its_order() {
    assert_eq!(
        found(|books| books.events.retain(|one| one.position != 3)),
        ["MissingEvent"]
    );
    assert_eq!(found(|books| books.events.swap(0, 1)), ["EventsOutOfOrder"]);
    let twice = found(|books| books.events.push(*books.events.last().expect("some")));
    assert_eq!(twice, ["EventsOutOfOrder"]);
}
