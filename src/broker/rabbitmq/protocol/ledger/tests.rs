use std::ops::Range;

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::fixtures::{cases, ended, id, message, row};
use super::*;
use crate::domain::ReasonCode;

mod model;

fn no_route() -> Reason {
    Reason::told(ReasonCode::NoRoute, 312, "NO_ROUTE", "no queue")
}

fn returned() -> Outcome {
    Outcome::Returned(Box::new(no_route()))
}

fn close(scope: Scope, code: u16, text: &str) -> Close {
    let text = text.into();
    Close { scope, code, text }
}

fn not_found(exchange: &str) -> Close {
    let text = format!("NOT_FOUND - no exchange '{exchange}' in vhost '/'");
    close(Scope::Channel, 404, &text)
}

/// Message `n` goes to `exchanges[n - 1]` and stands at the positions `10 * (n - 1) .. 10 * n`.
fn ledger_of(exchanges: &[&str]) -> Ledger {
    let mut ledger = Ledger::default();
    for (number, exchange) in (1..).zip(exchanges) {
        let span = 10 * (number - 1)..10 * number;
        ledger.published(message(number, exchange, 7), span);
    }
    ledger
}

fn outcomes_of_close(ledger: &mut Ledger, written: u64, close: Option<&Close>) -> Vec<LaneEvent> {
    let mut events = Vec::new();
    ledger.close(written, close, &mut events);
    assert_eq!((ledger.open(), ledger.open_bytes()), (0, 0));
    events
}

#[test]
fn a_bulk_ack_confirms_everything_up_to_its_tag_but_what_came_back() {
    let mut ledger = ledger_of(&["a"; 4]);
    let mut events = Vec::new();
    ledger.returned(id(2), no_route(), 40).expect("outstanding");
    ledger.ack(3, true, 40, &mut events).expect("outstanding");
    let expected = [
        ended(1, Outcome::Confirmed),
        ended(2, returned()),
        ended(3, Outcome::Confirmed),
    ];
    assert_eq!(events, expected);
    assert_eq!((ledger.open(), ledger.open_bytes()), (1, 7));
}

#[test]
fn a_message_that_came_back_is_returned_even_when_it_is_nacked() {
    let mut ledger = ledger_of(&["a"; 2]);
    let mut events = Vec::new();
    ledger.returned(id(2), no_route(), 20).expect("outstanding");
    ledger.nack(2, true, 20, &mut events).expect("outstanding");
    assert_eq!(events, [ended(1, Outcome::Nacked), ended(2, returned())]);
}

#[test]
fn returns_find_their_messages_in_any_order() {
    let mut ledger = ledger_of(&["a"; 4]);
    let mut events = Vec::new();
    for number in [4, 1, 3] {
        let found = ledger.returned(id(number), no_route(), 40);
        found.expect("outstanding");
    }
    ledger.ack(4, true, 40, &mut events).expect("outstanding");
    let expected = [
        ended(1, returned()),
        ended(2, Outcome::Confirmed),
        ended(3, returned()),
        ended(4, returned()),
    ];
    assert_eq!(events, expected);
}

#[test]
fn a_confirm_that_fits_nothing_is_a_violation_and_reports_nothing() {
    let mut ledger = ledger_of(&["a"; 3]);
    let mut events = Vec::new();
    ledger.ack(2, false, 30, &mut events).expect("outstanding");
    events.clear();
    for (tag, multiple) in [
        (2, false),
        (0, false),
        (4, false),
        (4, true),
        (u64::MAX, true),
    ] {
        let violation = ledger.nack(tag, multiple, 30, &mut events);
        assert_eq!(violation.map_err(|one| one.code), Err(503), "{tag}");
    }
    assert_eq!((events.len(), ledger.open()), (0, 2));
}

#[test]
fn a_bulk_confirm_of_what_is_settled_already_says_nothing_new() {
    let mut ledger = ledger_of(&["a"; 3]);
    let mut events = Vec::new();
    ledger.ack(2, true, 30, &mut events).expect("outstanding");
    events.clear();
    assert_eq!(ledger.ack(1, true, 30, &mut events), Ok(()));
    assert_eq!((events.len(), ledger.open()), (0, 1));
}

#[test]
fn what_was_not_completely_written_can_neither_be_confirmed_nor_come_back() {
    let mut ledger = ledger_of(&["a"; 2]);
    let mut events = Vec::new();
    assert!(ledger.ack(2, true, 19, &mut events).is_err());
    assert!(ledger.ack(2, false, 19, &mut events).is_err());
    assert!(ledger.returned(id(2), no_route(), 19).is_err());
    assert_eq!((events.len(), ledger.open()), (0, 2));
    assert_eq!(ledger.ack(2, true, 20, &mut events), Ok(()));
}

#[test]
fn a_confirm_of_everything_outstanding_is_not_believed_for_nobody_knows_what_that_is() {
    let mut ledger = ledger_of(&["a"; 2]);
    let mut events = Vec::new();
    assert!(ledger.ack(0, true, 20, &mut events).is_err());
    assert_eq!((events.len(), ledger.open()), (0, 2));
}

#[test]
fn a_return_of_what_is_not_in_flight_is_a_violation() {
    let mut ledger = ledger_of(&["a"; 2]);
    let mut events = Vec::new();
    ledger.ack(1, false, 20, &mut events).expect("outstanding");
    for number in [1, 3] {
        let violation = ledger.returned(id(number), no_route(), 20);
        assert_eq!(violation.map_err(|one| one.code), Err(505));
    }
}

#[test]
fn the_output_is_cut_before_a_message_that_was_not_begun_and_after_one_that_was() {
    let ledger = ledger_of(&["a"; 2]);
    assert_eq!(ledger.boundary(0), Some(0));
    assert_eq!(ledger.boundary(1), Some(10));
    assert_eq!(ledger.boundary(9), Some(10));
    assert_eq!(ledger.boundary(10), Some(10));
    assert_eq!(ledger.boundary(11), Some(20));
    assert_eq!(ledger.boundary(20), None);
    assert_eq!(Ledger::default().boundary(0), None);
}

#[test]
fn the_messages_of_the_named_exchange_are_suspects_and_the_others_unknown_or_unsent() {
    let mut ledger = ledger_of(&["x", "y", "x", "y", "x"]);
    let reason = Arc::new(not_found("x").reason());
    let events = outcomes_of_close(&mut ledger, 49, Some(&not_found("x")));
    let expected = [
        ended(1, Outcome::Suspect(Arc::clone(&reason))),
        ended(2, Outcome::Unknown),
        ended(3, Outcome::Suspect(reason)),
        ended(4, Outcome::Unknown),
        ended(5, Outcome::Unsent),
    ];
    assert_eq!(events, expected);
}

#[test]
fn nobody_is_suspected_whom_the_broker_has_spoken_of_or_passed_over() {
    let mut ledger = ledger_of(&["x"; 4]);
    let mut events = Vec::new();
    ledger.ack(2, false, 40, &mut events).expect("outstanding");
    events.clear();
    ledger.close(40, Some(&not_found("x")), &mut events);
    let suspect = Outcome::Suspect(Arc::new(not_found("x").reason()));
    let expected = [
        ended(1, Outcome::Unknown),
        ended(3, suspect.clone()),
        ended(4, suspect),
    ];
    assert_eq!(events, expected);
}

#[test]
fn the_only_one_that_was_completely_written_is_refused() {
    for (scope, code, maybe_taken) in [
        (Scope::Channel, 406, false),
        (Scope::Connection, 501, true),
        (Scope::Connection, 540, true),
    ] {
        let close = close(scope, code, "PRECONDITION_FAILED - something");
        let mut ledger = ledger_of(&["x", "x"]);
        let events = outcomes_of_close(&mut ledger, 19, Some(&close));
        let reason = Box::new(close.reason());
        let refused = Outcome::Refused {
            reason,
            maybe_taken,
        };
        assert_eq!(events, [ended(1, refused), ended(2, Outcome::Unsent)]);
    }
}

#[test]
fn a_fault_that_may_be_the_nodes_own_makes_a_message_suspect_but_never_refused() {
    for (scope, code) in [
        (Scope::Connection, 541),
        (Scope::Connection, 506),
        (Scope::Channel, 541),
        (Scope::Channel, 506),
    ] {
        let close = close(scope, code, "INTERNAL_ERROR");
        let events = outcomes_of_close(&mut ledger_of(&["x"]), 10, Some(&close));
        let suspect = Outcome::Suspect(Arc::new(close.reason()));
        assert_eq!(events, [ended(1, suspect)]);
    }
}

#[test]
fn a_single_suspect_among_others_that_are_unknown_is_not_refused() {
    let mut ledger = ledger_of(&["y", "x"]);
    let events = outcomes_of_close(&mut ledger, 20, Some(&not_found("x")));
    let suspect = Outcome::Suspect(Arc::new(not_found("x").reason()));
    assert_eq!(events, [ended(1, Outcome::Unknown), ended(2, suspect)]);
}

#[test]
fn what_came_back_stays_returned_and_does_not_stand_beside_a_refused_one() {
    let mut ledger = ledger_of(&["x"; 2]);
    ledger.returned(id(1), no_route(), 20).expect("outstanding");
    let events = outcomes_of_close(&mut ledger, 20, Some(&not_found("x")));
    let refused = Outcome::Refused {
        reason: Box::new(not_found("x").reason()),
        maybe_taken: false,
    };
    assert_eq!(events, [ended(1, returned()), ended(2, refused)]);
}

#[test]
fn an_operator_who_closes_the_connection_blames_nobody() {
    for code in [320, 402, 403, 530] {
        let mut ledger = ledger_of(&["x"]);
        let close = close(
            Scope::Connection,
            code,
            "CONNECTION_FORCED - by the operator",
        );
        let events = outcomes_of_close(&mut ledger, 10, Some(&close));
        assert_eq!(events, [ended(1, Outcome::Unknown)], "{code}");
    }
}

#[test]
fn a_loss_leaves_what_was_written_unknown_and_the_rest_unsent() {
    let mut ledger = ledger_of(&["x"; 3]);
    let events = outcomes_of_close(&mut ledger, 11, None);
    let expected = [
        ended(1, Outcome::Unknown),
        ended(2, Outcome::Unsent),
        ended(3, Outcome::Unsent),
    ];
    assert_eq!(events, expected);
}

#[test]
fn tags_count_from_one_again_after_a_close() {
    let mut ledger = ledger_of(&["x"; 3]);
    let mut events = Vec::new();
    ledger.ack(2, true, 30, &mut events).expect("outstanding");
    ledger.close(30, None, &mut events);
    events.clear();
    ledger.published(message(9, "x", 0), 30..40);
    ledger.ack(1, false, 40, &mut events).expect("outstanding");
    assert_eq!(events, [ended(9, Outcome::Confirmed)]);
}
