//! Declares the configured topology before anything is published.
//!
//! Lanes connect at once, so that what is told of the broker is true, but they are given nothing to
//! publish before all of the file was declared or some of it was refused. While the broker is away
//! this waits, as everything does. What was refused is tried again now and then, so that an operator's
//! mending is noticed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::broker::rabbitmq::{Declarer, LinkError};
use crate::broker::{Feed, Handover, LaneEvent, Room};
use crate::chance;
use crate::domain::Topology;
use crate::domain::topology::{Entry, Problem, State, Status};

/// The first pause between two tries to reach the broker; then they grow.
const AWAY_PAUSE_MIN: Duration = Duration::from_millis(100);
/// No pause is longer while the broker is away: the lanes are as patient.
const AWAY_PAUSE_MAX: Duration = Duration::from_secs(5);
/// The pause after the broker refused the login, so that it is not hammered.
const LOGIN_PAUSE: Duration = Duration::from_secs(10);
/// The first pause before what was refused is tried again; then they grow.
const REFUSED_PAUSE_MIN: Duration = Duration::from_secs(5);
/// No pause is longer: each try is a line of the broker's log.
const REFUSED_PAUSE_MAX: Duration = Duration::from_mins(1);

/// Holds back what lanes would publish, until it is opened once.
#[derive(Clone, Default)]
pub(super) struct Gate {
    open: Arc<AtomicBool>,
    calls: Arc<Mutex<Vec<Arc<Notify>>>>,
}

impl Gate {
    /// A gate that is open from the start.
    pub(super) fn opened() -> Self {
        let gate = Self::default();
        gate.open();
        gate
    }

    /// `feed`, which gives nothing before this gate is open.
    pub(super) fn before<F: Feed>(&self, feed: F) -> Gated<F> {
        self.calls.lock().push(feed.call());
        Gated {
            open: Arc::clone(&self.open),
            feed,
        }
    }

    fn open(&self) {
        self.open.store(true, Ordering::Release);
        for call in self.calls.lock().drain(..) {
            call.notify_one();
        }
    }
}

/// A feed behind a gate.
pub(super) struct Gated<F> {
    open: Arc<AtomicBool>,
    feed: F,
}

impl<F: Feed> Feed for Gated<F> {
    fn pull(&mut self, now: Instant, room: Room, into: &mut Vec<Handover>) {
        if self.open.load(Ordering::Acquire) {
            self.feed.pull(now, room, into);
        }
    }

    fn report(&mut self, now: Instant, events: &mut Vec<LaneEvent>) {
        self.feed.report(now, events);
    }

    fn deadline(&self) -> Option<Instant> {
        // Before the gate there is nothing to pull at any time.
        let open = self.open.load(Ordering::Acquire);
        open.then(|| self.feed.deadline()).flatten()
    }

    fn is_stalled(&mut self, now: Instant, slow_until: Instant) -> bool {
        self.feed.is_stalled(now, slow_until)
    }

    fn stall_check(&self) -> Option<Instant> {
        self.feed.stall_check()
    }

    fn call(&self) -> Arc<Notify> {
        self.feed.call()
    }

    fn wanted(&self) -> bool {
        self.feed.wanted()
    }
}

/// What is to be declared, and who is told.
pub(super) struct Declaring {
    declarer: Declarer,
    entries: Vec<Entry>,
    gate: Gate,
    told: watch::Sender<Status>,
}

impl Declaring {
    /// Declares `topology`, and opens `gate` once it is settled what is there.
    pub(super) fn new(declarer: Declarer, topology: Topology, gate: Gate) -> Self {
        for note in &topology.notes {
            tracing::warn!("topology: {note}");
        }
        let told = watch::Sender::new(Status {
            state: State::Waiting,
            counts: topology.counts(),
            waiting_for: Some("the broker is being asked"),
            problems: Vec::new(),
        });
        Self {
            declarer,
            entries: topology.entries,
            gate,
            told,
        }
    }

    /// What is told.
    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.told.subscribe()
    }

    /// Works until `stop` turns true.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let (mut away, mut refused) = (AWAY_PAUSE_MIN, REFUSED_PAUSE_MIN);
        let mut last_told = String::new();
        while !self.entries.is_empty() {
            let declared = tokio::select! {
                declared = self.declarer.declare(&self.entries) => declared,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            let pause = match declared {
                Ok(answers) => {
                    self.settle(answers);
                    away = AWAY_PAUSE_MIN;
                    grown(&mut refused, REFUSED_PAUSE_MAX)
                }
                Err(error) => {
                    self.tell_away(&error, &mut last_told);
                    if error.refused {
                        LOGIN_PAUSE
                    } else {
                        grown(&mut away, AWAY_PAUSE_MAX)
                    }
                }
            };
            let pause = pause.mul_f64(0.5 + chance::fraction() / 2.0);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
        // A task runs until the process stops; what is over is told even so.
        let _ = stop.wait_for(|stop| *stop).await;
    }

    /// Of the entries those stay that were refused.
    fn settle(&mut self, answers: Vec<Option<Problem>>) {
        let before = self.told.borrow().problems.clone();
        let mut problems = Vec::new();
        let entries = std::mem::take(&mut self.entries);
        for (entry, answer) in entries.into_iter().zip(answers) {
            let Some(problem) = answer else { continue };
            if !before.contains(&problem) {
                let Problem { entry, detail, .. } = &problem;
                tracing::warn!("topology: {entry} cannot be declared: {detail}");
            }
            problems.push(problem);
            self.entries.push(entry);
        }
        let state = if problems.is_empty() {
            State::Declared
        } else {
            State::Mismatch
        };
        self.told.send_modify(|status| {
            if status.state != state && state == State::Declared {
                let counts = status.counts;
                tracing::info!(
                    exchanges = counts.exchanges,
                    queues = counts.queues,
                    bindings = counts.bindings,
                    "the topology is declared"
                );
            }
            status.state = state;
            status.waiting_for = None;
            status.problems = problems;
        });
        self.gate.open();
    }

    /// The same failure over and over is told once. Whoever was told of problems goes on being told.
    fn tell_away(&self, error: &LinkError, last_told: &mut String) {
        if *last_told == error.text {
            tracing::debug!(reason = %error, "the topology still waits for the broker");
        } else {
            tracing::warn!(reason = %error, "the topology waits for the broker");
            last_told.clone_from(&error.text);
        }
        let why = if error.refused {
            "the broker refuses the connection; the log has its words"
        } else {
            "the broker cannot be reached; the log says why"
        };
        self.told.send_modify(|status| {
            if status.state == State::Waiting {
                status.waiting_for = Some(why);
            }
        });
    }
}

/// This pause; the next one is twice as long, up to `longest`.
fn grown(pause: &mut Duration, longest: Duration) -> Duration {
    let this = *pause;
    *pause = (this * 2).min(longest);
    this
}
