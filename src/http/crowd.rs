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
