//! The text form, on figures that are known.

use std::time::Duration;

use super::*;
use crate::measure::Durations;

struct Known(Durations);

impl Source for Known {
    fn tell(&self, told: &mut Families) {
        told.counters("a_total", "Some \"help\".", [([("kind", "x\"y")], 7)]);
        told.counters::<1>("nothing_total", "Nothing to tell.", []);
        told.gauges_of_fractions("b_seconds", "More.", [([], 0.25)]);
        told.durations("c_seconds", "Long.", &self.0);
    }
}

#[test]
fn families_are_written_as_prometheus_reads_them() {
    let durations = Durations::default();
    durations.observe(Duration::from_secs(20));
    let text = Metrics::default().text(&Known(durations));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[..5],
        [
            "# HELP a_total Some \"help\".",
            "# TYPE a_total counter",
            "a_total{kind=\"x\\\"y\"} 7",
            "# HELP b_seconds More.",
            "# TYPE b_seconds gauge",
        ]
    );
    for line in [
        "b_seconds 0.25",
        "c_seconds_bucket{le=\"0.0005\"} 0",
        "c_seconds_bucket{le=\"10\"} 0",
        "c_seconds_bucket{le=\"30\"} 1",
        "c_seconds_bucket{le=\"+Inf\"} 1",
        "c_seconds_sum 20",
        "c_seconds_count 1",
    ] {
        assert!(lines.contains(&line), "{line} in {text}");
    }
    assert!(!text.contains("nothing"), "{text}");
}

#[test]
fn a_process_tells_of_itself() {
    let text = Metrics::default().with(OfProcess).text(&OfNobody);
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.expect(name).trim().parse();
        value.expect("a number")
    };
    assert!(value("process_resident_memory_bytes ") > 1e5);
    assert!(value("process_open_fds ") >= 3.0);
    assert!(value("process_max_fds ") >= value("process_open_fds "));
    assert!(value("process_threads ") >= 1.0);
    let now = std::time::Duration::from_millis(crate::clock::wall().unix_ms()).as_secs_f64();
    let age = now - value("process_start_time_seconds ");
    assert!((-2.0..86_400.0).contains(&age), "{age}");
    assert!(value("process_cpu_seconds_total ") < 3_600.0);
    assert!(text.contains("amqpost_build_info{version=\""), "{text}");
}

struct OfNobody;

impl Source for OfNobody {
    fn tell(&self, _: &mut Families) {}
}
