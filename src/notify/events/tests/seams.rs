//! Random moments: settlements, listeners that come, read a little, go and come back.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

#[derive(Clone, Debug)]
enum Deed {
    /// So many messages of these callers end.
    Settle(Vec<(u8, bool)>),
    /// The task that reads for all gets its turn.
    Tail,
    /// Somebody reads so many events.
    Read(Index, usize),
    /// Somebody goes, and comes back with the id of the last event.
    Again(Index),
}

/// Somebody who follows a caller, or everybody.
struct Follower {
    caller: Option<u8>,
    listener: Option<Listener>,
    /// What was told so far.
    told: Vec<u64>,
    /// What a client knows of the last one.
    last_id: u64,
}

fn any_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => prop::collection::vec((0..3_u8, any::<bool>()), 1..40).prop_map(Deed::Settle),
        3 => Just(Deed::Tail),
        4 => (any::<Index>(), 0..60_usize).prop_map(|(who, count)| Deed::Read(who, count)),
        2 => any::<Index>().prop_map(Deed::Again),
    ]
}

impl Follower {
    async fn come(&mut self, bench: &Bench) {
        let filter = self.caller.map_or(Filter::default(), of);
        self.listener = None;
        self.listener = Some(bench.listen(filter, Some(self.last_id)).await);
    }

    /// Takes what is there, and reads the store where that is needed and without waiting for news.
    async fn read(&mut self, most: usize, end: u64) {
        let Some(listener) = &mut self.listener else {
            return;
        };
        for _ in 0..most {
            while listener.position() < end {
                if let Some(next) = listener.take() {
                    let Next::Event(event) = next else {
                        panic!("{next:?}, and nothing was forgotten");
                    };
                    self.told.push(event.position);
                    break;
                }
                // What is not for it may be all that there was.
                if listener.position() == end {
                    break;
                }
                let more = tokio::time::timeout(PATIENCE, listener.more()).await;
                more.expect("there is more").expect("a store that answers");
            }
        }
        self.last_id = listener.position();
    }
}

async fn run(ring_events_max: usize, deeds: Vec<Deed>) {
    let mut bench = Bench::new(usize::MAX, ring_events_max);
    let mut settled: Vec<u8> = Vec::new();
    let mut followers: Vec<_> = [None, None, Some(0), Some(1), Some(2), Some(7)]
        .into_iter()
        .map(|caller| Follower {
            caller,
            listener: None,
            told: Vec::new(),
            last_id: 0,
        })
        .collect();
    for follower in &mut followers {
        follower.come(&bench).await;
    }
    for deed in deeds {
        match deed {
            Deed::Settle(some) => {
                for (caller, confirmed) in some {
                    let status = if confirmed {
                        Status::Confirmed
                    } else {
                        Status::Returned
                    };
                    bench.settle(caller, status);
                    settled.push(caller);
                }
            }
            Deed::Tail => tokio::time::sleep(TAIL_PAUSE * 2).await,
            Deed::Read(who, count) => {
                let follower = who.index(followers.len());
                followers[follower].read(count, bench.last()).await;
            }
            Deed::Again(who) => {
                let follower = who.index(followers.len());
                followers[follower].come(&bench).await;
            }
        }
    }
    for follower in &mut followers {
        follower.read(settled.len() + 1, bench.last()).await;
        let expected: Vec<u64> = (1..)
            .zip(&settled)
            .filter(|(_, caller)| follower.caller.is_none_or(|own| own == **caller))
            .map(|(position, _)| position)
            .collect();
        assert_eq!(follower.told, expected, "of {:?}", follower.caller);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_lost_and_nothing_comes_twice(
        ring_events_max in 1..80_usize,
        deeds in prop::collection::vec(any_deed(), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        runtime.block_on(run(ring_events_max, deeds));
    }
}
