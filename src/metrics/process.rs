//! The process, in the names that all processes have, and which build it is.

use std::fs;

use super::{Families, Source};

/// Clock ticks of a second, in which Linux tells times of processes (`USER_HZ`), whatever its own clock.
const TICKS_A_SECOND: f64 = 100.0;

/// Tells of the process. What the system does not tell is left out.
pub struct OfProcess;

impl Source for OfProcess {
    fn tell(&self, told: &mut Families) {
        told.gauges(
            "amqpost_build_info",
            "1; which build it is.",
            [([("version", env!("CARGO_PKG_VERSION"))], 1)],
        );
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        if let Some(times) = Times::of(&stat) {
            told.counters_of_fractions(
                "process_cpu_seconds_total",
                "User and system time of the processor.",
                [([], times.cpu_seconds)],
            );
            if let Some(boot) = boot_time(&fs::read_to_string("/proc/stat").unwrap_or_default()) {
                told.gauges_of_fractions(
                    "process_start_time_seconds",
                    "When the process started, in seconds since 1970.",
                    [([], boot + times.started_seconds)],
                );
            }
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        for (name, help, line) in [
            (
                "process_resident_memory_bytes",
                "Memory that is resident.",
                "VmRSS:",
            ),
            (
                "process_virtual_memory_bytes",
                "Memory that is mapped.",
                "VmSize:",
            ),
        ] {
            if let Some(kib) = number_after(&status, line) {
                told.gauge(name, help, kib * 1024);
            }
        }
        if let Some(threads) = number_after(&status, "Threads:") {
            told.gauge("process_threads", "Threads of the process.", threads);
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            told.gauge(
                "process_open_fds",
                "Open file descriptors.",
                open.count() as u64,
            );
        }
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        if let Some(max) = number_after(&limits, "Max open files") {
            told.gauge(
                "process_max_fds",
                "How many file descriptors may be open.",
                max,
            );
        }
    }
}

/// What `/proc/self/stat` tells.
#[derive(Debug, PartialEq)]
struct Times {
    cpu_seconds: f64,
    /// After the system's start.
    started_seconds: f64,
}

impl Times {
    fn of(stat: &str) -> Option<Self> {
        // The name of the program may hold anything, and is the last thing in parentheses.
        let (_, after_name) = stat.rsplit_once(')')?;
        let fields: Vec<_> = after_name.split_ascii_whitespace().collect();
        // Numbered as in proc(5), where the state, the first one here, is the third.
        let seconds = |number: usize| {
            let ticks = fields.get(number - 3)?.parse::<f64>().ok()?;
            Some(ticks / TICKS_A_SECOND)
        };
        Some(Self {
            cpu_seconds: seconds(14)? + seconds(15)?,
            started_seconds: seconds(22)?,
        })
    }
}

/// When the system started, as `/proc/stat` tells it.
fn boot_time(stat: &str) -> Option<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

/// The first number of the line that begins so.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_whatever_the_program_is_called() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 9 0 12345 1 2";
        let expected = Times {
            cpu_seconds: 3.0,
            started_seconds: 123.45,
        };
        assert_eq!(Times::of(stat), Some(expected));
        assert_eq!(Times::of("7 (a) S 1"), None);
        assert_eq!(Times::of(""), None);
    }

    #[test]
    fn numbers_are_found_by_the_names_of_their_lines() {
        let text = "Name:\tx\nVmRSS:\t   512 kB\nMax open files            1024    4096    files\n";
        assert_eq!(number_after(text, "VmRSS:"), Some(512));
        assert_eq!(number_after(text, "Max open files"), Some(1024));
        assert_eq!(number_after(text, "VmSize:"), None);
        assert_eq!(
            number_after("Max open files unlimited", "Max open files"),
            None
        );
        assert_eq!(
            boot_time("cpu 1\nbtime 1700000000\n"),
            Some(1_700_000_000.0)
        );
    }
}
