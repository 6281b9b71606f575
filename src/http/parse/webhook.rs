//! `{"url":…,"events":…,"filter":…,"enabled":…}`: a standing webhook, or what is to change of one.
//!
//! A change is read as a merge patch (RFC 7396): what is absent stays, also in `filter`, and null goes back
//! to what holds for a webhook of which nothing was said: all events, no filter.

use super::faults::Faults;
use super::fields::{self, present, wrong_kind};
use super::json::{self, Cursor, Kind};
use super::{Refusal, exchange};
use crate::domain::webhook::{AllowList, Target, event};
use crate::domain::{Status, rules};
use crate::store::{WantedEvents, WebhookPatch};

/// The names, which the document of the API is compared with.
pub(crate) const FIELDS: [&str; 4] = ["url", "events", "filter", "enabled"];

/// The names in `filter`.
pub(crate) const FILTER_FIELDS: [&str; 2] = ["exchange", "group"];

/// What a body is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Purpose {
    /// A new webhook, which must have a URL.
    Make,
    /// A change, of which everything may be absent.
    Change,
}

/// What `body` says of a webhook, which may go where `allow` lets it.
pub(crate) fn webhook(
    body: &[u8],
    purpose: Purpose,
    allow: &AllowList,
) -> Result<WebhookPatch, Refusal> {
    let raw = json::object(body).map_err(Refusal::Malformed)?;
    let mut faults = Faults::default();
    let [url, events, filter, enabled] = fields::read(raw, "", &FIELDS, &mut faults);
    let mut read = WebhookPatch {
        url: self::url(&mut faults, url, purpose, allow),
        events: self::events(&mut faults, events),
        ..WebhookPatch::default()
    };
    self::filter(&mut faults, filter, &mut read);
    if purpose == Purpose::Change
        && let Some(raw) = enabled.filter(|raw| Kind::of(raw) == Kind::Null)
    {
        wrong_kind(&mut faults, "/enabled", raw, "true or false");
    }
    read.enabled = fields::flag(&mut faults, "/enabled", enabled);
    if faults.is_empty() {
        Ok(read)
    } else {
        Err(Refusal::Faulty(faults))
    }
}

fn url(
    faults: &mut Faults,
    raw: Option<&str>,
    purpose: Purpose,
    allow: &AllowList,
) -> Option<Box<str>> {
    const AT: &str = "/url";
    match (purpose, present(raw), raw) {
        (Purpose::Make, None, _) => faults.push(AT, "is required"),
        (Purpose::Change, None, Some(null)) => wrong_kind(faults, AT, null, "a string"),
        _ => {}
    }
    let url = fields::text(faults, AT, raw)?;
    if let Err(fault) = Target::parse(&url, allow) {
        faults.push(AT, fault.to_string());
    }
    Some(url)
}

fn events(faults: &mut Faults, raw: Option<&str>) -> Option<WantedEvents> {
    const AT: &str = "/events";
    let raw = raw?;
    match Kind::of(raw) {
        Kind::Null => return Some(WantedEvents::ALL),
        Kind::Array => {}
        _ => {
            wrong_kind(faults, AT, raw, "an array of events");
            return None;
        }
    }
    let mut wanted = WantedEvents {
        confirmed: false,
        returned: false,
        failed: false,
    };
    let mut cursor = Cursor::new(raw);
    let mut count = 0_usize;
    cursor.enter();
    while cursor.next() {
        let at = format!("{AT}/{count}");
        count += 1;
        let raw = cursor.value();
        if Kind::of(raw) == Kind::Null {
            wrong_kind(faults, &at, raw, "a string");
        }
        let Some(word) = fields::text(faults, &at, Some(raw)) else {
            continue;
        };
        let Some(flag) = named(&mut wanted, &word) else {
            let words = event::TYPES.map(|(_, word)| word).join(", ");
            faults.push(at, format!("must be one of {words}"));
            continue;
        };
        if std::mem::replace(flag, true) {
            faults.push(at, "occurs more than once");
        }
    }
    if count == 0 {
        faults.push(
            AT,
            "names no event; a webhook that shall get none is disabled",
        );
    }
    Some(wanted)
}

fn named<'a>(wanted: &'a mut WantedEvents, word: &str) -> Option<&'a mut bool> {
    let (status, _) = event::TYPES.into_iter().find(|(_, known)| *known == word)?;
    match status {
        Status::Confirmed => Some(&mut wanted.confirmed),
        Status::Returned => Some(&mut wanted.returned),
        Status::Failed => Some(&mut wanted.failed),
        Status::Pending => None,
    }
}

/// Reads the exchange and the group, of which each is not said, null, or one.
fn filter(faults: &mut Faults, raw: Option<&str>, read: &mut WebhookPatch) {
    const AT: &str = "/filter";
    let Some(raw) = raw else {
        return;
    };
    match Kind::of(raw) {
        Kind::Null => {
            read.exchange = Some(None);
            read.group = Some(None);
            return;
        }
        Kind::Object => {}
        _ => return wrong_kind(faults, AT, raw, "an object"),
    }
    let [exchange, group] = fields::read(raw, AT, &FILTER_FIELDS, faults);
    let mut member = |at: &str, raw: &str, check: fn(&str) -> Option<String>| {
        let text = fields::text(faults, at, Some(raw))?;
        if let Some(fault) = check(&text) {
            faults.push(at, fault);
        }
        Some(text)
    };
    read.exchange = exchange.map(|raw| {
        let name = member("/filter/exchange", raw, rules::fault_of_name);
        name.map(|name| self::exchange(String::from(name)))
    });
    read.group = group.map(|raw| member("/filter/group", raw, rules::fault_of_label));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, purpose: Purpose) -> Result<WebhookPatch, Vec<String>> {
        match webhook(body.as_bytes(), purpose, &AllowList::default()) {
            Ok(patch) => Ok(patch),
            Err(Refusal::Faulty(faults)) => {
                let (faults, _) = faults.into_parts();
                Err(faults.into_iter().map(|fault| fault.pointer).collect())
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    const RETURNED: WantedEvents = WantedEvents {
        confirmed: false,
        returned: true,
        failed: false,
    };

    #[test]
    fn every_field_is_read() {
        let body = r#"{"url":"https://h.example/a?b","events":["message.returned"],
            "filter":{"exchange":"amq.default","group":"g"},"enabled":false}"#;
        let expected = WebhookPatch {
            url: Some("https://h.example/a?b".into()),
            events: Some(RETURNED),
            exchange: Some(Some("".into())),
            group: Some(Some("g".into())),
            enabled: Some(false),
        };
        for purpose in [Purpose::Make, Purpose::Change] {
            assert_eq!(read(body, purpose).as_ref(), Ok(&expected));
        }
        assert_eq!(read("{}", Purpose::Change), Ok(WebhookPatch::default()));
    }

    #[test]
    fn null_goes_back_to_what_holds_when_nothing_is_said() {
        let all = WebhookPatch {
            events: Some(WantedEvents::ALL),
            exchange: Some(None),
            group: Some(None),
            ..WebhookPatch::default()
        };
        let change = |body| read(body, Purpose::Change);
        assert_eq!(change(r#"{"events":null,"filter":null}"#), Ok(all));
        let group = WebhookPatch {
            group: Some(None),
            ..WebhookPatch::default()
        };
        assert_eq!(change(r#"{"filter":{"group":null}}"#), Ok(group));
        assert_eq!(change(r#"{"filter":{}}"#), Ok(WebhookPatch::default()));
        let both = r#"{"url":null,"enabled":null}"#;
        assert_eq!(change(both), Err(vec!["/url".into(), "/enabled".into()]));
        let made = r#"{"url":"http://h.example","events":null,"filter":null,"enabled":null}"#;
        assert!(read(made, Purpose::Make).is_ok_and(|made| made.enabled.is_none()));
    }

    #[test]
    fn every_fault_is_told() {
        for (body, expected) in [
            ("{}", &["/url"][..]),
            (r#"{"url":null}"#, &["/url"]),
            (r#"{"url":1,"enabled":"true"}"#, &["/url", "/enabled"]),
            (
                r#"{"url":"http://127.1/","events":"message.failed","filter":[],"secret":"x","id":1}"#,
                &["/secret", "/id", "/url", "/events", "/filter"],
            ),
            (
                r#"{"url":"http://h.example","events":[],"filter":{"exchange":1,"group":"","queue":"q"}}"#,
                &[
                    "/events",
                    "/filter/queue",
                    "/filter/exchange",
                    "/filter/group",
                ],
            ),
            (
                r#"{"url":"http://h.example","events":["message.failed","message.pending",null,1,"message.failed"]}"#,
                &["/events/1", "/events/2", "/events/3", "/events/4"],
            ),
        ] {
            let expected = expected.iter().map(|&at| at.to_owned()).collect();
            assert_eq!(read(body, Purpose::Make), Err(expected), "{body}");
        }
    }

    #[test]
    fn names_in_the_filter_have_255_bytes_at_most() {
        for (length, is_good) in [(255, true), (256, false)] {
            let name = "x".repeat(length);
            let body = format!(r#"{{"filter":{{"exchange":"{name}","group":"{name}"}}}}"#);
            assert_eq!(read(&body, Purpose::Change).is_ok(), is_good, "{length}");
        }
    }
}
