//! The text of `/metrics`, read as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};

use super::support::gateway::{Answer, Gateway};

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Suffixes such as `_bucket` included.
    pub(crate) name: String,
    /// By name.
    pub(crate) labels: BTreeMap<String, String>,
    /// The value.
    pub(crate) value: f64,
}

impl Sample {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "nothing that is told is negative, or as large"
    )]
    fn whole(&self) -> u64 {
        assert!((0.0..1e15).contains(&self.value), "{self:?}");
        self.value as u64
    }
}

/// All that was told at once.
#[derive(Clone, Debug)]
pub(crate) struct Scrape(pub(crate) Vec<Sample>);

impl Scrape {
    /// Asks `gateway` on its ordinary listener.
    pub(crate) async fn of(gateway: &Gateway) -> Self {
        Self::read(&gateway.get_path("/metrics").await)
    }

    /// Reads an answer; every line must be one that Prometheus takes.
    pub(crate) fn read(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.text);
        let kind = answer.header("content-type");
        assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
        let mut families = BTreeSet::new();
        let mut samples = Vec::new();
        for line in answer.text.lines() {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                let name = family.split(' ').next().expect("a name").to_owned();
                assert!(families.insert(name), "told twice: {line}");
            } else if !line.starts_with("# HELP ") {
                samples.push(sample(line));
            }
        }
        Self(samples)
    }

    /// The one value of this name with these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let labels: BTreeMap<_, _> = labels
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        let mut found = self
            .0
            .iter()
            .filter(|one| one.name == name && one.labels == labels);
        let one = found
            .next()
            .unwrap_or_else(|| panic!("no {name} {labels:?}"));
        assert!(found.next().is_none(), "{name} {labels:?} twice");
        one.whole()
    }

    /// All values of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<&Sample> {
        self.0.iter().filter(|one| one.name == name).collect()
    }

    /// All values of this name together.
    pub(crate) fn sum(&self, name: &str) -> u64 {
        self.all(name).iter().map(|one| one.whole()).sum()
    }
}

/// `name{label="value",...} number`.
fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
    let value = if value == "+Inf" {
        f64::INFINITY
    } else {
        value
            .parse()
            .unwrap_or_else(|_| panic!("no number: {line}"))
    };
    let (name, labels) = match series.split_once('{') {
        None => (series, ""),
        Some((name, rest)) => (name, rest.strip_suffix('}').expect("labels end")),
    };
    let mut by_name = BTreeMap::new();
    let mut rest = labels;
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").expect("a label has a value");
        // No value of ours holds a quotation mark.
        let (value, after) = after.split_once('"').expect("a value ends");
        let before = by_name.insert(label.to_owned(), value.to_owned());
        assert_eq!(before, None, "twice in {line}");
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Sample {
        name: name.to_owned(),
        labels: by_name,
        value,
    }
}
