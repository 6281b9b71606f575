//! The connections that are open, and which of them has to go when there is room for no more.
//!
//! Connections that only idle must not keep anybody out. So whoever has most of them gives one up: the one
//! that has idled longest, or whose request has been on its way longest without having come. Nobody whose
//! request has come is touched; there are limits of time for those.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::Id;

use super::phase::Phase;

/// Everybody who is connected.
#[derive(Default)]
pub(super) struct Crowd {
    members: HashMap<Id, Member>,
    by_client: HashMap<IpAddr, usize>,
}

struct Member {
    client: IpAddr,
    phase: Arc<Phase>,
    leave: Arc<Notify>,
}

/// What a connection knows of the crowd.
#[derive(Clone)]
pub(super) struct Seat {
    pub(super) phase: Arc<Phase>,
    leave: Arc<Notify>,
}

impl Seat {
    pub(super) fn new(phase: Phase) -> Self {
        Self {
            phase: Arc::new(phase),
            leave: Arc::default(),
        }
    }

    /// Returns when the connection was asked to leave and idles.
    pub(super) async fn is_wanted(&self) {
        loop {
            self.leave.notified().await;
            if self.phase.idle_since().is_some() {
                return;
            }
        }
    }
}

impl Crowd {
    /// `task` serves a connection from `address`.
    pub(super) fn joined(&mut self, task: Id, address: IpAddr, seat: Seat) {
        let client = client(address);
        *self.by_client.entry(client).or_default() += 1;
        let member = Member {
            client,
            phase: seat.phase,
            leave: seat.leave,
        };
        self.members.insert(task, member);
    }

    /// The connection of `task` has ended.
    pub(super) fn left(&mut self, task: Id) {
        let Some(member) = self.members.remove(&task) else {
            return;
        };
        if let Some(count) = self.by_client.get_mut(&member.client) {
            *count -= 1;
            if *count == 0 {
                self.by_client.remove(&member.client);
            }
        }
    }

    /// Asks one that idles to leave. If it has work by the time that it hears of it, it stays.
    pub(super) fn make_room(&self) {
        let idle = self.members.values().filter_map(|member| {
            let connections = self.by_client.get(&member.client)?;
            let longest = Reverse(member.phase.idle_since()?);
            Some((connections, longest, member))
        });
        let one = idle.max_by_key(|(connections, longest, _)| (*connections, *longest));
        if let Some((_, _, member)) = one {
            member.leave.notify_one();
        }
    }
}

/// Who counts as one: an IPv4 address, or a network of IPv6, of which everybody has a whole one.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(network).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::time::Duration;
    use tokio::task::JoinSet;

    struct Rig {
        crowd: Crowd,
        tasks: JoinSet<()>,
        seats: Vec<(Id, Seat)>,
    }

    impl Rig {
        /// Connections, by the address of each; the first one has idled longest.
        fn new(addresses: &[&str]) -> Self {
            let now = clock::monotonic();
            let mut rig = Self {
                crowd: Crowd::default(),
                tasks: JoinSet::new(),
                seats: Vec::new(),
            };
            for (number, address) in addresses.iter().enumerate() {
                let later = Duration::from_secs(number as u64);
                let seat = Seat::new(Phase::new(now + later));
                let task = rig.tasks.spawn(std::future::pending()).id();
                let address = address.parse().expect("an address");
                rig.crowd.joined(task, address, seat.clone());
                rig.seats.push((task, seat));
            }
            rig
        }

        /// Which ones are asked to leave, one after the other.
        async fn asked(&mut self, count: usize) -> Vec<usize> {
            let mut asked = Vec::new();
            for _ in 0..count {
                self.crowd.make_room();
                let mut waiting: Vec<_> = (self.seats.iter().enumerate())
                    .map(|(number, (_, seat))| {
                        Box::pin(async move {
                            seat.is_wanted().await;
                            number
                        })
                    })
                    .collect();
                let first = std::future::poll_fn(|cx| {
                    let ready = waiting
                        .iter_mut()
                        .find_map(|one| match one.as_mut().poll(cx) {
                            std::task::Poll::Ready(number) => Some(number),
                            std::task::Poll::Pending => None,
                        });
                    std::task::Poll::Ready(ready)
                });
                let Some(number) = first.await else { break };
                drop(waiting);
                self.crowd.left(self.seats[number].0);
                asked.push(number);
            }
            asked
        }
    }

    #[tokio::test]
    async fn whoever_has_most_gives_up_the_one_that_has_idled_longest() {
        let mut rig = Rig::new(&["10.0.0.2", "10.0.0.1", "::ffff:10.0.0.1", "10.0.0.1"]);
        assert_eq!(rig.asked(5).await, [1, 2, 0, 3]);
    }

    #[tokio::test]
    async fn a_network_of_ipv6_is_one_client() {
        let mut rig = Rig::new(&["2001:db8:0:1::1", "2001:db8::1", "2001:db8::ffff:2"]);
        assert_eq!(rig.asked(1).await, [1]);
    }

    #[tokio::test]
    async fn whoever_is_served_stays() {
        let mut rig = Rig::new(&["10.0.0.1", "10.0.0.1", "10.0.0.2"]);
        rig.seats[0].1.phase.serve();
        assert_eq!(rig.asked(3).await, [1, 2]);
    }
}
