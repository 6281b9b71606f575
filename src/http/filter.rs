//! Which messages a list is about, from its query.

use crate::domain::{Caller, ReasonCode, Status, rules};
use crate::store::Filter;

use super::parse::{self, Faults};
use super::problem::Problem;
use super::query;

/// Messages of one page at most.
pub(super) const PAGE_MAX: usize = 1000;

/// Messages of one page unless the query says otherwise.
pub(super) const PAGE_DEFAULT: usize = 100;

/// The query parameters, which the document of the API is compared with.
pub(super) const PARAMETERS: [&str; 10] = [
    "status",
    "reason",
    "exchange",
    "routing_key",
    "since",
    "until",
    "limit",
    "cursor",
    "group",
    "idempotency_key",
];

/// The query of a list.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) filter: Filter,
    /// Only the message that was accepted with it.
    pub(super) idempotency_key: Option<Box<str>>,
    pub(super) limit: Option<usize>,
    pub(super) cursor: Option<String>,
}

/// What is asked for, of `caller`'s or of everybody's.
pub(super) fn read(query: Option<&str>, caller: Option<Caller>) -> Result<Asked, Problem> {
    let mut faults = Faults::default();
    let values = query::read(query, &PARAMETERS, &mut faults);
    let [
        status,
        reason,
        exchange,
        routing_key,
        since,
        until,
        limit,
        cursor,
        group,
        idempotency_key,
    ] = values.each_ref().map(Option::as_deref);
    if let Some(fault) = idempotency_key.and_then(rules::check_idempotency_key) {
        faults.push("", format!("the query parameter idempotency_key {fault}"));
    }
    let mut wrong = |name: &str, words: &str| {
        faults.push("", format!("the query parameter {name} must be {words}"));
    };
    let status = status.and_then(|word| {
        let status = self::status(word);
        if status.is_none() {
            wrong("status", "pending, confirmed, returned or failed");
        }
        status
    });
    let reason = reason.and_then(|word| {
        let code = self::reason(word);
        if code.is_none() {
            wrong("reason", "the code of a reason");
        }
        code
    });
    let mut time = |name: &str, text: Option<&str>| {
        let time = text.map(parse::time);
        if time == Some(None) {
            wrong(name, parse::TIME_EXPECTED);
        }
        time.flatten()
    };
    let (since, until) = (time("since", since), time("until", until));
    let limit = self::limit(limit, &mut faults);
    query::refuse(faults)?;
    Ok(Asked {
        filter: Filter {
            caller,
            status,
            reason,
            exchange: exchange.map(parse::exchange),
            routing_key: routing_key.map(Into::into),
            since,
            until,
            group: group.map(Into::into),
            settled_to: None,
        },
        idempotency_key: idempotency_key.map(Into::into),
        limit,
        cursor: cursor.map(Into::into),
    })
}

/// How many a page shall hold.
pub(super) fn limit(text: Option<&str>, faults: &mut Faults) -> Option<usize> {
    let text = text?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = text.parse().ok();
    let limit = limit.filter(|limit| digits && (1..=PAGE_MAX).contains(limit));
    if limit.is_none() {
        faults.push(
            "",
            "the query parameter limit must be a whole number from 1 to 1000",
        );
    }
    limit
}

/// The status that callers call `word`.
pub(super) fn status(word: &str) -> Option<Status> {
    [
        Status::Pending,
        Status::Confirmed,
        Status::Returned,
        Status::Failed,
    ]
    .into_iter()
    .find(|status| status.as_str() == word)
}

/// The reason that callers call `word`.
pub(super) fn reason(word: &str) -> Option<ReasonCode> {
    ReasonCode::ALL
        .into_iter()
        .find(|code| code.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::WallTime;
    use crate::http::problem::Code;

    fn asked(query: &str) -> Result<Asked, Problem> {
        read(Some(query), Some(Caller::default()))
    }

    #[test]
    fn every_filter_is_read() {
        let query = "status=returned&reason=no_route&exchange=amq.default&routing_key=a%20b&limit=1000\
                     &since=2026-11-22T10:00:00.1230001Z&until=2026-11-22T11%3A00%3A00%2B01:00&cursor=x\
                     &idempotency_key=k%20%c3%a4&group=g%2Fh";
        let asked = asked(query).expect("a query");
        let expected = Filter {
            caller: Some(Caller::default()),
            status: Some(Status::Returned),
            reason: Some(ReasonCode::NoRoute),
            exchange: Some("".into()),
            routing_key: Some("a b".into()),
            since: Some(WallTime::from_unix_ms(1_795_341_600_124)),
            until: Some(WallTime::from_unix_ms(1_795_341_600_000)),
            group: Some("g/h".into()),
            settled_to: None,
        };
        assert_eq!(asked.filter, expected);
        assert_eq!(asked.idempotency_key.as_deref(), Some("k ä"));
        assert_eq!(
            (asked.limit, asked.cursor.as_deref()),
            (Some(1000), Some("x"))
        );
        let nothing = read(None, None).expect("a query");
        assert_eq!((nothing.filter.status, nothing.limit), (None, None));
        assert_eq!(nothing.filter.caller, None);
    }

    #[test]
    fn every_faulty_parameter_is_told() {
        let problem =
            asked("status=done&reason=x&since=yesterday&until=&limit=0&idempotency_key=&offset=1")
                .expect_err("faults");
        assert_eq!(problem.code, Code::InvalidQuery);
        let told: Vec<_> = problem.errors.iter().map(|fault| &*fault.detail).collect();
        for name in PARAMETERS.iter().chain(&["offset"]) {
            let is_faulty = !["exchange", "routing_key", "cursor", "group"].contains(name);
            let is_told = told
                .iter()
                .any(|words| words.contains(&format!("parameter {name} ")));
            assert_eq!(is_told, is_faulty, "{name}: {told:?}");
        }
        for limit in ["1001", "-1", "+1", "1.0", "", "x"] {
            assert!(asked(&format!("limit={limit}")).is_err(), "{limit}");
        }
    }
}
