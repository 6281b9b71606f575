//! The report as a table for people.

use std::fmt::Write as _;

use super::case::{Case, Way};
use super::measured::{Latency, Report};
use super::{management, peers, reference};

/// All rows, then what the gateway comes to beside the bare publishers.
pub fn of(report: &Report) -> String {
    let mut text = format!(
        "\nmedians of {} rounds (least to most); us: microseconds of CPU for each message\n",
        report.rounds
    );
    let mut case = None;
    for row in &report.rows {
        if row.case != case {
            case = row.case;
            let _ = writeln!(
                text,
                "\n{}",
                case.map_or_else(|| "HTTP alone".to_owned(), |case| case.to_string())
            );
            let _ = writeln!(
                text,
                "{:40} {:>8} {:>17} {:>7} {:>7} {:>7} {:>5} {:>22} {:>5}",
                "", "each s", "", "us", "broker", "load", "core", "accept p50/p99/p99.9", "MiB"
            );
        }
        let _ = writeln!(
            text,
            "{:40} {:8.0} {:>17} {:7.1} {:7.1} {:7.1} {:4.0}% {:>22} {:5.0}",
            row.way,
            row.per_second.median,
            format!("({:.0} to {:.0})", row.per_second.min, row.per_second.max),
            row.publisher_us.median,
            row.broker_us.median,
            row.load_us.median,
            row.load_share.median * 100.0,
            if row.accepted.max_ms > 0.0 {
                latency(&row.accepted)
            } else {
                String::new()
            },
            row.resident_mib
        );
    }
    text.push_str(&paced(report));
    if let Some(mib) = report.resident_mib_100k_pending {
        let _ = writeln!(
            text,
            "\n{mib:.0} MiB resident with 100 000 pending messages of 256 bytes"
        );
    }
    text.push('\n');
    ratios(report, &mut text);
    beside(report, &mut text);
    text
}

/// The runs at fixed rates, a line each.
pub fn paced(report: &Report) -> String {
    let mut text = String::new();
    for paced in &report.paced {
        let _ = writeln!(
            text,
            "\n{}/s for {:.0} s, in ms, p50/p99/p99.9: accepted {}, settled {}; {:.1} us",
            paced.per_second,
            paced.seconds,
            latency(&paced.accepted),
            latency(&paced.settled),
            paced.gateway_us
        );
    }
    text
}

fn latency(latency: &Latency) -> String {
    format!(
        "{:.1}/{:.1}/{:.1}",
        latency.p50_ms, latency.p99_ms, latency.p999_ms
    )
}

/// Rates beside the bare publishers, and CPU beside lapin's, case by case.
fn ratios(report: &Report, text: &mut String) {
    let mut cases: Vec<Case> = Vec::new();
    for case in report.rows.iter().filter_map(|row| row.case) {
        if !cases.contains(&case) {
            cases.push(case);
        }
    }
    for case in cases {
        let find = |way: Way| report.row(way.name(), case);
        let (Some(socket), Some(lapin)) = (find(Way::Socket), find(Way::Lapin)) else {
            continue;
        };
        for way in Way::ALL {
            let Some(row) = find(way).filter(|_| way.is_gateway()) else {
                continue;
            };
            let _ = writeln!(
                text,
                "{case}: {}: {:.2} x lapin, {:.2} x the socket, {:.2} x lapin's CPU",
                row.way,
                row.per_second.median / lapin.per_second.median,
                row.per_second.median / socket.per_second.median,
                row.publisher_us.median / lapin.publisher_us.median
            );
        }
    }
}

/// Single posts beside a handler that does nothing else, and those that wait beside other gateways.
fn beside(report: &Report, text: &mut String) {
    let find = |name: &str| report.rows.iter().find(|row| row.way == name);
    let of = |way: Way| report.row(way.name(), Case::SMALL);
    if let (Some(single), Some(handler)) = (of(Way::Single), find(reference::NAME)) {
        let _ = writeln!(
            text,
            "{}: {}: {:.2} x the CPU of a handler that reads and answers",
            Case::SMALL,
            single.way,
            single.publisher_us.median / handler.publisher_us.median
        );
    }
    for name in peers::NAMES.into_iter().chain([management::NAME]) {
        if let (Some(waiting), Some(peer)) = (of(Way::Waiting), find(name)) {
            let _ = writeln!(
                text,
                "{}: {}: {:.2} x {name}",
                Case::SMALL,
                waiting.way,
                waiting.per_second.median / peer.per_second.median
            );
        }
    }
}
