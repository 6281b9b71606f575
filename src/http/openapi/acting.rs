//! What the endpoints answer that act on messages, or ask about many at once.

use utoipa::IntoResponses;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Type;

use super::super::problem::Code;
use super::errors::errors;
use super::examples;
use super::responses::{ANY, BODY, Body, Responses, header, message, told};
use crate::domain::Status;

/// Why nothing was changed.
pub(super) const NOT_CHANGED: [Code; 3] =
    [Code::StoreUnavailable, Code::Stopping, Code::OutcomeUnknown];

/// What `POST /v1/messages/{id}/cancel` answers.
pub(in crate::http) struct CancelResponses;

impl IntoResponses for CancelResponses {
    fn responses() -> Responses {
        let own = [
            Code::Forbidden,
            Code::NotFound,
            Code::HistoryExpired,
            Code::MessageInFlight,
            Code::NotCancellable,
            Code::InvalidRequest,
        ];
        let mut responses = errors(&[&ANY, &BODY, &NOT_CHANGED, &own]);
        let cancelled = message(
            "The message is cancelled, now or before.",
            &[("cancelled", examples::cancelled())],
            Body::Preferred,
        );
        responses.insert("200".to_owned(), cancelled);
        responses
    }
}

/// What `POST /v1/messages/{id}/replay` answers.
pub(in crate::http) struct ReplayMessageResponses;

impl IntoResponses for ReplayMessageResponses {
    fn responses() -> Responses {
        let own = [
            Code::Forbidden,
            Code::NotFound,
            Code::HistoryExpired,
            Code::PayloadNotKept,
            Code::NotReplayable,
            Code::InvalidRequest,
            Code::StoreFull,
        ];
        let mut responses = errors(&[&ANY, &BODY, &NOT_CHANGED, &own]);
        let mut replayed = message(
            "The message is pending again, and that is safe in the store.",
            &[("pending", examples::replayed())],
            Body::Preferred,
        );
        if let RefOr::T(response) = &mut replayed {
            let location = header("Where to ask for the message.", Type::String);
            response
                .headers
                .insert("Location".to_owned(), location.into());
        }
        responses.insert("202".to_owned(), replayed);
        responses
    }
}

/// What `POST /v1/replays` answers.
pub(in crate::http) struct StartReplayResponses;

impl IntoResponses for StartReplayResponses {
    fn responses() -> Responses {
        let own = [
            Code::Forbidden,
            Code::MalformedJson,
            Code::UnsupportedMediaType,
            Code::InvalidRequest,
            Code::StoreFull,
        ];
        let mut responses = errors(&[&ANY, &BODY, &NOT_CHANGED, &own]);
        let example = examples::bulk_replay(0, 0, 0, false);
        let mut started = told("It is kept, and begins.", "Replay", example);
        if let RefOr::T(response) = &mut started {
            let location = header("Where to ask how far it has come.", Type::String);
            response
                .headers
                .insert("Location".to_owned(), location.into());
        }
        responses.insert("202".to_owned(), started);
        responses
    }
}

/// What `GET /v1/replays/{id}` answers.
pub(in crate::http) struct ReplayResponses;

impl IntoResponses for ReplayResponses {
    fn responses() -> Responses {
        let own = [Code::NotFound, Code::InvalidRequest, Code::StoreUnavailable];
        let mut responses = errors(&[&ANY, &own]);
        let example = examples::bulk_replay(42, 40, 2, true);
        let state = told("How far it has come.", "Replay", example);
        responses.insert("200".to_owned(), state);
        responses
    }
}

/// What `GET /v1/groups/{group}` answers.
pub(in crate::http) struct GroupResponses;

impl IntoResponses for GroupResponses {
    fn responses() -> Responses {
        let own = [Code::NotFound, Code::InvalidRequest, Code::StoreUnavailable];
        let mut responses = errors(&[&ANY, &own]);
        let mut counts = told("The counts of the group.", "Group", examples::group());
        if let RefOr::T(response) = &mut counts {
            for (name, words) in [
                ("Preference-Applied", "What of `Prefer` was honoured."),
                ("Vary", "`Prefer`"),
            ] {
                let words = header(words, Type::String);
                response.headers.insert(name.to_owned(), words.into());
            }
        }
        responses.insert("200".to_owned(), counts);
        responses
    }
}

/// The statuses of messages as the examples of asking tell them.
pub(super) fn of_statuses(
    statuses: &[(&'static str, Option<Status>)],
) -> Vec<(&'static str, Option<serde_json::Value>)> {
    let example = |(name, status): &(&'static str, _)| (*name, examples::message(*status));
    statuses.iter().map(example).collect()
}
