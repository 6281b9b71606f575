//! Good callers, who publish while others attack.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinSet;

use super::Target;

const CALLERS: usize = 4;
/// Messages that are measured alone.
const ALONE: usize = 200;
/// The machine does other things too, and the attackers compute on it as well as the gateway.
const SLOWER_MAX: u32 = 10;
const SLOWER_REST: Duration = Duration::from_millis(100);

static ONE_ATTACK: Mutex<()> = Mutex::const_new(());

/// What [`beside`] wants of a test: the attack of one would make the times of another longer.
pub(crate) struct OnlyAttack(#[expect(dead_code, reason = "it is held")] MutexGuard<'static, ()>);

impl OnlyAttack {
    /// Waits until no other test has it.
    pub(crate) async fn begin() -> Self {
        Self(ONE_ATTACK.lock().await)
    }
}

/// Runs `attack` while good callers publish. All of theirs is accepted, and nine of ten nearly as fast as
/// without it. Gives what the attack gives.
pub(crate) async fn beside<T>(
    _only: &OnlyAttack,
    target: &Arc<Target>,
    what: &str,
    attack: impl Future<Output = T>,
) -> T {
    let alone = publish(target, Until::Messages(ALONE)).await;
    let over = Arc::new(AtomicBool::new(false));
    let publishing = publish(target, Until::Over(Arc::clone(&over)));
    let attacking = async {
        let came = attack.await;
        over.store(true, Ordering::SeqCst);
        came
    };
    let (beside, came) = tokio::join!(publishing, attacking);
    eprintln!("{what}: {alone:?} alone, {beside:?} beside it (90 %)");
    assert!(
        beside <= alone * SLOWER_MAX + SLOWER_REST,
        "{what}: {alone:?} alone, {beside:?} beside it"
    );
    came
}

#[derive(Clone)]
enum Until {
    Messages(usize),
    Over(Arc<AtomicBool>),
}

/// Publishes and gives the time within which nine of ten had their 202. Each caller has its connection anew now and then, as
/// those have who come newly.
async fn publish(target: &Arc<Target>, until: Until) -> Duration {
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (target, until) = (Arc::clone(target), until.clone());
        callers.spawn(async move {
            let body = target.message("good");
            let mut took = Vec::new();
            loop {
                let enough = match &until {
                    Until::Messages(count) => took.len() >= count / CALLERS,
                    // Some at least, however short the attack.
                    Until::Over(over) => took.len() >= 10 && over.load(Ordering::SeqCst),
                };
                if enough {
                    return took;
                }
                let connection = if took.len() % 10 == 9 {
                    "close"
                } else {
                    "keep-alive"
                };
                let headers = [
                    ("content-type", "application/json"),
                    ("connection", connection),
                ];
                let start = Instant::now();
                let answer = target
                    .gateway
                    .request(
                        reqwest::Method::POST,
                        "/v1/messages",
                        &headers,
                        body.clone(),
                    )
                    .await;
                took.push(start.elapsed());
                assert_eq!(answer.status, 202, "{}", answer.text);
            }
        });
    }
    let mut took = callers.join_all().await.concat();
    took.sort_unstable();
    eprintln!(
        "median {:?}, longest {:?} of {}",
        took[took.len() / 2],
        took[took.len() - 1],
        took.len()
    );
    took[(took.len() - 1) * 9 / 10]
}
