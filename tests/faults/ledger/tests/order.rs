//! What was accepted first comes first.

use super::*;

#[test]
fn first_copies_are_in_the_order_of_acceptance() {
    assert_eq!(found(|books| books.copies.swap(0, 1)), ["OutOfOrder"]);
    // A later copy of the earlier one is no matter.
    let repeated = found(|books| {
        books.copies.push(Copy {
            flagged: true,
            ..copy(0)
        });
        books.told[0].duplicate_possible = true;
    });
    assert!(repeated.is_empty(), "{repeated:?}");
    // A queue of its own is an order of its own.
    let apart = found(|books| {
        books.copies.swap(0, 1);
        books.copies[0].queue = 1;
    });
    assert!(apart.is_empty(), "{apart:?}");
}

#[test]
fn who_was_not_accepted_at_the_first_try_has_no_place_in_its_request() {
    let swapped = |one_request: bool, in_place: bool| {
        found(|books| {
            books.copies.swap(0, 1);
            books.sent[1].request = u32::from(!one_request);
            books.sent[1].in_place = in_place;
        })
    };
    assert_eq!(swapped(true, true), ["OutOfOrder"]);
    assert!(swapped(true, false).is_empty());
    assert_eq!(swapped(false, false), ["OutOfOrder"]);
}

#[test]
fn who_may_have_been_nacked_has_no_place_without_an_explicit_key() {
    let lost = |explicit: bool, attempts: u64, losses: &[(u64, u64)]| {
        found(|books| {
            books.copies.swap(0, 1);
            for sent in &mut books.sent {
                sent.order = sent.order.map(|key| OrderKey { explicit, ..key });
            }
            books.told[0].attempts = attempts;
            books.leader_losses = losses.to_vec();
        })
    };
    assert!(lost(false, 2, &[(0, 5)]).is_empty());
    assert_eq!(lost(false, 1, &[(0, 5)]), ["OutOfOrder"]);
    assert_eq!(lost(false, 2, &[(10_000, 10_005)]), ["OutOfOrder"]);
    assert_eq!(lost(true, 2, &[(0, 5)]), ["OutOfOrder"]);
}

#[test]
fn who_was_replayed_has_a_place_of_its_own() {
    let names = found(|books| {
        books.copies.swap(0, 1);
        books.told[0].replays = 1;
    });
    // Two webhooks for two outcomes are wanted then, of the standing one and of the callback.
    assert_eq!(names, ["MissingWebhook", "MissingWebhook"]);
}

#[test]
fn ids_are_in_the_order_of_acceptance() {
    let names = found(|books| books.sent[1].answers = vec![Answer::Accepted(id(9))]);
    assert!(names.contains(&"IdsOutOfOrder".to_owned()), "{names:?}");
}
