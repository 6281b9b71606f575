//! What a delivery is about, in the words of the receiver.

use crate::domain::{MessageId, Status};

/// The outcomes that are told, with the words that stand for them in `type`.
pub const TYPES: [(Status, &str); 3] = [
    (Status::Confirmed, "message.confirmed"),
    (Status::Returned, "message.returned"),
    (Status::Failed, "message.failed"),
];

/// The word for an outcome; `None` for a message without one, of which nothing is told.
#[must_use]
pub fn event_type(outcome: Status) -> Option<&'static str> {
    TYPES
        .into_iter()
        .find_map(|(status, word)| (status == outcome).then_some(word))
}

/// The value of the header `webhook-id`: the same over all tries of one outcome, and for everybody who is
/// told of it, so that whoever gets it twice knows it again. It has no dot, as its signature demands.
#[must_use]
pub fn event_id(message: MessageId, revision: u32) -> String {
    format!("{message}-{revision}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RowId;

    #[test]
    fn final_statuses_are_told_and_pending_is_not() {
        assert_eq!(event_type(Status::Returned), Some("message.returned"));
        assert_eq!(event_type(Status::Pending), None);
        for (status, word) in TYPES {
            assert_eq!(word, format!("message.{}", status.as_str()));
        }
    }

    #[test]
    fn each_outcome_has_an_id_of_its_own() {
        let message = MessageId::from_parts(RowId::from_stored(1 << 50), 7);
        let first = event_id(message, 2);
        assert_eq!(first, format!("{message}-2"));
        assert_ne!(first, event_id(message, 4));
        assert!(!first.contains('.'));
    }
}
