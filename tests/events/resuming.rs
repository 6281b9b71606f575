//! Connections that break at any byte and gateways that are killed: nothing is lost, nothing comes twice.

#![expect(
    clippy::print_stderr,
    reason = "a failing round is repeated by its seed"
)]

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::reader::Follower;
use super::support::broker_node::shared_broker_url;
use super::support::callers::gateway;
use super::support::gateway::Gateway;
use super::support::mixed::{Caller, Sent};
use super::support::process;
use super::support::queues::{Kind, Place};
use super::support::tcp_proxy::{Direction, End, TcpProxy};
use super::{post_batch, settled};

fn is_full() -> bool {
    std::env::var_os("AMQPOST_TEST_FULL").is_some()
}

fn address(gateway: &Gateway) -> SocketAddr {
    let port = gateway
        .url()
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok());
    SocketAddr::from((Ipv4Addr::LOCALHOST, port.expect("a port")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_cut_at_any_byte_goes_on_without_loss_and_without_doubles() {
    let messages = if is_full() { 20_000 } else { 1200 };
    let seed = amqpost::chance::bits();
    eprintln!("seed {seed}");
    let gateway = gateway(&shared_broker_url(), &[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let proxy = TcpProxy::start(address(&gateway)).await;
    let url = format!("http://{}/v1/events", proxy.address());
    let mut follower = Follower::new(url, &[], Some(0));
    let publish = async {
        for _ in 0..messages / 40 {
            post_batch(&gateway, &[], &place, 40).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let follow = async {
        let mut random = seed;
        while follower.events.len() < messages {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let end = if random >> 63 == 0 {
                End::Close
            } else {
                End::Reset
            };
            // From within the head to some dozens of events.
            proxy.end_after(Direction::ToClient, 1 + (random >> 40) % 20_000, end);
            let next = follower.events.len() + 1;
            follower.read(next).await;
        }
    };
    tokio::join!(publish, follow);
    eprintln!("{} connections", follower.connections);
    assert!(
        follower.connections > 10,
        "{} connections",
        follower.connections
    );
    proxy.heal();
    assert!(follower.is_quiet().await);
    assert_eq!(follower.gaps.len(), 0);
    let positions: Vec<_> = follower
        .events
        .iter()
        .filter_map(|event| event.id)
        .collect();
    assert_eq!(positions, (1..=messages as u64).collect::<Vec<_>>());
    let told: HashSet<_> = follower.messages().into_iter().collect();
    assert_eq!(told.len(), messages);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_killed_has_told_nothing_that_is_not_so_and_goes_on_where_it_was() {
    const CALLERS: usize = 3;
    let rounds = if is_full() { 30 } else { 3 };
    let seed = amqpost::chance::bits();
    eprintln!("seed {seed}");
    let place = Arc::new(Place::declare(&shared_broker_url(), Kind::Quorum).await);
    for caller in 0..CALLERS {
        place.bind(&format!("key.{caller}")).await;
    }
    let mut gateway = gateway(&shared_broker_url(), &[]).await;
    let url = format!("{}/v1/events", gateway.url());
    let mut followers = [
        Follower::new(url.clone(), &[], Some(0)),
        Follower::new(format!("{url}?status=returned"), &[], Some(0)),
    ];
    let mut callers: Vec<_> = (0..CALLERS).map(Caller::new).collect();
    let mut sent: Vec<Sent> = Vec::new();
    for round in 0..rounds {
        for follower in &mut followers {
            follower.come().await;
        }
        let shared = Arc::new(gateway);
        let mut calling = JoinSet::new();
        for mut caller in callers.drain(..) {
            let (gateway, place) = (Arc::clone(&shared), Arc::clone(&place));
            calling.spawn(async move {
                let mut sent = Vec::new();
                while let Some(more) = caller.publish(&gateway, &place).await {
                    sent.extend(more);
                }
                (caller, sent)
            });
        }
        let moment = Duration::from_millis(100 + seed.rotate_left(9 * round) % 400);
        let reading = async {
            let [all, returned] = &mut followers;
            let (all, returned) = (all.read(usize::MAX), returned.read(usize::MAX));
            let _ = tokio::time::timeout(moment, async { tokio::join!(all, returned) }).await;
        };
        reading.await;
        process::signal("KILL", &shared.pid().to_string());
        for (caller, more) in calling.join_all().await {
            callers.push(caller);
            sent.extend(more);
        }
        gateway = Arc::into_inner(shared).expect("the callers are done");
        gateway.restart().await;
    }
    settled(&gateway).await;
    let stats = gateway.get_path("/v1/stats").await.json;
    let count = |status: &str| {
        let count = stats["counts"][status].as_u64().expect("a number");
        usize::try_from(count).expect("few")
    };
    let [all, returned] = &mut followers;
    all.read(count("confirmed") + count("returned")).await;
    returned.read(count("returned")).await;
    eprintln!("{stats}, {} connections", all.connections);
    for follower in [&mut *all, &mut *returned] {
        assert!(follower.is_quiet().await);
        follower.assert_in_order();
        assert_eq!(follower.gaps.len(), 0);
        assert!(follower.connections > rounds as usize / 2);
        let told: HashSet<_> = follower.messages().into_iter().collect();
        assert_eq!(told.len(), follower.events.len(), "none twice");
        for one in &sent {
            let wanted = follower.url.ends_with("events") || !one.is_routable();
            assert_eq!(told.contains(&one.id), wanted, "{one:?}");
        }
        for event in &follower.events {
            let told = event.json();
            let id = told["id"].as_str().expect("an id");
            assert_eq!(
                gateway.get(id).await.json,
                told,
                "it was told and is not so"
            );
        }
    }
}
