//! How many messages go through, over the last minute.
//!
//! The store counts what ever came of messages. A sample of those counts every few seconds, of everybody
//! who can ask, is all that it takes: a rate is the difference to the oldest sample of the last minute.
//! Nothing is counted on the way of a message.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::watch;

use crate::clock;
use crate::domain::Caller;
use crate::store::{ReadStore, Tally};

/// The time between two samples.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// Older samples are dropped.
const WINDOW: Duration = Duration::from_mins(1);

/// Messages a second, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PerSecond {
    /// The seconds that were looked at.
    pub seconds: f64,
    /// Newly accepted.
    pub accepted: f64,
    /// Settled so.
    pub confirmed: f64,
    /// Settled so.
    pub returned: f64,
    /// Settled so.
    pub failed: f64,
}

/// The samples of everybody who can ask.
pub struct Rates(FxHashMap<Caller, Mutex<VecDeque<(Instant, Tally)>>>);

impl Rates {
    /// For these callers, without any sample.
    #[must_use]
    pub fn of(callers: impl IntoIterator<Item = Caller>) -> Self {
        Self(
            callers
                .into_iter()
                .map(|caller| (caller, Mutex::default()))
                .collect(),
        )
    }

    /// The rates of `caller` up to now, when its counts are `tally`.
    #[must_use]
    pub fn per_second(&self, caller: &Caller, now: Instant, tally: Tally) -> PerSecond {
        let samples = self.0.get(caller).map(Mutex::lock);
        let oldest = samples.as_ref().and_then(|samples| {
            let within = |(at, _): &&(Instant, Tally)| now.saturating_duration_since(*at) <= WINDOW;
            samples.iter().find(within).copied()
        });
        match oldest {
            Some((at, before)) => between(before, tally, now.saturating_duration_since(at)),
            None => PerSecond::default(),
        }
    }

    fn add(&self, caller: &Caller, now: Instant, tally: Tally) {
        let Some(samples) = self.0.get(caller) else {
            return;
        };
        let mut samples = samples.lock();
        while samples
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > WINDOW)
        {
            samples.pop_front();
        }
        samples.push_back((now, tally));
    }

    /// Samples `store` until `stop` turns true.
    pub async fn sample(
        self: Arc<Self>,
        store: Arc<dyn ReadStore>,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            let (rates, store) = (Arc::clone(&self), Arc::clone(&store));
            // A store that does not answer is noticed elsewhere; there is no sample then.
            let _ = tokio::task::spawn_blocking(move || rates.sample_once(&*store)).await;
            tokio::select! {
                () = tokio::time::sleep(SAMPLE_EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn sample_once(&self, store: &dyn ReadStore) {
        for caller in self.0.keys() {
            if let Ok(tally) = store.tally(Some(caller)) {
                self.add(caller, clock::monotonic(), tally);
            }
        }
    }
}

/// A replay takes a message back from a final status; such counts fall, and are told as no rate.
fn between(before: Tally, now: Tally, time: Duration) -> PerSecond {
    let seconds = time.as_secs_f64();
    if seconds <= 0.0 {
        return PerSecond::default();
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "far below 2^52 messages a minute"
    )]
    let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / seconds;
    PerSecond {
        seconds,
        accepted: rate(before.accepted(), now.accepted()),
        confirmed: rate(before.confirmed, now.confirmed),
        returned: rate(before.returned, now.returned),
        failed: rate(before.failed, now.failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(pending: u64, confirmed: u64) -> Tally {
        Tally {
            pending,
            confirmed,
            returned: 7,
            failed: 0,
        }
    }

    #[test]
    fn a_rate_is_over_what_is_known_of_the_last_minute() {
        let rates = Rates::of([Caller::default()]);
        let start = clock::monotonic();
        let at = |seconds| start + Duration::from_secs(seconds);
        let rate = |seconds, tally| {
            let rate = rates.per_second(&Caller::default(), at(seconds), tally);
            (rate.seconds, rate.accepted, rate.confirmed, rate.returned)
        };
        assert_eq!(rate(0, tally(9, 9)), (0.0, 0.0, 0.0, 0.0));
        rates.add(&Caller::default(), at(0), tally(0, 0));
        assert_eq!(rate(0, tally(9, 9)), (0.0, 0.0, 0.0, 0.0));
        assert_eq!(rate(10, tally(5, 20)), (10.0, 2.5, 2.0, 0.0));
        rates.add(&Caller::default(), at(30), tally(0, 300));
        assert_eq!(rate(60, tally(0, 600)), (60.0, 10.0, 10.0, 0.0));
        // The first sample is too old by now.
        assert_eq!(rate(61, tally(0, 331)), (31.0, 1.0, 1.0, 0.0));
        assert_eq!(rate(1000, tally(0, 331)), (0.0, 0.0, 0.0, 0.0));
    }

    #[test]
    fn samples_are_bounded_and_replays_are_no_negative_rates() {
        let rates = Rates::of([Caller::default()]);
        let start = clock::monotonic();
        for seconds in 0..1000 {
            rates.add(
                &Caller::default(),
                start + Duration::from_secs(seconds),
                tally(0, 9),
            );
        }
        assert_eq!(rates.0[&Caller::default()].lock().len(), 61);
        let now = start + Duration::from_secs(1000);
        let rate = rates.per_second(&Caller::default(), now, tally(9, 0));
        assert_eq!((rate.accepted, rate.confirmed), (0.0, 0.0));
    }

    #[test]
    fn who_is_not_known_has_no_rate() {
        let stranger = Caller::named("stranger").expect("a name");
        let rates = Rates::of([Caller::default()]);
        rates.add(&stranger, clock::monotonic(), tally(0, 0));
        let rate = rates.per_second(&stranger, clock::monotonic(), tally(9, 9));
        assert_eq!(rate, PerSecond::default());
    }
}
