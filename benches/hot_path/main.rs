//! What the way of a message costs, part by part: `cargo bench`.
//!
//! Requests over a real connection with nothing behind them, commits of the journal, and a lane without a
//! socket. `cargo bench -- --count PART TURNS` runs a part so many times and nothing else, for
//! `scripts/instructions` to count under valgrind; `--list-parts` names them.

#![expect(clippy::print_stdout, reason = "a benchmark tells")]
#![expect(unreachable_pub, reason = "a benchmark is not a library")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark starts its own tasks"
)]

mod http;
mod journal;
mod lane;

use amqpost::domain::{Caller, Draft, HeaderValue, Properties, WallTime};
use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;

/// When everything happens.
const NOW: WallTime = WallTime::from_unix_ms(1_795_341_600_123);
const PAYLOAD: [u8; 256] = [b'x'; 256];

/// Something that handles messages over and over.
trait Hot {
    /// In one turn.
    fn messages(&self) -> usize;

    /// One turn.
    fn once(&mut self);
}

/// Makes a part.
type Make = fn() -> Box<dyn Hot>;

/// The parts by name.
const PARTS: &[(&str, Make)] = &[
    ("http_single", || {
        Box::new(single("Prefer: return=minimal\r\n"))
    }),
    ("http_single_whole_answer", || Box::new(single(""))),
    ("http_single_waiting", || {
        Box::new(single("Prefer: wait=30, return=minimal\r\n"))
    }),
    ("http_single_properties", || Box::new(with_properties())),
    ("http_raw", || Box::new(raw())),
    ("http_batch_100", || Box::new(batch(100))),
    ("journal_batch_1", || Box::new(journal::Journal::new(1))),
    ("journal_batch_100", || Box::new(journal::Journal::new(100))),
    ("lane_batch_100", || {
        Box::new(lane::Lane::new(100, Properties::default()))
    }),
    ("lane_properties", || {
        Box::new(lane::Lane::new(100, many_properties()))
    }),
];

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        ["--list-parts", ..] => {
            for (name, _) in PARTS {
                println!("{name}");
            }
        }
        ["--count", part, turns, ..] => {
            let (_, make) = (PARTS.iter().find(|(name, _)| name == part)).expect("a part's name");
            let turns: usize = turns.parse().expect("a number of turns");
            let mut hot = make();
            for _ in 0..turns {
                hot.once();
            }
            println!("{}", turns * hot.messages());
        }
        _ => divan::main(),
    }
}

/// Every part, with messages for items.
#[divan::bench(args = PARTS.iter().map(|(name, _)| *name))]
fn part(bencher: Bencher<'_, '_>, name: &str) {
    let (_, make) = (PARTS.iter().find(|(known, _)| *known == name)).expect("a part's name");
    let mut hot = make();
    for _ in 0..10 {
        hot.once();
    }
    bencher
        .counter(ItemsCount::new(hot.messages()))
        .bench_local(|| hot.once());
}

const JSON: &str = "Content-Type: application/json\r\n";

fn one() -> String {
    let payload = std::str::from_utf8(&PAYLOAD).expect("text");
    format!(r#"{{"exchange":"log.exchange","routing_key":"info.key","payload":"{payload}"}}"#)
}

fn single(prefer: &str) -> http::Http {
    http::Http::new("/v1/messages", &format!("{JSON}{prefer}"), &one(), 1)
}

fn with_properties() -> http::Http {
    let body = r#"{"exchange":"log.exchange","routing_key":"info.key","ordering_key":"customer-17",
        "payload":{"order":17,"lines":[{"sku":"a-1","count":2},{"sku":"b-2","count":1}],"note":"caf\u00e9"},
        "properties":{"content_type":"application/json","correlation_id":"0193a5c4","type":"order.created",
        "app_id":"shop","priority":5,"timestamp":1795341600,"headers":{"tenant":"t-1","retry":0,
        "ratio":0.5,"flags":[true,null],"trace":{"traceparent":"00-1-2-01"}}}}"#;
    http::Http::new("/v1/messages", JSON, body, 1)
}

fn raw() -> http::Http {
    let payload = std::str::from_utf8(&PAYLOAD).expect("text");
    let headers =
        "Content-Type: text/plain\r\nAmqp-Correlation-Id: 17\r\nPrefer: return=minimal\r\n";
    let line = "/v1/exchanges/log.exchange/messages?routing_key=info.key";
    http::Http::new(line, headers, payload, 1)
}

fn batch(count: usize) -> http::Http {
    let body = format!(r#"{{"messages":[{}]}}"#, vec![one(); count].join(","));
    http::Http::new("/v1/messages/batch", JSON, &body, count)
}

/// What most messages look like.
fn draft() -> Draft {
    Draft {
        caller: Caller::default(),
        exchange: "".into(),
        routing_key: "info.key".into(),
        mandatory: true,
        ordering_key: None,
        properties: Properties::default(),
        payload: Bytes::from_static(&PAYLOAD),
        terms: None,
    }
}

fn many_properties() -> Properties {
    let text = |text: &str| HeaderValue::Text(text.into());
    Properties {
        content_type: Some("application/json".into()),
        correlation_id: Some("0193a5c4".into()),
        kind: Some("order.created".into()),
        app_id: Some("shop".into()),
        priority: Some(5),
        timestamp: Some(1_795_341_600),
        headers: vec![
            ("tenant".into(), text("t-1")),
            ("retry".into(), HeaderValue::Int(0)),
            ("ratio".into(), HeaderValue::Double(0.5)),
            (
                "flags".into(),
                HeaderValue::Array(vec![HeaderValue::Bool(true), HeaderValue::Null]),
            ),
            (
                "trace".into(),
                HeaderValue::Table(vec![("traceparent".into(), text("00-1-2-01"))]),
            ),
        ],
        ..Properties::default()
    }
}
