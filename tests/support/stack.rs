//! Relay, store and publisher in the test's own process, without HTTP.

use std::sync::Arc;
use std::time::Duration;

use amqpost::broker::rabbitmq::{Broker, Window};
use amqpost::domain::{Draft, MessageId, Properties, RetrySchedule};
use amqpost::lifecycle::{Stop, Tasks};
use amqpost::notify::Waiters;
use amqpost::relay::dispatch::{self, MemoryBudget};
use amqpost::relay::{Budget, Relay, Settings, Start};
use amqpost::store::memory::{HistoryBudget, MemoryStore};
use amqpost::store::{Lookup, ReadStore as _, Record, Settlement};
use bytes::Bytes;

use super::wait;

/// How a stack differs from the defaults.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Lanes.
    pub lanes: usize,
    /// Messages in flight on one lane.
    pub window_messages: usize,
    /// The interval of the heartbeats.
    pub heartbeat: Duration,
    /// How long a destination may be silent.
    pub stall_after: Duration,
    /// What follows a nack.
    pub retry: RetrySchedule,
    /// Settled messages that are kept to be asked about.
    pub history_messages_max: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            lanes: 4,
            window_messages: 1000,
            heartbeat: Duration::from_secs(10),
            // Silence is the subject of few tests.
            stall_after: Duration::from_secs(30),
            retry: RetrySchedule::default(),
            history_messages_max: usize::MAX,
        }
    }
}

/// A running gateway without its HTTP interface.
pub struct Stack {
    /// Accepts messages.
    pub relay: Relay,
    /// Tells what became of them.
    pub store: MemoryStore,
    /// Those who wait.
    pub waiters: Arc<Waiters>,
    stop: Stop,
    lanes: Tasks,
    journal: Tasks,
}

impl Stack {
    /// Starts with the brokers at `urls`.
    pub fn start(urls: &[String], shape: &Shape) -> Self {
        let history = HistoryBudget {
            keys_kept: std::time::Duration::from_hours(24),
            messages_max: shape.history_messages_max,
            bytes_max: usize::MAX,
        };
        let store = MemoryStore::new(history);
        let waiters = Arc::new(Waiters::default());
        let settings = Settings {
            lanes: shape.lanes,
            budget: Budget {
                messages_max: usize::MAX,
                bytes_max: usize::MAX,
            },
            dispatch: dispatch::Settings {
                retry: shape.retry.clone(),
                exchange_known: Duration::from_secs(30),
                stall_after: shape.stall_after,
                memory: MemoryBudget {
                    messages_max: usize::MAX,
                    bytes_max: usize::MAX,
                },
            },
            callers: tokio::sync::watch::Sender::default().subscribe(),
        };
        let reader = Arc::new(store.clone());
        let start = Start::default();
        let (relay, writer) = Relay::new(&settings, store.clone(), reader, &start, waiters.clone());
        let window = Window {
            messages: shape.window_messages,
            bytes: 32 << 20,
        };
        let limit = Duration::from_secs(10);
        let urls: Vec<_> = urls.iter().map(|url| url.parse().expect("a URI")).collect();
        let broker = Broker::new(&urls, window, shape.heartbeat, limit, None);
        let (mut journal, mut lanes, stop) = (Tasks::default(), Tasks::default(), Stop::default());
        journal
            .spawn_thread("journal", move || writer.run())
            .expect("a thread");
        for (number, feed) in relay.lane_feeds().into_iter().enumerate() {
            let name = format!("lane {number}");
            lanes.spawn(name.clone(), broker.lane(name).run(feed, stop.watch()));
        }
        let probation = broker.lane_of_one("probation lane".into());
        lanes.spawn(
            "probation",
            probation.run(relay.probation_feed(), stop.watch()),
        );
        for (number, feed) in relay.quarantine_feeds().into_iter().enumerate() {
            let name = format!("quarantine lane {number}");
            let lane = broker.lane_of_one(name.clone());
            lanes.spawn(name, lane.run(feed, stop.watch()));
        }
        lanes.spawn(
            "prober",
            relay.clone().probe(Arc::new(broker.probe()), stop.watch()),
        );
        Self {
            relay,
            store,
            waiters,
            stop,
            lanes,
            journal,
        }
    }

    /// Accepts a message, as HTTP would.
    pub async fn accept(&self, draft: Draft) -> MessageId {
        self.relay.accept(draft).await.expect("accepted").id
    }

    /// What the store knows.
    pub fn record(&self, id: MessageId) -> Record {
        match self.store.get(id) {
            Ok(Lookup::Found(record)) => *record,
            other => panic!("{id} is {other:?}"),
        }
    }

    /// The final status, once it is there.
    pub async fn outcome(&self, id: MessageId) -> Settlement {
        let mut waiter = self.waiters.register(id.row());
        if let Some(outcome) = self.record(id).outcome {
            return outcome;
        }
        let told = wait::within("a final status", wait::SOON * 2, waiter.settled()).await;
        assert_eq!(
            self.record(id).outcome,
            Some(told.clone()),
            "told after the commit"
        );
        told
    }

    /// Returns when nothing is pending any more.
    pub async fn quiet(&self, limit: Duration) {
        wait::until("nothing is pending", limit, || async {
            (self.relay.health().pending_messages == 0).then_some(())
        })
        .await;
    }

    /// Stops as the process would, and checks that no part has crashed.
    pub async fn stop(mut self) {
        self.stop.tell();
        self.lanes.all_ended().await.expect("lanes end well");
        self.relay.end();
        self.journal
            .all_ended()
            .await
            .expect("the journal ends well");
    }
}

/// An ordinary message.
pub fn draft(exchange: &str, routing_key: &str, payload: impl Into<Bytes>) -> Draft {
    Draft {
        caller: amqpost::domain::Caller::default(),
        exchange: exchange.into(),
        routing_key: routing_key.into(),
        mandatory: true,
        ordering_key: None,
        properties: Properties::default(),
        payload: payload.into(),
        terms: None,
    }
}
