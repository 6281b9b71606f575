//! Time for the head of a request, apart from the time that a connection may idle.
//!
//! hyper knows one time for both. A short one closes idle connections under clients that are just
//! about to use them again; a long one lets slow heads hold connections. So the timer that hyper is
//! given rings only when bytes of a head have arrived, or when the connection has idled long enough.
//!
//! hyper asks for a new timer for each head and drops it when that has come, nearly always long before it
//! would ring. So a connection keeps one timer of the runtime, which all threads have in common, and this is
//! set anew only when it has rung too early.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;
use parking_lot::Mutex;

use super::phase::Phase;

/// Measures from the moment when hyper starts to expect a head.
#[derive(Clone)]
pub(super) struct HeadTimer(Arc<Connection>);

/// What all timers of a connection have in common.
struct Connection {
    /// Knows whether something has arrived.
    phase: Arc<Phase>,
    head: Duration,
    idle: Duration,
    alarm: Mutex<Option<Pin<Box<tokio::time::Sleep>>>>,
}

impl HeadTimer {
    /// For a connection in this phase that has so long for each head, and may idle for so long. hyper's own
    /// time for the head must be `head` too.
    pub(super) fn new(phase: Arc<Phase>, head: Duration, idle: Duration) -> Self {
        Self(Arc::new(Connection {
            phase,
            head,
            idle,
            alarm: Mutex::default(),
        }))
    }
}

struct HeadSleep {
    connection: Arc<Connection>,
    next_tick: Instant,
    idle_end: Instant,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let now = self.now();
        self.0.phase.expect_head(now);
        Box::pin(HeadSleep {
            connection: Arc::clone(&self.0),
            next_tick: deadline,
            idle_end: now + self.0.idle,
        })
    }

    fn now(&self) -> Instant {
        TokioTimer::new().now()
    }
}

impl Connection {
    /// Whether it is `at`; whoever polls is woken then, and perhaps before.
    fn poll_until(&self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let at = tokio::time::Instant::from_std(at);
        let mut alarm = self.alarm.lock();
        // Never set too late: what it was set for before had the same time, and had begun earlier.
        let alarm = alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        loop {
            ready!(alarm.as_mut().poll(cx));
            if alarm.deadline() >= at {
                return Poll::Ready(());
            }
            // It was set for a head that has come since.
            alarm.as_mut().reset(at);
        }
    }
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    /// A head that begins just after a tick has up to twice its time, which does no harm.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.connection.poll_until(self.next_tick, cx));
            if self.connection.phase.has_arrived() || self.next_tick >= self.idle_end {
                return Poll::Ready(());
            }
            self.next_tick = (self.next_tick + self.connection.head).min(self.idle_end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(25);
    const ONE: Duration = Duration::from_secs(1);

    fn timer() -> HeadTimer {
        let phase = Arc::new(Phase::new(TokioTimer::new().now()));
        HeadTimer::new(phase, HEAD, IDLE)
    }

    /// As hyper does it when it begins to expect a head.
    fn next_head(timer: &HeadTimer) -> Pin<Box<dyn Sleep>> {
        timer.sleep_until(timer.now() + HEAD)
    }

    async fn rings_after(sleep: Pin<Box<dyn Sleep>>) -> Duration {
        let clock = TokioTimer::new();
        let began = clock.now();
        sleep.await;
        clock.now() - began
    }

    /// Runs `sleep` for so long, in which it must not ring.
    async fn pass(sleep: Pin<Box<dyn Sleep>>, time: Duration) {
        let rang = tokio::time::timeout(time, sleep).await;
        assert!(rang.is_err(), "it rang");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_and_a_connection_may_idle_longer() {
        let timer = timer();
        assert_eq!(rings_after(next_head(&timer)).await, IDLE);
        let head = next_head(&timer);
        timer.0.phase.arrived();
        assert_eq!(rings_after(head).await, HEAD);
    }

    #[tokio::test(start_paused = true)]
    async fn each_head_has_its_own_time() {
        let timer = timer();
        for _ in 0..30 {
            pass(next_head(&timer), ONE * 3).await;
        }
        pass(next_head(&timer), HEAD + ONE).await;
        let head = next_head(&timer);
        timer.0.phase.arrived();
        assert_eq!(rings_after(head).await, HEAD);
        pass(next_head(&timer), ONE).await;
        assert_eq!(rings_after(next_head(&timer)).await, IDLE);
    }
}
