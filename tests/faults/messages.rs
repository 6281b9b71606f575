//! Messages as they are sent, and as they must arrive.

use serde_json::{Map, Value, json};

use super::choices::Item;
use super::ledger::{Kind, Tag};
use super::places::{EXCHANGE, FULL, HALF, INTERNAL, VANISHING, sometimes};
use super::support::arrived::Arrived;

/// The message of this item, as JSON.
pub(crate) fn message(
    item: &Item,
    tag: Tag,
    key: Option<u32>,
    callback_url: &str,
) -> Map<String, Value> {
    let (writer, number) = (tag.writer, item.key);
    let (exchange, routing_key) = match item.kind {
        Kind::Routable | Kind::Later | Kind::Cancelled | Kind::GivenUp => {
            (EXCHANGE.to_owned(), format!("key.{writer}.{number}"))
        }
        Kind::Sometimes => (EXCHANGE.to_owned(), sometimes(writer)),
        Kind::Nowhere | Kind::Dropped => (EXCHANGE.to_owned(), format!("nowhere.{writer}")),
        Kind::Vanishing => (VANISHING.to_owned(), "any".to_owned()),
        Kind::Forbidden => (INTERNAL.to_owned(), "any".to_owned()),
        Kind::Missing => (format!("missing.{number}"), "any".to_owned()),
        Kind::Refused => (EXCHANGE.to_owned(), FULL.to_owned()),
        Kind::HalfRefused => (HALF.to_owned(), "any".to_owned()),
    };
    let properties = json!({"message_id": tag.to_string()});
    let mut message = json!({
        "exchange": exchange, "routing_key": routing_key, "properties": properties,
        "payload": payload(tag, item.filler_bytes), "group": group_name(item.group),
    });
    let mut option = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            message[name] = value;
        }
    };
    option(
        "mandatory",
        (item.kind == Kind::Dropped).then_some(json!(false)),
    );
    option(
        "ordering_key",
        item.explicit.then(|| json!(format!("order.{writer}"))),
    );
    option("delay_ms", item.delay_ms.map(|ms| json!(ms)));
    option("give_up_after_ms", item.give_up_ms.map(|ms| json!(ms)));
    option("callback_url", item.callback.then(|| json!(callback_url)));
    option(
        "idempotency_key",
        key.map(|key| json!(format!("w{writer}-{key}"))),
    );
    match message {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

pub(crate) fn group_name(group: u8) -> String {
    format!("group/{group}")
}

/// The number in a group's name.
pub(crate) fn group_number(name: &str) -> Option<u8> {
    name.strip_prefix("group/")?.parse().ok()
}

/// The tag, how many bytes follow, and those, which follow from the tag.
fn payload(tag: Tag, filler_bytes: usize) -> String {
    let letter = char::from(b'a' + (tag.number % 26) as u8);
    let filler: String = std::iter::repeat_n(letter, filler_bytes).collect();
    format!("{tag} {filler_bytes} {filler}")
}

/// Whose payload this is, and whether it and the properties are as they were sent.
pub(crate) fn recognize(arrived: &Arrived) -> (Option<Tag>, bool) {
    let Ok(text) = std::str::from_utf8(&arrived.payload) else {
        return (None, false);
    };
    let mut words = text.splitn(3, ' ');
    let tag: Option<Tag> = words.next().and_then(|word| word.parse().ok());
    let bytes = words.next().and_then(|word| word.parse().ok());
    let (Some(tag), Some(bytes)) = (tag, bytes) else {
        return (None, false);
    };
    let message_id = arrived.properties.message_id().as_ref();
    let named = message_id.is_some_and(|id| id.as_str() == tag.to_string());
    (Some(tag), named && text == payload(tag, bytes))
}
