//! The resource of a delivery.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::webhook::{event_id, event_type};
use crate::store::{DeliveryId, DeliveryStatus, LoggedDelivery};

/// An outcome that a webhook was told, or is to be told.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(in crate::http) struct DeliveryJson<'a> {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: String,
    /// The message.
    #[schema(value_type = String, format = "uuid")]
    message_id: String,
    /// The message's revision with this outcome.
    revision: u32,
    /// The outcome.
    #[schema(value_type = String, pattern = "^message\\.(confirmed|returned|failed)$")]
    event: &'a str,
    /// The header `webhook-id`: the same over all tries, by which receivers know a repeat.
    webhook_id: String,
    /// `waiting` for its next try, `delivered`, or `failed`: it is not tried any more.
    #[schema(value_type = String, pattern = "^(waiting|delivered|failed)$")]
    status: &'static str,
    /// Tries so far.
    attempts: u32,
    /// When it is tried next; null when it has ended.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    next_attempt_at: Option<String>,
    /// When it was tried last.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    last_attempt_at: Option<String>,
    /// The HTTP status that the last try was answered with, if it was.
    #[schema(required)]
    last_status_code: Option<u16>,
    /// A word for what went wrong at the last try, if something did.
    #[schema(required)]
    last_error: Option<&'a str>,
}

impl<'a> DeliveryJson<'a> {
    pub(in crate::http) fn of(delivery: &'a LoggedDelivery) -> Self {
        let (status, next_at) = match delivery.status {
            DeliveryStatus::Waiting { next_at } => ("waiting", Some(next_at)),
            DeliveryStatus::Delivered => ("delivered", None),
            DeliveryStatus::Failed => ("failed", None),
        };
        let last = delivery.last.as_ref();
        Self {
            id: id_text(delivery.id),
            message_id: delivery.message.to_string(),
            revision: delivery.revision,
            // Only outcomes are delivered, so this is never the empty fallback.
            event: event_type(delivery.outcome).unwrap_or_default(),
            webhook_id: event_id(delivery.message, delivery.revision),
            status,
            attempts: delivery.attempts,
            next_attempt_at: next_at.map(|at| at.to_string()),
            last_attempt_at: last.map(|tried| tried.at.to_string()),
            last_status_code: last.and_then(|tried| tried.status_code),
            last_error: last.and_then(|tried| tried.error.as_deref()),
        }
    }
}

/// What all ids of deliveries have in common: version 8 (RFC 9562, section 5.8) and the variant.
const FORM: u128 = 0x8 << 76 | 0b10 << 62;

/// The bits behind the variant.
const NUMBER_MAX: u64 = (1 << 62) - 1;

/// The id of a delivery as callers see it: a UUID, as all ids are, whose last bits are the number.
fn id_text(id: DeliveryId) -> String {
    let number = u128::from(id.0 & NUMBER_MAX);
    uuid::Uuid::from_u128(FORM | number).to_string()
}

/// The delivery that [`id_text`] has named so.
pub(super) fn read_id(text: &str) -> Option<DeliveryId> {
    if text.len() != 36 {
        return None;
    }
    let id = uuid::Uuid::try_parse(text).ok()?.as_u128();
    let number = u64::try_from(id ^ FORM).ok()?;
    (number <= NUMBER_MAX).then_some(DeliveryId(number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_gives_back_its_number(number in 0..=NUMBER_MAX) {
            let text = id_text(DeliveryId(number));
            prop_assert_eq!(read_id(&text), Some(DeliveryId(number)));
            prop_assert_eq!(read_id(&text.to_uppercase()), Some(DeliveryId(number)));
        }
    }

    #[test]
    fn nothing_else_is_an_id() {
        assert_eq!(
            id_text(DeliveryId(0xc8)),
            "00000000-0000-8000-8000-0000000000c8"
        );
        for text in [
            "",
            "200",
            "00000000-0000-7000-8000-0000000000c8",
            "00000000-0000-8000-c000-0000000000c8",
            "00000000-0001-8000-8000-0000000000c8",
            "00000000-0000-8001-8000-0000000000c8",
            "000000000000800080000000000000c8",
            "{00000000-0000-8000-8000-0000000000}",
        ] {
            assert_eq!(read_id(text), None, "{text}");
        }
    }
}
