//! Time for the head of a request, apart from the time that a connection may idle.
//!
//! hyper knows one time for both. A short one closes idle connections under clients that are just
//! about to use them again; a long one lets slow heads hold connections. So the timer that hyper is
//! given rings only when bytes of a head have arrived, or when the connection has idled long enough.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;

use super::phase::Phase;

/// Measures from the moment when hyper starts to expect a head.
#[derive(Clone)]
pub(super) struct HeadTimer {
    /// Knows whether something has arrived.
    pub(super) phase: Arc<Phase>,
    /// hyper's own time for the head must be this too.
    pub(super) head: Duration,
    pub(super) idle: Duration,
}

struct HeadSleep {
    timer: HeadTimer,
    tick: Pin<Box<dyn Sleep>>,
    next_tick: Instant,
    idle_end: Instant,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let now = self.now();
        self.phase.expect_head(now);
        Box::pin(HeadSleep {
            timer: self.clone(),
            tick: TokioTimer::new().sleep_until(deadline),
            next_tick: deadline,
            idle_end: now + self.idle,
        })
    }

    fn now(&self) -> Instant {
        TokioTimer::new().now()
    }
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    /// A head that begins just after a tick has up to twice its time, which does no harm.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.tick.as_mut().poll(cx));
            if self.timer.phase.has_arrived() || self.next_tick >= self.idle_end {
                return Poll::Ready(());
            }
            let next = (self.next_tick + self.timer.head).min(self.idle_end);
            self.next_tick = next;
            self.tick = TokioTimer::new().sleep_until(next);
        }
    }
}
