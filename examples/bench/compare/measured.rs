//! What was measured, round by round, and what is told of it.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::case::Case;
use crate::cpu;

/// Seconds of CPU that processes have used.
pub struct Cpu {
    publisher: f64,
    broker: f64,
    load: f64,
}

impl Cpu {
    /// Up to now; the load comes from this process.
    pub fn now(publisher: &str, broker: u32) -> Self {
        Self {
            publisher: cpu::seconds(publisher),
            broker: cpu::seconds(&broker.to_string()),
            load: cpu::seconds("self"),
        }
    }

    /// Between two moments.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            publisher: self.publisher - before.publisher,
            broker: self.broker - before.broker,
            load: self.load - before.load,
        }
    }

    /// Where the broker itself is the publisher.
    pub fn without_publisher(self) -> Self {
        Self {
            publisher: 0.0,
            ..self
        }
    }

    /// Microseconds of the publisher for each message.
    pub fn publisher_us(&self, messages: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 messages")]
        let count = messages as f64;
        self.publisher * 1e6 / count
    }
}

/// One round of one way.
pub struct Sample {
    pub per_second: f64,
    pub publisher_us: f64,
    broker_us: f64,
    /// Nothing where the publisher is this process itself.
    load_us: f64,
    load_share: f64,
    /// How long requests took to be answered, sorted.
    accepted: Vec<Duration>,
    resident_mib: f64,
}

impl Sample {
    pub fn new(
        messages: usize,
        seconds: f64,
        used: &Cpu,
        has_load: bool,
        mut accepted: Vec<Duration>,
        resident_mib: f64,
    ) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 messages")]
        let count = messages as f64;
        let load = if has_load { used.load } else { 0.0 };
        accepted.sort_unstable();
        Self {
            per_second: count / seconds,
            publisher_us: used.publisher_us(messages),
            broker_us: used.broker * 1e6 / count,
            load_us: load * 1e6 / count,
            load_share: load / seconds,
            accepted,
            resident_mib,
        }
    }
}

/// How much a measure of one build is of that of another, from rounds in turns.
pub struct Ratio {
    mean: f64,
    standard_error: f64,
}

impl Ratio {
    /// Of two rounds at least of one and of the other. The mean is the geometric one, so that it is the same the other
    /// way round.
    pub fn of(one: impl Iterator<Item = f64>, other: impl Iterator<Item = f64>) -> Self {
        let logs: Vec<_> = one.zip(other).map(|(a, b)| (a / b).ln()).collect();
        #[expect(clippy::cast_precision_loss, reason = "a few dozen rounds")]
        let count = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / count;
        let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
        Self {
            mean: mean.exp(),
            standard_error: mean.exp() * (squares / (count - 1.0) / count).sqrt(),
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} +- {:.3}", self.mean, self.standard_error)
    }
}

/// A median and the span of its rounds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        Self {
            median: at(values.len() / 2),
            min: at(0),
            max: at(values.len().saturating_sub(1)),
        }
    }
}

/// Percentiles of latencies, in milliseconds.
#[expect(clippy::struct_field_names, reason = "as they are told")]
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

impl Latency {
    pub fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let at = |permille: usize| {
            let index = took.len().saturating_sub(1) * permille / 1000;
            took.get(index).map_or(0.0, |took| took.as_secs_f64() * 1e3)
        };
        Self {
            p50_ms: at(500),
            p99_ms: at(990),
            p999_ms: at(999),
            max_ms: at(1000),
        }
    }
}

/// A row of the table.
#[derive(Debug, Serialize)]
pub struct Measured {
    pub way: String,
    #[serde(flatten)]
    pub case: Option<Case>,
    pub per_second: Spread,
    pub publisher_us: Spread,
    pub broker_us: Spread,
    pub load_us: Spread,
    /// Of one core.
    pub load_share: Spread,
    pub accepted: Latency,
    pub resident_mib: f64,
}

/// A run at a fixed rate.
#[derive(Debug, Serialize)]
pub struct Paced {
    pub per_second: u32,
    pub seconds: f64,
    pub accepted: Latency,
    /// Until the final status, as somebody sees it who waits.
    pub settled: Latency,
    pub gateway_us: f64,
}

/// Everything.
#[derive(Default, Serialize)]
pub struct Report {
    pub rounds: usize,
    pub rows: Vec<Measured>,
    pub paced: Vec<Paced>,
    /// Resident memory of a gateway with 100 000 pending messages of 256 bytes.
    pub resident_mib_100k_pending: Option<f64>,
    #[serde(skip)]
    samples: Vec<(String, Option<Case>, Vec<Sample>)>,
}

impl Report {
    pub fn new(rounds: usize) -> Self {
        Self {
            rounds,
            ..Self::default()
        }
    }

    /// Takes a round.
    pub fn add(&mut self, way: &str, case: impl Into<Option<Case>>, sample: Sample) {
        let case = case.into();
        let known = (self.samples.iter_mut()).find(|(name, of, _)| name == way && *of == case);
        match known {
            Some((.., samples)) => samples.push(sample),
            None => self.samples.push((way.to_owned(), case, vec![sample])),
        }
        self.rows = self.samples.iter().map(row).collect();
    }

    /// The row of a way.
    pub fn row(&self, way: &str, case: Case) -> Option<&Measured> {
        let of = |row: &&Measured| row.way == way && row.case == Some(case);
        self.rows.iter().find(of)
    }
}

fn row((way, case, samples): &(String, Option<Case>, Vec<Sample>)) -> Measured {
    let spread = |value: fn(&Sample) -> f64| Spread::of(samples.iter().map(value));
    let accepted = samples.iter().flat_map(|sample| sample.accepted.clone());
    let resident = samples.iter().map(|sample| sample.resident_mib);
    Measured {
        way: way.clone(),
        case: *case,
        per_second: spread(|sample| sample.per_second),
        publisher_us: spread(|sample| sample.publisher_us),
        broker_us: spread(|sample| sample.broker_us),
        load_us: spread(|sample| sample.load_us),
        load_share: spread(|sample| sample.load_share),
        accepted: Latency::of(accepted.collect()),
        resident_mib: resident.fold(0.0, f64::max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(one: &[f64], other: &[f64]) -> String {
        Ratio::of(one.iter().copied(), other.iter().copied()).to_string()
    }

    #[test]
    fn a_ratio_is_the_geometric_mean_of_its_rounds_with_their_standard_error() {
        assert_eq!(
            ratio(&[200.0, 44.0, 6.0], &[100.0, 22.0, 3.0]),
            "2.000 +- 0.000"
        );
        // ln 1 and ln 4 have the mean ln 2 and the standard deviation sqrt(2) ln 2.
        assert_eq!(ratio(&[5.0, 12.0], &[5.0, 3.0]), "2.000 +- 1.386");
        assert_eq!(ratio(&[5.0, 3.0], &[5.0, 12.0]), "0.500 +- 0.347");
    }

    #[test]
    fn a_spread_is_the_middle_round_the_least_and_the_most() {
        let spread = Spread::of([7.0, 1.0, 9.0, 2.0, 3.0].into_iter());
        let all = [spread.median, spread.min, spread.max];
        assert_eq!(all.map(f64::to_bits), [3.0, 1.0, 9.0].map(f64::to_bits));
    }

    #[test]
    fn latencies_are_those_that_so_many_were_within() {
        let took = (0..=1000).rev().map(Duration::from_millis).collect();
        let latency = Latency::of(took);
        let all = [
            latency.p50_ms,
            latency.p99_ms,
            latency.p999_ms,
            latency.max_ms,
        ];
        let expected = [500.0, 990.0, 999.0, 1000.0];
        assert_eq!(all.map(f64::to_bits), expected.map(f64::to_bits));
    }
}
