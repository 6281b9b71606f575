//! Who may know whom. The rooms of the crate are a table here, and the sources are held against it.

mod layering_scan;

use std::fs;
use std::path::{Path, PathBuf};

use layering_scan::{Found, scan};

/// A room, and which others it may name.
struct Room {
    name: &'static str,
    may_know: &'static [&'static str],
}

const fn room(name: &'static str, may_know: &'static [&'static str]) -> Room {
    Room { name, may_know }
}

/// `domain <- store, broker <- relay, notify <- http <- app <- main`, and the small rooms beside.
const ROOMS: &[Room] = &[
    room("domain", &[]),
    room("clock", &["domain"]),
    room("chance", &["domain"]),
    room("lifecycle", &["clock"]),
    room("measure", &[]),
    room("tls", &["domain"]),
    room("observe", &["domain", "tls"]),
    room("store", &["domain"]),
    room("broker", &["domain", "tls", "clock", "chance"]),
    room(
        "relay",
        &[
            "domain", "store", "broker", "measure", "observe", "clock", "chance",
        ],
    ),
    room("notify", &["domain", "store", "clock", "chance"]),
    room(
        "metrics",
        &["domain", "measure", "store", "relay", "notify", "clock"],
    ),
    room(
        "http",
        &[
            "domain", "store", "relay", "notify", "metrics", "observe", "clock", "chance",
        ],
    ),
    // Settings belong to the rooms that they set.
    room("config", &["domain", "http", "tls"]),
    room(
        "app",
        &[
            "domain",
            "store",
            "broker",
            "relay",
            "notify",
            "metrics",
            "http",
            "config",
            "lifecycle",
            "observe",
            "tls",
            "clock",
            "chance",
        ],
    ),
    room("check_config_command", &["config"]),
    room("healthcheck_command", &["config", "tls"]),
    room("keygen_command", &["domain", "chance"]),
    room("store_command", &["domain", "store", "config"]),
    room("topology_command", &["domain", "broker", "config"]),
    room(
        "main",
        &[
            "app",
            "config",
            "lifecycle",
            "http",
            "observe",
            "check_config_command",
            "healthcheck_command",
            "keygen_command",
            "store_command",
            "topology_command",
        ],
    ),
];

/// A name of the outside world, and the only places that may say it.
struct Outside {
    /// A crate, or a path below one.
    name: &'static str,
    /// Prefixes of paths below `src/`.
    only_in: &'static [&'static str],
}

const fn outside(name: &'static str, only_in: &'static [&'static str]) -> Outside {
    Outside { name, only_in }
}

const ONLY_IN: &[Outside] = &[
    outside("lapin", &["broker/rabbitmq"]),
    outside("amq_protocol", &["broker/rabbitmq"]),
    outside("amq_protocol_uri", &["broker/rabbitmq", "config"]),
    outside("axum", &["http", "app"]),
    outside(
        "hyper",
        &[
            "http",
            "app",
            "notify/webhooks",
            "observe",
            "healthcheck_command",
        ],
    ),
    outside("opentelemetry", &["observe"]),
    outside("opentelemetry_sdk", &["observe"]),
    outside("opentelemetry_otlp", &["observe"]),
    outside("tower", &["http", "app"]),
    outside("tower_http", &["http", "app"]),
    outside("rusqlite", &["store"]),
    outside("log_vfs", &["store"]),
    outside("prometheus", &["metrics"]),
    outside("x509_parser", &["tls"]),
    outside("SystemTime::now", &["clock.rs"]),
    outside("Instant::now", &["clock.rs"]),
    outside("rand", &["chance.rs"]),
];

/// What the pure room may not say at all.
const NOT_IN_DOMAIN: &[&str] = &[
    "tokio",
    "tracing",
    "std::time::SystemTime",
    "SystemTime",
    "std::net",
    "std::fs",
    "std::thread",
];

/// `src/` files are read from top to bottom in one sitting.
const FILE_LINES_MAX: usize = 400;

#[test]
fn every_room_knows_only_those_below_it() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        faults.extend(check(&path, &text));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_file_can_be_read_in_one_sitting() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .collect();
    assert!(long.is_empty(), "over {FILE_LINES_MAX} lines: {long:?}");
}

#[test]
fn the_table_only_names_rooms_that_it_describes() {
    for room in ROOMS {
        for known in room.may_know {
            let described = ROOMS.iter().position(|other| other.name == *known);
            let own = ROOMS.iter().position(|other| other.name == room.name);
            assert!(described < own, "{} is not below {}", known, room.name);
        }
    }
}

#[test]
fn a_forbidden_room_is_found_however_it_is_written() {
    for text in [
        "use crate::relay::Desk;",
        "use crate::{domain::Message, relay::Desk};",
        "use crate::{\n    domain::{Message, Reason},\n    relay::{self, Desk},\n};",
        "use super::relay;",
        "use super::{memory, super::relay};",
        "fn f() { crate::relay::f() }",
        "mod tests { use super::super::super::relay; }",
        "mod tests { use super::*; } use super::super::relay;",
        "use crate::*;",
        "use crate as all;",
        "use ::amqpost::relay::Desk;",
    ] {
        let faults = check("store/memory.rs", text);
        let faults_above = check("store/mod.rs", text);
        assert!(!faults.is_empty() || !faults_above.is_empty(), "{text}");
    }
}

#[test]
fn an_allowed_room_a_comment_and_a_string_are_no_faults() {
    for text in [
        "use crate::domain::Message;",
        "use super::{Lookup, Record};",
        "/// See [`crate::relay`].\n// crate::relay\n/* crate::relay /* crate::http */ */",
        "const A: &str = \"crate::relay \\\" crate::http\"; const B: &str = r#\"crate::relay\"\"#;",
        "fn relay<'a>(x: &'a str, c: char) -> bool { c == '\"' || c == '\\'' }",
        "pub(crate) fn relay() { self::relay() }",
        "use std::time::Duration;",
    ] {
        assert_eq!(check("store/memory.rs", text), Vec::<String>::new());
    }
}

#[test]
fn the_tests_within_a_file_may_use_all_of_it() {
    for path in ["store/memory.rs", "store/mod.rs", "clock.rs"] {
        let text = "fn f() { if g() { h() } } mod tests { use super::*; fn t() { super::f() } }";
        assert_eq!(check(path, text), Vec::<String>::new());
    }
}

#[test]
fn the_outside_world_is_only_named_where_it_belongs() {
    for (path, text, is_fault) in [
        ("relay/mod.rs", "use lapin::Channel;", true),
        ("broker/lane.rs", "use lapin::Channel;", true),
        ("broker/rabbitmq/probe.rs", "use lapin::Channel;", false),
        ("config.rs", "use amq_protocol_uri::AMQPUri;", false),
        ("config.rs", "use amq_protocol::uri::AMQPUri;", true),
        ("store/sqlite/mod.rs", "use rusqlite::Connection;", false),
        ("relay/mod.rs", "rusqlite::Connection::open(p)", true),
        ("notify/mod.rs", "use axum::Router;", true),
        ("app.rs", "use axum::Router;", false),
        ("domain/id.rs", "#[tokio::test] async fn f() {}", true),
        (
            "domain/id.rs",
            "use std::time::{Duration, SystemTime};",
            true,
        ),
        ("domain/id.rs", "use std::time::{Duration, Instant};", false),
        ("domain/retry.rs", "let now = Instant::now();", true),
        (
            "domain/retry.rs",
            "let now = std::time::Instant::now();",
            true,
        ),
        ("relay/mod.rs", "let jitter: f64 = rand::random();", true),
        ("chance.rs", "use rand::Rng as _;", false),
        ("unheard_of/mod.rs", "", true),
    ] {
        let faults = check(path, text);
        assert_eq!(!faults.is_empty(), is_fault, "{path}: {text}: {faults:?}");
    }
}

/// All files below `src/` with their paths from there.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut directories: Vec<PathBuf> = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("src/ can be read") {
            let path = entry.expect("src/ can be read").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are UTF-8");
                let below = path.strip_prefix(&root).expect("it is below src/");
                found.push((below.display().to_string(), text));
            }
        }
    }
    assert!(!found.is_empty(), "there are sources");
    found.sort();
    found
}

/// What is wrong with one file; `path` is from `src/`.
fn check(path: &str, text: &str) -> Vec<String> {
    let own = room_of(path);
    if own == "lib" {
        return Vec::new();
    }
    let Some(room) = ROOMS.iter().find(|room| room.name == own) else {
        return vec![format!("{path}: {own} has no place in the table of rooms")];
    };
    let mut faults = Vec::new();
    for Found { line, path: named } in scan(text, &module_of(path)) {
        if let Some(below) = named.strip_prefix("crate::") {
            let other = below.split("::").next().unwrap_or(below);
            let known = other == own || room.may_know.contains(&other);
            let is_room = other == "*" || ROOMS.iter().any(|room| room.name == other);
            if is_room && !known {
                faults.push(format!("{path}:{line}: {own} may not know {named}"));
            }
            continue;
        }
        for outside in ONLY_IN {
            let allowed = outside
                .only_in
                .iter()
                .any(|prefix| path.starts_with(prefix) && is_whole(path, prefix));
            if names(&named, outside.name) && !allowed {
                let places = outside.only_in.join(", ");
                faults.push(format!("{path}:{line}: {named} belongs to {places}"));
            }
        }
        if own == "domain" && NOT_IN_DOMAIN.iter().any(|name| names(&named, name)) {
            faults.push(format!("{path}:{line}: domain is pure, {named} is not"));
        }
    }
    faults
}

/// Whether `prefix` ends where a part of `path` does.
fn is_whole(path: &str, prefix: &str) -> bool {
    matches!(path[prefix.len()..].chars().next(), None | Some('/' | '.'))
}

/// Whether a path in the code starts with `name`, or, for a name with `::`, contains it.
fn names(path: &str, name: &str) -> bool {
    let whole = format!("{path}::");
    whole.starts_with(&format!("{name}::"))
        || (name.contains("::") && format!("::{whole}").contains(&format!("::{name}::")))
}

fn room_of(path: &str) -> &str {
    let first = path.split('/').next().unwrap_or(path);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// The module of a file, as parts below the crate.
fn module_of(path: &str) -> Vec<String> {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    path.split('/').map(str::to_owned).collect()
}
