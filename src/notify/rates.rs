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

/// Whose messages: a caller's or everybody's.
pub type Scope = Option<Caller>;

type Samples = VecDeque<(Instant, Tally)>;

/// The samples of everybody who can ask.
#[derive(Default)]
pub struct Rates(Mutex<FxHashMap<Scope, Samples>>);

impl Rates {
    /// The rates of `scope` up to now, when its counts are `tally`.
    #[must_use]
    pub fn per_second(&self, scope: Option<&Caller>, now: Instant, tally: Tally) -> PerSecond {
        let samples = self.0.lock();
        let oldest = samples.get(&scope.cloned()).and_then(|samples| {
            let within = |(at, _): &&(Instant, Tally)| now.saturating_duration_since(*at) <= WINDOW;
            samples.iter().find(within).copied()
        });
        match oldest {
            Some((at, before)) => between(before, tally, now.saturating_duration_since(at)),
            None => PerSecond::default(),
        }
    }

    fn add(&self, scope: &Scope, now: Instant, tally: Tally) {
        let mut samples = self.0.lock();
        let samples = samples.entry(scope.clone()).or_default();
        while samples
            .front()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > WINDOW)
        {
            samples.pop_front();
        }
        samples.push_back((now, tally));
    }

    /// Samples `store` until `stop` turns true, for all that `scopes` names at that time.
    pub async fn sample(
        self: Arc<Self>,
        scopes: impl Fn() -> Vec<Scope>,
        store: Arc<dyn ReadStore>,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            let (rates, store, scopes) = (Arc::clone(&self), Arc::clone(&store), scopes());
            // A store that does not answer is noticed elsewhere; there is no sample then.
            let sample = move || rates.sample_once(&scopes, &*store);
            let _ = tokio::task::spawn_blocking(sample).await;
            tokio::select! {
                () = tokio::time::sleep(SAMPLE_EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Who is not among `scopes` cannot ask any more.
    fn sample_once(&self, scopes: &[Scope], store: &dyn ReadStore) {
        self.0.lock().retain(|scope, _| scopes.contains(scope));
        for scope in scopes {
            if let Ok(tally) = store.tally(scope.as_ref()) {
                self.add(scope, clock::monotonic(), tally);
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

    const ALL: Scope = None;

    #[test]
    fn a_rate_is_over_what_is_known_of_the_last_minute() {
        let rates = Rates::default();
        let start = clock::monotonic();
        let at = |seconds| start + Duration::from_secs(seconds);
        let rate = |seconds, tally| {
            let rate = rates.per_second(None, at(seconds), tally);
            (rate.seconds, rate.accepted, rate.confirmed, rate.returned)
        };
        assert_eq!(rate(0, tally(9, 9)), (0.0, 0.0, 0.0, 0.0));
        rates.add(&ALL, at(0), tally(0, 0));
        assert_eq!(rate(0, tally(9, 9)), (0.0, 0.0, 0.0, 0.0));
        assert_eq!(rate(10, tally(5, 20)), (10.0, 2.5, 2.0, 0.0));
        rates.add(&ALL, at(30), tally(0, 300));
        assert_eq!(rate(60, tally(0, 600)), (60.0, 10.0, 10.0, 0.0));
        // The first sample is too old by now.
        assert_eq!(rate(61, tally(0, 331)), (31.0, 1.0, 1.0, 0.0));
        assert_eq!(rate(1000, tally(0, 331)), (0.0, 0.0, 0.0, 0.0));
    }

    #[test]
    fn samples_are_bounded_and_replays_are_no_negative_rates() {
        let rates = Rates::default();
        let start = clock::monotonic();
        for seconds in 0..1000 {
            rates.add(&ALL, start + Duration::from_secs(seconds), tally(0, 9));
        }
        assert_eq!(rates.0.lock()[&ALL].len(), 61);
        let now = start + Duration::from_secs(1000);
        let rate = rates.per_second(None, now, tally(9, 0));
        assert_eq!((rate.accepted, rate.confirmed), (0.0, 0.0));
    }

    #[test]
    fn who_can_ask_is_sampled_and_who_no_longer_can_is_forgotten() {
        let store = crate::store::memory::MemoryStore::new(crate::store::memory::HistoryBudget {
            keys_kept: Duration::ZERO,
            messages_max: 1,
            bytes_max: 1,
        });
        let rates = Rates::default();
        let a = Caller::named("a").expect("a name");
        let seconds = |scope| {
            let later = clock::monotonic() + Duration::from_secs(9);
            rates.per_second(scope, later, tally(9, 9)).seconds
        };
        rates.sample_once(&[Some(a.clone())], &store);
        assert!(seconds(Some(&a)) >= 9.0);
        assert!(seconds(None) < 1.0);
        rates.sample_once(&[None], &store);
        assert!(seconds(Some(&a)) < 1.0 && seconds(None) >= 9.0);
    }
}
