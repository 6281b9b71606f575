//! Families of metrics, written once each.

use prometheus::TextEncoder;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use crate::measure::Durations;

/// Names and values of labels.
pub(super) type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// What is told at a moment.
#[derive(Default)]
pub struct Families(Vec<MetricFamily>);

impl Families {
    /// A number that only grows; its name ends with `_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.counters(name, help, [([], value)]);
    }

    /// The same by labels.
    pub fn counters<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'a, N>, u64)>,
    ) {
        let values = values.into_iter();
        let values = values.map(|(labels, value)| (labels, count(value)));
        self.counters_of_fractions(name, help, values);
    }

    /// The same of what is no whole number.
    pub fn counters_of_fractions<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'a, N>, f64)>,
    ) {
        let values = values.into_iter().map(|(labels, value)| {
            let mut metric = labelled(labels);
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
            metric
        });
        self.family(name, help, MetricType::COUNTER, values.collect());
    }

    /// A number that comes and goes.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.gauges(name, help, [([], value)]);
    }

    /// The same by labels.
    pub fn gauges<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'a, N>, u64)>,
    ) {
        let values = values.into_iter();
        let values = values.map(|(labels, value)| (labels, count(value)));
        self.gauges_of_fractions(name, help, values);
    }

    /// The same of what is no whole number.
    pub fn gauges_of_fractions<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'a, N>, f64)>,
    ) {
        let values = values.into_iter().map(|(labels, value)| {
            let mut metric = labelled(labels);
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
            metric
        });
        self.family(name, help, MetricType::GAUGE, values.collect());
    }

    /// A histogram of durations; its name ends with `_seconds`.
    pub fn durations(&mut self, name: &str, help: &str, durations: &Durations) {
        let seen = durations.seen();
        let buckets = seen.up_to.iter().map(|(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(*count);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(seen.count);
        histogram.set_sample_sum(seen.sum_seconds);
        let mut metric = labelled([]);
        metric.set_histogram(histogram);
        self.family(name, help, MetricType::HISTOGRAM, vec![metric]);
    }

    /// All of them in the text form.
    pub(super) fn text(&self) -> String {
        // Nothing is written that the encoder refuses: every family has a name and a metric.
        TextEncoder::new()
            .encode_to_string(&self.0)
            .unwrap_or_default()
    }

    fn family(&mut self, name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) {
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.0.push(family);
    }
}

fn labelled<const N: usize>(labels: Labels<'_, N>) -> Metric {
    let pair = |(name, value): (&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    Metric::from_label(labels.into_iter().map(pair).collect())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus knows no other numbers"
)]
fn count(value: u64) -> f64 {
    value as f64
}
