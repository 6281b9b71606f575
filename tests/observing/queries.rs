//! What the dashboard and the alerts ask for is what a gateway tells.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::promql::{self, Matcher, Selector};
use super::scrape::{Sample, Scrape};
use super::support::gateway::Gateway;

/// What Prometheus adds by itself.
const OF_THE_TARGET: [&str; 2] = ["job", "instance"];

fn deployed(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The queries of the alerts, by the alerts' names.
fn alerts() -> Vec<(String, String)> {
    let text = deployed("prometheus/alerts.yaml");
    let mut found = Vec::new();
    let mut name = None;
    for line in text.lines().map(str::trim) {
        if let Some(alert) = line.strip_prefix("- alert: ") {
            name = Some(alert.to_owned());
        } else if let Some(query) = line.strip_prefix("expr: ") {
            found.push((name.take().expect("an alert has a name"), query.to_owned()));
        }
    }
    assert!(found.len() > 10, "{found:?}");
    found
}

/// The queries of the dashboard, by the panels' titles.
fn dashboard() -> Vec<(String, String)> {
    let text = deployed("grafana/dashboards/amqpost.json");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            found.push((text(&panel["title"]), text(&target["expr"])));
        }
    }
    for variable in dashboard["templating"]["list"]
        .as_array()
        .expect("variables")
    {
        if let Some(query) = variable["query"]["query"].as_str() {
            found.push((format!("variable {}", variable["name"]), query.to_owned()));
        }
    }
    assert!(found.len() > 40, "{found:?}");
    found
}

/// What is wrong with a query, if anything is.
fn fault(query: &str, scrape: &Scrape) -> Option<String> {
    let named = promql::named(query);
    let mut labels: BTreeSet<&str> = OF_THE_TARGET.into();
    for selector in &named.selectors {
        if selector.metric == "up" {
            continue;
        }
        // A query of Grafana's own, which names a metric and a label.
        if query.starts_with("label_values(") && OF_THE_TARGET.contains(&&*selector.metric) {
            continue;
        }
        let series = scrape.all(&selector.metric);
        if series.is_empty() {
            return Some(format!("there is no {}", selector.metric));
        }
        labels.extend(
            series
                .iter()
                .flat_map(|one| one.labels.keys().map(String::as_str)),
        );
        if let Some(matcher) = unmatched(selector, &series) {
            return Some(format!("nothing of {} is {matcher:?}", selector.metric));
        }
    }
    if named.selectors.is_empty() {
        return Some("it asks for nothing".to_owned());
    }
    let unknown = named
        .labels
        .iter()
        .find(|label| !labels.contains(&***label));
    unknown.map(|label| format!("no series has the label {label}"))
}

/// A condition that names a label or a value that no series has.
fn unmatched<'s>(selector: &'s Selector, series: &[&Sample]) -> Option<&'s Matcher> {
    let has = |label: &str, value: &str| {
        let value = Some(value);
        series
            .iter()
            .any(|one| one.labels.get(label).map(String::as_str) == value)
    };
    selector.matchers.iter().find(|matcher| {
        let Matcher { label, value, .. } = matcher;
        !OF_THE_TARGET.contains(&&**label) && !value.split('|').all(|value| has(label, value))
    })
}

#[tokio::test]
async fn every_query_of_the_alerts_and_the_dashboard_finds_what_it_names() {
    // Nothing has happened yet, and no broker is there: all of it must be told from the start.
    let nowhere = ("AMQPOST_BROKER_URL", "amqp://127.0.0.1:1");
    let gateway = Gateway::start([nowhere]).await;
    let scrape = Scrape::of(&gateway).await;
    let queries = alerts().into_iter().chain(dashboard());
    let faults: Vec<_> = queries
        .filter_map(|(name, query)| Some(format!("{name}: {}: {query}", fault(&query, &scrape)?)))
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));

    for (query, why) in [
        (
            "rate(amqpost_nothing_total[5m])",
            "a metric that is not there",
        ),
        (
            "amqpost_settled_messages_total{state=\"failed\"}",
            "a label that is not there",
        ),
        (
            "amqpost_settled_messages_total{status=\"fialed\"}",
            "a value that is not there",
        ),
        (
            "amqpost_settled_messages_total{status!=\"fialed\"}",
            "a value that is not there",
        ),
        (
            "amqpost_http_problems_total{code=~\"store_full|store_fill\"}",
            "one of two values",
        ),
        (
            "sum by (lain) (amqpost_lane_up)",
            "a grouping by what is not there",
        ),
        ("1 > 0", "nothing at all"),
    ] {
        assert!(fault(query, &scrape).is_some(), "{why} is found: {query}");
    }
}

#[test]
fn every_alert_is_explained_to_operators() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md"));
    let text = text.expect("docs/operations.md");
    let explained: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    let alerts = alerts();
    let missing: Vec<_> = alerts
        .iter()
        .filter(|(name, _)| !explained.contains(&**name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let known: BTreeSet<_> = alerts.iter().map(|(name, _)| &**name).collect();
    let stale: Vec<_> = explained
        .iter()
        .filter(|name| name.starts_with("Amqpost"))
        .collect();
    assert!(stale.iter().all(|name| known.contains(**name)), "{stale:?}");
}
