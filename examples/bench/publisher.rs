//! The publisher alone: one lane that is fed from memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use amqpost::broker::rabbitmq::{Broker, Window};
use amqpost::broker::{Feed, Handover, LaneEvent, Outcome, Room};
use amqpost::domain::{Draft, IdMinter, Message, Properties, WallTime};
use bytes::Bytes;
use tokio::sync::{Notify, watch};

use super::{Failure, PAYLOAD, WINDOW};

struct MemoryFeed {
    left: usize,
    open: usize,
    returned_percent: usize,
    minter: IdMinter,
    queue: Arc<str>,
    done: Arc<Notify>,
}

impl Feed for MemoryFeed {
    fn pull(&mut self, _now: Instant, room: Room, into: &mut Vec<Handover>) {
        for _ in 0..room.messages.min(self.left) {
            self.left -= 1;
            self.open += 1;
            let returned = self.left % 100 < self.returned_percent;
            let message = Message {
                id: self.minter.mint(WallTime::default(), 7),
                accepted_at: WallTime::default(),
                draft: Draft {
                    caller: amqpost::domain::Caller::default(),
                    exchange: "".into(),
                    routing_key: if returned {
                        "nowhere".into()
                    } else {
                        (*self.queue).into()
                    },
                    mandatory: true,
                    ordering_key: None,
                    properties: Properties::default(),
                    payload: Bytes::from_static(&PAYLOAD),
                    terms: None,
                },
            };
            into.push(Handover {
                message: Arc::new(message),
                duplicate_possible: false,
                patience: None,
            });
        }
    }

    fn report(&mut self, _now: Instant, events: &mut Vec<LaneEvent>) {
        for event in events.drain(..) {
            if let LaneEvent::Ended(_, outcome) = event {
                assert!(matches!(outcome, Outcome::Confirmed | Outcome::Returned(_)));
                self.open -= 1;
            }
        }
        if self.left == 0 && self.open == 0 {
            self.done.notify_one();
        }
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn is_stalled(&mut self, _now: Instant, _slow_until: Instant) -> bool {
        false
    }

    fn stall_check(&self) -> Option<Instant> {
        None
    }

    fn call(&self) -> Arc<Notify> {
        Arc::default()
    }

    fn wanted(&self) -> bool {
        true
    }
}

/// Publishes `messages` to `queue`, `returned` per cent of them nowhere, and awaits their ends.
pub async fn publish(
    uri: &str,
    queue: &str,
    messages: usize,
    returned: usize,
) -> Result<(), Failure> {
    let window = Window {
        messages: WINDOW,
        bytes: 32 << 20,
    };
    let timeout = Duration::from_secs(10);
    let broker = Broker::new(&[uri.parse()?], window, timeout, timeout, None);
    let done = Arc::new(Notify::new());
    let feed = MemoryFeed {
        left: messages,
        open: 0,
        returned_percent: returned,
        minter: IdMinter::default(),
        queue: queue.into(),
        done: Arc::clone(&done),
    };
    let (stop, stopped) = watch::channel(false);
    let lane = tokio::spawn(broker.lane("bench".into()).run(feed, stopped));
    done.notified().await;
    stop.send(true)?;
    lane.await?;
    Ok(())
}
