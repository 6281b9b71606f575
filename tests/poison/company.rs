//! The good messages around a bad one, and the account at the end of a run.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use amqpost::domain::{Draft, MessageId, Status};
use amqpost::store::Settlement;
use futures_util::future::join_all;

use super::kinds::{Found, Kind, Poison, SIZE_MAX, Scene, permit};
use super::support::audit::{self, Accepted, Order};
use super::support::broker_node::PrivateNode;
use super::support::queues::{self, Place, unique};
use super::support::stack::{Shape, Stack, draft};
use super::support::tcp_proxy::{Direction, TcpProxy};
use super::support::wait::{self, SOON};

const KEYS: usize = 8;
/// Fewer than the 400 that RabbitMQ lets through to a queue that does not answer.
const BEFORE: usize = 300;
const AFTER: usize = 200;

/// In what state the good ones are when the bad ones come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// The broker has taken them and confirms none.
    Unconfirmed,
    /// The socket has not taken them.
    Unwritten,
}

/// A node whose messages are small.
pub(super) async fn node() -> &'static PrivateNode {
    let node = PrivateNode::shared().await;
    // Up to 3.13 a channel asks for the first when it opens, since 4.0 for the second each time.
    node.eval(&format!(
        "application:set_env(rabbit, max_message_size, {SIZE_MAX}),
         persistent_term:put(max_message_size, {SIZE_MAX})"
    ))
    .await;
    node
}

/// A user who may write to all that is not forbidden.
pub(super) async fn user(node: &PrivateNode) -> String {
    let user = unique("user");
    node.eval(&format!(
        r#"rabbit_auth_backend_internal:add_user(<<"{user}">>, <<"secret">>, <<"test">>)"#
    ))
    .await;
    permit(node, &user, "^(?!amqpost-test-forbidden)").await;
    user
}

/// One lane, 500 good messages, and `count` bad ones among them.
pub(super) async fn run(kind: Kind, company: Company, count: usize) {
    let node = node().await;
    let user = user(node).await;
    let place = Place::declare(&node.url(), queues::Kind::Classic).await;
    let proxy = TcpProxy::start(SocketAddr::from(([127, 0, 0, 1], node.port()))).await;
    let url = format!(
        "amqp://{user}:secret@{}/%2f{}",
        proxy.address(),
        kind.query()
    );
    let shape = Shape {
        lanes: 1,
        ..Shape::default()
    };
    let stack = Stack::start(&[url], &shape);
    let mut goods = Goods {
        place: &place,
        // As much as fills the sockets on the way, where they are not to be written.
        payload_bytes: if company == Company::Unwritten {
            SIZE_MAX - 10_000
        } else {
            200
        },
        accepted: Vec::new(),
    };
    let first = goods.next();
    goods.accepted(&[stack.accept(first).await]);
    stack.outcome(goods.accepted[0].id).await;
    let scene = Scene {
        node,
        place: &place,
        proxy: &proxy,
        stack: &stack,
        user: &user,
    };
    let poison = kind.prepare(&scene).await;

    let connections = proxy.accepted();
    let bad = match company {
        Company::Unconfirmed => behind_unconfirmed(&scene, &poison, &mut goods, count).await,
        Company::Unwritten => behind_unwritten(&scene, &poison, &mut goods, count).await,
    };
    for (number, id) in bad.iter().enumerate() {
        let told = stack.outcome(*id).await;
        assert_failed_alone(kind, &told, &poison);
        let tries = tries(&poison, company == Company::Unconfirmed && number == 0);
        assert!(tries.contains(&told.attempts), "{kind:?}: {told:?}");
    }
    // The probation lane, the question, and what was closed.
    let connections = proxy.accepted() - connections;
    assert!(
        connections <= 5 + 4 * count as u64,
        "{kind:?}: {connections} connections"
    );
    stack.quiet(SOON * 4).await;
    let told = goods.accepted.into_iter().map(|one| {
        let outcome = stack.record(one.id).outcome;
        (one, outcome.expect("nothing is pending"))
    });
    let told: Vec<_> = told.collect();
    let flagged = audit::assert_nothing_lost(&told, &place.take_all().await, Order::OfFirstCopies);
    let at_least = match (poison.found, company) {
        (Found::Unsent | Found::Asking, _) => {
            assert_eq!(flagged, 0, "{kind:?} hurt its neighbours");
            0
        }
        (_, Company::Unconfirmed) => BEFORE,
        (_, Company::Unwritten) => 0,
    };
    assert!(flagged >= at_least, "{kind:?}: {flagged} are flagged");
    stack.stop().await;
}

struct Goods<'a> {
    place: &'a Place,
    payload_bytes: usize,
    accepted: Vec<Accepted>,
}

impl Goods<'_> {
    fn next(&self) -> Draft {
        self.nth(self.accepted.len())
    }

    fn nth(&self, number: usize) -> Draft {
        let payload = format!("{number:0>width$}", width = self.payload_bytes);
        let mut good = draft(&self.place.exchange, &self.place.routing_key, payload);
        good.ordering_key = Some(format!("key {}", number % KEYS).into());
        good
    }

    fn some(&self, skip: usize, count: usize) -> Vec<Draft> {
        let first = self.accepted.len() + skip;
        (first..first + count)
            .map(|number| self.nth(number))
            .collect()
    }

    fn accepted(&mut self, ids: &[MessageId]) {
        for id in ids {
            let number = self.accepted.len();
            self.accepted.push(Accepted {
                id: *id,
                key: number % KEYS,
                number,
            });
        }
    }
}

/// In this order, and at the same moment.
async fn accept_all(stack: &Stack, drafts: Vec<Draft>) -> Vec<MessageId> {
    let ids = join_all(drafts.into_iter().map(|draft| stack.accept(draft))).await;
    assert!(ids.is_sorted(), "accepted in another order");
    ids
}

async fn behind_unconfirmed(
    scene: &Scene<'_>,
    poison: &Poison,
    goods: &mut Goods<'_>,
    count: usize,
) -> Vec<MessageId> {
    let Scene {
        node, place, stack, ..
    } = scene;
    node.suspend_queue(&place.queue).await;
    let ids = accept_all(stack, goods.some(0, BEFORE)).await;
    goods.accepted(&ids);
    let last = ids[BEFORE - 1];
    wait::until("the good ones are in flight", SOON, || async {
        (stack.relay.progress(&stack.record(last)).attempts == 1).then_some(())
    })
    .await;
    let mut drafts = vec![poison.draft.clone(); count];
    drafts.extend(goods.some(0, AFTER));
    let mut bad = accept_all(stack, drafts).await;
    goods.accepted(&bad.split_off(count));
    if matches!(poison.found, Found::Trial | Found::Strikes) {
        // Each is tried alone, for which the queue must answer.
        wait::until("the broker has closed", SOON, || async {
            let progress = stack.relay.progress(&stack.record(last));
            progress.duplicate_possible.then_some(())
        })
        .await;
    } else {
        for id in &bad {
            stack.outcome(*id).await;
        }
        for one in &goods.accepted[1..] {
            assert_eq!(stack.record(one.id).outcome, None, "it was told too early");
        }
    }
    node.resume_queue(&place.queue).await;
    bad
}

async fn behind_unwritten(
    scene: &Scene<'_>,
    poison: &Poison,
    goods: &mut Goods<'_>,
    count: usize,
) -> Vec<MessageId> {
    let Scene { proxy, stack, .. } = scene;
    proxy.silent_after(Direction::ToServer, 0);
    let mut drafts = goods.some(0, BEFORE);
    drafts.extend(vec![poison.draft.clone(); count]);
    drafts.extend(goods.some(BEFORE, AFTER));
    let mut ids = accept_all(stack, drafts).await;
    let after = ids.split_off(BEFORE + count);
    let bad = ids.split_off(BEFORE);
    goods.accepted(&ids);
    goods.accepted(&after);
    // Until nothing moves: then the sockets are full.
    let mut before = 0;
    wait::until("the sockets are full", SOON, || {
        let attempts = |id: &MessageId| stack.relay.progress(&stack.record(*id)).attempts;
        let now: u32 = ids.iter().map(attempts).sum();
        let is_still = now > 0 && now == std::mem::replace(&mut before, now);
        async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            is_still.then_some(())
        }
    })
    .await;
    proxy.heal();
    bad
}

fn assert_failed_alone(kind: Kind, told: &Settlement, poison: &Poison) {
    assert_eq!(told.status, Status::Failed, "{kind:?}: {told:?}");
    let reason = told.reason.as_ref().expect("it failed for a reason");
    assert_eq!(reason.code, poison.code, "{kind:?}: {told:?}");
    assert_eq!(reason.reply_code, poison.reply_code, "{kind:?}: {told:?}");
    let said = reason.reply_text.as_deref().unwrap_or_default();
    assert!(said.contains(&poison.words), "{kind:?}: {said}");
}

/// How often a bad message may have been tried. One that was the first to close a channel with others
/// in flight must have been tried again, alone; who came behind it may have been alone at once.
fn tries(poison: &Poison, in_company: bool) -> RangeInclusive<u32> {
    match poison.found {
        Found::Asking if poison.reply_code == Some(541) => 3..=3,
        Found::Unsent | Found::Asking => 1..=1,
        Found::Name | Found::Trial => 1 + u32::from(in_company)..=3,
        Found::Strikes => 3 + u32::from(in_company)..=5,
    }
}
