//! Random scripts of what lane, probation, prober, clock and callers may do, in any order.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::cases;
use super::model::{Whereabouts, World, draft, reason};
use crate::broker::{LaneEvent, Outcome, Presence};
use crate::domain::ReasonCode;
use crate::relay::dispatch::Why;

const EXCHANGES: [&str; 3] = ["", "x", "y"];
const KEYS: [&str; 2] = ["a", "b"];

#[derive(Clone, Debug)]
enum Deed {
    Enqueue {
        exchange: usize,
        key: usize,
        ordering_key: Option<usize>,
        bytes: usize,
    },
    Pull {
        messages: usize,
        bytes: usize,
    },
    /// Some hand-overs end, in any order: which of those in flight, and how.
    Confirm(Vec<(prop::sample::Index, End)>),
    /// Channel or connection are lost, and all that is in flight with them.
    Lose {
        suspects: u8,
        returned: u8,
        written: usize,
        connection: bool,
    },
    TryAlone,
    Tried(Verdict),
    /// So many milliseconds later it is looked whether somebody is silent.
    Look(u64, usize),
    /// And so many later whether somebody is only refused.
    Renew(u64, usize),
    Probe,
    Probed(prop::sample::Index, Verdict),
    Ask,
    Answer(prop::sample::Index, Option<Presence>),
    Pass(u64),
    Up,
    Block(bool),
    /// A message is cancelled, or its time is over.
    Withdraw(prop::sample::Index, Why),
    /// An event that has no business here.
    Stray(prop::sample::Index, Verdict),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Confirmed,
    Returned,
    Nacked,
}

#[derive(Clone, Copy, Debug)]
enum Verdict {
    Spoken(End),
    Unknown,
    Unanswered,
    Unsent,
    Suspect,
    Refused { maybe_taken: bool },
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        3 => Just(End::Confirmed),
        1 => Just(End::Returned),
        3 => Just(End::Nacked),
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        3 => end().prop_map(Verdict::Spoken),
        2 => Just(Verdict::Unknown),
        2 => Just(Verdict::Unanswered),
        1 => Just(Verdict::Unsent),
        1 => Just(Verdict::Suspect),
        1 => any::<bool>().prop_map(|maybe_taken| Verdict::Refused { maybe_taken }),
    ]
}

fn why() -> impl Strategy<Value = Why> {
    prop_oneof![Just(Why::Expired), Just(Why::Cancelled)]
}

fn deed() -> impl Strategy<Value = Deed> {
    let index = any::<prop::sample::Index>;
    let answer = prop_oneof![
        2 => Just(Some(Presence::There)),
        2 => Just(Some(Presence::Missing)),
        1 => Just(None),
    ];
    let ends = prop::collection::vec((index(), end()), 1..4);
    prop_oneof![
        6 => (0..3_usize, 0..2_usize, prop::option::of(0..2_usize), 0..100_usize).prop_map(
            |(exchange, key, ordering_key, bytes)| {
                Deed::Enqueue { exchange, key, ordering_key, bytes }
            }
        ),
        6 => (0..5_usize, 0..250_usize).prop_map(|(messages, bytes)| Deed::Pull { messages, bytes }),
        4 => ends.prop_map(Deed::Confirm),
        2 => (any::<u8>(), any::<u8>(), 0..8_usize, any::<bool>()).prop_map(
            |(suspects, returned, written, connection)| Deed::Lose {
                suspects, returned: returned & suspects, written, connection,
            }
        ),
        3 => Just(Deed::TryAlone),
        3 => verdict().prop_map(Deed::Tried),
        2 => (0..1500_u64, 0..8_usize).prop_map(|(ms, written)| Deed::Look(ms, written)),
        2 => (0..800_u64, 0..8_usize).prop_map(|(ms, written)| Deed::Renew(ms, written)),
        3 => Just(Deed::Probe),
        3 => (index(), verdict()).prop_map(|(which, verdict)| Deed::Probed(which, verdict)),
        2 => Just(Deed::Ask),
        3 => (index(), answer).prop_map(|(which, answer)| Deed::Answer(which, answer)),
        3 => (0..400_u64).prop_map(Deed::Pass),
        1 => Just(Deed::Up),
        1 => any::<bool>().prop_map(Deed::Block),
        2 => (index(), why()).prop_map(|(which, why)| Deed::Withdraw(which, why)),
        1 => (index(), verdict()).prop_map(|(which, verdict)| Deed::Stray(which, verdict)),
    ]
}

fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Spoken(End::Confirmed) => Outcome::Confirmed,
        Verdict::Spoken(End::Returned) => Outcome::Returned(Box::new(reason(ReasonCode::NoRoute))),
        Verdict::Spoken(End::Nacked) => Outcome::Nacked,
        Verdict::Unknown => Outcome::Unknown,
        Verdict::Unanswered => Outcome::Unanswered,
        Verdict::Unsent => Outcome::Unsent,
        Verdict::Suspect => Outcome::Suspect(Arc::new(reason(ReasonCode::AccessRefused))),
        Verdict::Refused { maybe_taken } => Outcome::Refused {
            reason: Box::new(reason(ReasonCode::ExchangeNotFound)),
            maybe_taken,
        },
    }
}

/// How everything in flight ends when the channel does: as the ledger of a connection reports it.
fn losses(world: &World, suspects: u8, returned: u8, written: usize) -> Vec<(usize, Outcome)> {
    let marked = |mask: u8, at: usize| mask >> (at % 8) & 1 == 1;
    let open = |at: usize| at < written && !marked(returned, at);
    let alone = (0..world.lane.len()).filter(|at| open(*at)).count() == 1;
    let end = |(at, &index): (usize, &usize)| {
        let verdict = match (at < written, marked(returned, at), marked(suspects, at)) {
            (_, true, _) => Verdict::Spoken(End::Returned),
            (false, ..) => Verdict::Unsent,
            (true, _, true) if alone => Verdict::Refused {
                maybe_taken: at % 2 == 0,
            },
            (true, _, true) => Verdict::Suspect,
            (true, ..) => Verdict::Unknown,
        };
        (index, outcome(verdict))
    };
    world.lane.iter().enumerate().map(end).collect()
}

fn happen(world: &mut World, deed: Deed) {
    match deed {
        Deed::Enqueue {
            exchange,
            key,
            ordering_key,
            bytes,
        } => {
            let ordering_key = ordering_key.map(|key| KEYS[key]);
            world.enqueue(draft(EXCHANGES[exchange], KEYS[key], ordering_key, bytes));
        }
        Deed::Pull { messages, bytes } => {
            if !world.down {
                world.pull(messages, bytes);
            }
        }
        Deed::Confirm(picks) => {
            let mut left = world.lane.clone();
            let mut ends = Vec::new();
            for (which, end) in picks {
                if !left.is_empty() {
                    let index = left.swap_remove(which.index(left.len()));
                    ends.push((index, outcome(Verdict::Spoken(end))));
                }
            }
            world.report(ends);
        }
        Deed::Lose {
            suspects,
            returned,
            written,
            connection,
        } => {
            world.report(losses(world, suspects, returned, written));
            if connection {
                world.tell(&[LaneEvent::Down(reason(ReasonCode::BrokerUnavailable))]);
            }
        }
        Deed::TryAlone => drop(world.try_alone()),
        Deed::Tried(verdict) => {
            if world.probation.is_some() {
                world.tried(outcome(verdict));
            }
        }
        Deed::Look(ms, written) => {
            world.now += Duration::from_millis(ms);
            if world.look() {
                world.report(losses(world, 0, 0, written));
                world.tell(&[LaneEvent::Down(reason(ReasonCode::BrokerUnavailable))]);
            }
        }
        Deed::Renew(ms, written) => {
            world.now += Duration::from_millis(ms);
            if world.renews() {
                world.report(losses(world, 0, 0, written));
                world.tell(&[LaneEvent::Down(reason(ReasonCode::BrokerUnavailable))]);
                world.tell(&[LaneEvent::Up]);
            }
        }
        Deed::Probe => drop(world.probe()),
        Deed::Probed(which, verdict) => {
            if !world.probes.is_empty() {
                let index = world.probes[which.index(world.probes.len())];
                world.probed(index, outcome(verdict));
            }
        }
        Deed::Ask => drop(world.ask()),
        Deed::Answer(which, answer) => {
            if !world.asked.is_empty() {
                let at = which.index(world.asked.len());
                let exchange = world.asked.iter().nth(at).cloned().expect("within");
                world.answer(&exchange, answer);
            }
        }
        Deed::Pass(ms) => world.now += Duration::from_millis(ms),
        Deed::Up => world.tell(&[LaneEvent::Up]),
        Deed::Block(true) => {
            world.tell(&[LaneEvent::Blocked(reason(ReasonCode::BrokerBlocked))]);
        }
        Deed::Block(false) => world.tell(&[LaneEvent::Unblocked]),
        Deed::Withdraw(which, why) => {
            if !world.all.is_empty() {
                world.withdraw(which.index(world.all.len()), why);
            }
        }
        Deed::Stray(which, verdict) => {
            // One more than there are: a message that never was here.
            let at = which.index(world.all.len() + 1);
            let row = crate::domain::RowId::from_stored(at as u64 + 1);
            let here = world.all.get(at).map(|seen| seen.whereabouts);
            if matches!(here, None | Some(Whereabouts::Idle | Whereabouts::Settled)) {
                world.tell(&[LaneEvent::Ended(row, outcome(verdict))]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(1500)) })]

    #[test]
    fn whatever_happens_every_message_ends_once_in_its_true_status_and_in_order(
        script in prop::collection::vec(deed(), 0..120),
    ) {
        let mut world = World::new();
        world.tell(&[LaneEvent::Up]);
        for deed in script {
            happen(&mut world, deed);
            world.check();
        }
        world.run_out();
    }
}
