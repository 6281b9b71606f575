//! `{"status":…,…}`: which messages are to be sent again.

use super::faults::Faults;
use super::fields::{self, present};
use super::{Refusal, exchange, json, time};
use crate::domain::{Caller, Status, WallTime};
use crate::http::filter;
use crate::store::Filter;

/// The names, which the document of the API is compared with.
pub(crate) const FIELDS: [&str; 7] = [
    "status",
    "reason",
    "exchange",
    "routing_key",
    "group",
    "since",
    "until",
];

/// Which messages `body` speaks of, of `caller`'s or of everybody's.
pub(crate) fn replay_filter(body: &[u8], caller: Option<Caller>) -> Result<Filter, Refusal> {
    let raw = json::object(body).map_err(Refusal::Malformed)?;
    let mut faults = Faults::default();
    let values = fields::read(raw, "", &FIELDS, &mut faults).map(present);
    let [status, reason, exchange, routing_key, group, since, until] = values;
    let given = values.iter().skip(1).any(Option::is_some);
    let status = self::status(&mut faults, status);
    let reason = fields::text(&mut faults, "/reason", reason).and_then(|word| {
        let reason = filter::reason(&word);
        if reason.is_none() {
            faults.push("/reason", "must be the code of a reason");
        }
        reason
    });
    let filter = Filter {
        caller,
        status,
        reason,
        exchange: fields::text(&mut faults, "/exchange", exchange)
            .map(|name| self::exchange(String::from(name))),
        routing_key: fields::text(&mut faults, "/routing_key", routing_key),
        since: moment(&mut faults, "/since", since),
        until: moment(&mut faults, "/until", until),
        group: fields::text(&mut faults, "/group", group),
        settled_to: None,
    };
    if !given {
        let others = FIELDS[1..].join(", ");
        faults.push("", format!("must hold at least one of {others}"));
    }
    if faults.is_empty() {
        Ok(filter)
    } else {
        Err(Refusal::Faulty(faults))
    }
}

fn status(faults: &mut Faults, raw: Option<&str>) -> Option<Status> {
    const AT: &str = "/status";
    if raw.is_none() {
        faults.push(AT, "is required");
    }
    let word = fields::text(faults, AT, raw)?;
    let status = filter::status(&word);
    let status = status.filter(|status| matches!(status, Status::Returned | Status::Failed));
    if status.is_none() {
        faults.push(AT, "must be returned or failed");
    }
    status
}

fn moment(faults: &mut Faults, at: &str, raw: Option<&str>) -> Option<WallTime> {
    let text = fields::text(faults, at, raw)?;
    let moment = time::time(&text);
    if moment.is_none() {
        faults.push(at, format!("must be {}", time::EXPECTED));
    }
    moment
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ReasonCode;
    use crate::http::parse::json::Malformed;

    fn read(body: &str) -> Result<Filter, Vec<String>> {
        match replay_filter(body.as_bytes(), Some(Caller::default())) {
            Ok(filter) => Ok(filter),
            Err(Refusal::Faulty(faults)) => {
                let (faults, _) = faults.into_parts();
                Err(faults.into_iter().map(|fault| fault.pointer).collect())
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_filter_is_read() {
        let body = r#"{"status":"failed","reason":"exchange_not_found","exchange":"amq.default",
            "routing_key":"k","group":"g","since":"2026-11-22T10:00:00Z","until":null}"#;
        let expected = Filter {
            caller: Some(Caller::default()),
            status: Some(Status::Failed),
            reason: Some(ReasonCode::ExchangeNotFound),
            exchange: Some("".into()),
            routing_key: Some("k".into()),
            since: Some(WallTime::from_unix_ms(1_795_341_600_000)),
            until: None,
            group: Some("g".into()),
            settled_to: None,
        };
        assert_eq!(read(body), Ok(expected));
    }

    #[test]
    fn a_status_that_can_be_replayed_and_one_more_filter_are_required() {
        for (body, expected) in [
            ("{}", &["/status", ""][..]),
            (r#"{"status":"returned"}"#, &[""]),
            (r#"{"status":"returned","group":null}"#, &[""]),
            (r#"{"group":"g"}"#, &["/status"]),
            (r#"{"status":"pending","group":"g"}"#, &["/status"]),
            (r#"{"status":"confirmed","group":"g"}"#, &["/status"]),
            (r#"{"status":1,"group":"g"}"#, &["/status"]),
        ] {
            let expected = expected.iter().map(|&at| at.to_owned()).collect();
            assert_eq!(read(body), Err(expected), "{body}");
        }
        assert!(read(r#"{"status":"returned","exchange":""}"#).is_ok());
    }

    #[test]
    fn every_fault_is_told() {
        let body = r#"{"status":"x","reason":"x","exchange":1,"routing_key":{},"group":[],
            "since":"x","until":1,"idempotency_key":"k"}"#;
        let expected = [
            "/idempotency_key",
            "/status",
            "/reason",
            "/exchange",
            "/routing_key",
            "/since",
            "/until",
            "/group",
        ];
        assert_eq!(read(body), Err(expected.map(str::to_owned).to_vec()));
        let Err(Refusal::Malformed(Malformed(_))) = replay_filter(b"[]", Some(Caller::default()))
        else {
            panic!("an array is taken");
        };
    }
}
