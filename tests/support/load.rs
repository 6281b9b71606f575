//! Writers that go on whatever happens, and the account at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::audit::{self, Accepted, Order};
use super::queues::Place;
use super::stack::{Shape, Stack, draft};
use super::tcp_proxy::TcpProxy;
use super::wait::{self, SOON};

/// Lanes.
pub const LANES: usize = 2;
/// Writers, each with a key of its own.
pub const WRITERS: usize = 8;
/// Enough to have many in flight at any moment.
pub const PENDING_MAX: usize = 500;

/// How messages are written.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// The gateway's heartbeats.
    pub heartbeat: Duration,
    /// Of each writer after each message, for tests that take long.
    pub pause: Duration,
    /// How long the gateway waits for a destination.
    pub stall_after: Duration,
    /// Keys by which the order holds also over nacks.
    pub ordering_keys: bool,
}

/// Messages that are written all the time.
pub struct Load {
    /// What it goes through.
    pub stack: Arc<Stack>,
    count: Arc<AtomicUsize>,
    enough: Arc<AtomicBool>,
    writers: JoinSet<Vec<Accepted>>,
}

impl Load {
    /// Writes to `place` through the brokers at `urls`.
    pub async fn start(urls: &[String], place: &Place, heartbeat: Duration) -> Self {
        let way = Way {
            heartbeat,
            pause: Duration::ZERO,
            stall_after: Shape::default().stall_after,
            ordering_keys: false,
        };
        Self::start_by(urls, place, way).await
    }

    /// As [`Load::start`], in this way.
    pub async fn start_by(urls: &[String], place: &Place, way: Way) -> Self {
        for key in 0..WRITERS {
            place.bind(&format!("key.{key}")).await;
        }
        let shape = Shape {
            lanes: LANES,
            heartbeat: way.heartbeat,
            stall_after: way.stall_after,
            ..Shape::default()
        };
        let mut load = Self {
            stack: Arc::new(Stack::start(urls, &shape)),
            count: Arc::default(),
            enough: Arc::default(),
            writers: JoinSet::new(),
        };
        for key in 0..WRITERS {
            let (stack, exchange) = (Arc::clone(&load.stack), place.exchange.clone());
            let (count, enough) = (Arc::clone(&load.count), Arc::clone(&load.enough));
            load.writers.spawn(async move {
                let mut accepted = Vec::new();
                while !enough.load(Ordering::SeqCst) {
                    if stack.relay.health().pending_messages >= PENDING_MAX {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        continue;
                    }
                    let number = accepted.len();
                    let payload = format!("{number:0>200}");
                    let mut message = draft(&exchange, &format!("key.{key}"), payload);
                    if way.ordering_keys {
                        message.ordering_key = Some(format!("order of {key}").into());
                    }
                    let id = stack.accept(message).await;
                    accepted.push(Accepted { id, key, number });
                    count.fetch_add(1, Ordering::SeqCst);
                    if !way.pause.is_zero() {
                        tokio::time::sleep(way.pause).await;
                    }
                }
                accepted
            });
        }
        load.wait_more(1000).await;
        load
    }

    /// Waits until so many more were accepted, which means that others have gone out.
    pub async fn wait_more(&self, messages: usize) {
        self.wait_more_within(messages, SOON * 2).await;
    }

    /// As [`Load::wait_more`], with a limit.
    pub async fn wait_more_within(&self, messages: usize, limit: Duration) {
        let goal = self.count.load(Ordering::SeqCst) + messages;
        wait::until("the load goes on", limit, || async {
            (self.count.load(Ordering::SeqCst) >= goal).then_some(())
        })
        .await;
    }

    /// Waits until as many are pending as may be, which is soon where the broker stands still.
    pub async fn wait_all_pending(&self) {
        wait::until("nothing more is written", SOON, || async {
            (self.stack.relay.health().pending_messages >= PENDING_MAX).then_some(())
        })
        .await;
    }

    /// Waits until every lane is connected, over connections that are newer than the `before` ones.
    pub async fn wait_reconnected(&self, proxy: &TcpProxy, before: u64) {
        wait::until("the lanes are connected again", SOON * 2, || async {
            let newer = proxy.accepted() >= before + LANES as u64;
            (newer && self.lanes_up() == LANES).then_some(())
        })
        .await;
    }

    /// How many were accepted so far.
    pub fn accepted(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Lanes that are connected.
    pub fn lanes_up(&self) -> usize {
        self.stack.relay.health().broker.lanes_up
    }

    /// Waits until no lane is connected, and gives the reason.
    pub async fn wait_down(&self) -> String {
        wait::until("no lane is connected", SOON, || async {
            let broker = self.stack.relay.health().broker;
            let reason = broker.reason.filter(|_| broker.lanes_up == 0)?;
            Some(reason.detail.into())
        })
        .await
    }

    /// Some more messages, then the account. Gives how many messages were flagged.
    pub async fn account(self, place: &Place) -> usize {
        self.account_in(place, Order::OfFirstCopies).await
    }

    /// As [`Load::account`], where less of the order is seen.
    pub async fn account_in(mut self, place: &Place, order: Order) -> usize {
        self.wait_more(1000).await;
        self.enough.store(true, Ordering::SeqCst);
        let mut accepted = Vec::new();
        while let Some(written) = self.writers.join_next().await {
            accepted.extend(written.expect("a writer does not panic"));
        }
        self.stack.quiet(SOON * 2).await;
        let told = accepted.into_iter().map(|one| {
            let outcome = self.stack.record(one.id).outcome;
            (one, outcome.expect("nothing is pending"))
        });
        let told: Vec<_> = told.collect();
        let arrived = place.take_all().await;
        let flagged = audit::assert_nothing_lost(&told, &arrived, order);
        Arc::into_inner(self.stack)
            .expect("the writers are done")
            .stop()
            .await;
        flagged
    }
}
