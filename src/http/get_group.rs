//! `GET /v1/groups/{group}`: many messages at once, by the label that their caller gave them.

use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use serde::Serialize;
use tokio::time::sleep;
use utoipa::ToSchema;

use super::amqp_headers::NoAmqpHeaders;
use super::parse::Faults;
use super::prefer::Preferences;
use super::problem::{Code, Problem};
use super::state::{Gateway, stopped};
use super::{answer, openapi, query, wait};
use crate::domain::Caller;
use crate::domain::access::Access;
use crate::notify::GroupWaiter;
use crate::store::Tally;

/// A group that changes with every commit is asked about no more often than this.
const BETWEEN_LOOKS: Duration = Duration::from_millis(30);

/// The query parameters, which the document of the API is compared with.
pub(super) const PARAMETERS: [&str; 1] = ["expect"];

/// The messages of a group, by their present status.
#[derive(Serialize, ToSchema)]
#[schema(as = Group)]
pub(super) struct GroupJson<'a> {
    /// The caller's own label.
    group: &'a str,
    /// All that were accepted with it, also those that are no longer kept.
    total: u64,
    pending: u64,
    confirmed: u64,
    returned: u64,
    failed: u64,
}

impl<'a> GroupJson<'a> {
    pub(super) fn of(group: &'a str, tally: Tally) -> Self {
        Self {
            group,
            total: tally.accepted(),
            pending: tally.pending,
            confirmed: tally.confirmed,
            returned: tally.returned,
            failed: tally.failed,
        }
    }
}

/// Ask for a group
///
/// Counts of the messages with this label that the caller may see: who sees everybody's is told of all
/// callers' groups of this name together. With `Prefer: wait=N` the answer waits until none of
/// them is pending and, with `expect`, at least so many were accepted, at most N seconds; it is 200 whether
/// or not it came to that. A group of which nothing is kept is a 404: at once, unless some messages are
/// expected; those may be on their way, and so they are waited for too.
#[utoipa::path(
    get,
    path = "/v1/groups/{group}",
    operation_id = "getGroup",
    tag = "asking",
    params(openapi::GroupPath, openapi::GroupQuery, openapi::PreferGroup),
    responses(openapi::GroupResponses)
)]
pub(super) async fn get_group(
    State(gateway): State<Gateway>,
    access: Access,
    _: NoAmqpHeaders,
    group: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let expect = expect(uri.query())?;
    let wait_seconds_max = gateway.rules.limits.wait_seconds_max;
    let preferences = Preferences::of(&headers, wait_seconds_max).only_wait();
    let unknown = || Problem::new(Code::NotFound, "no message of this group is kept");
    // What is not UTF-8 is nobody's label.
    let Path(group) = group.map_err(|_| unknown())?;
    let wait = preferences.wait().unwrap_or_default();
    let tally = settled(&gateway, access.scope(), &group, expect, wait).await?;
    let told = GroupJson::of(&group, tally.ok_or_else(unknown)?);
    let mut response = answer::json(StatusCode::OK, &told);
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Prefer"));
    preferences.tell(headers);
    Ok(response)
}

fn expect(query: Option<&str>) -> Result<u64, Problem> {
    let mut faults = Faults::default();
    let [expect] = query::read(query, &PARAMETERS, &mut faults);
    let number = expect.as_deref().map_or(Some(0), |text| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    });
    if number.is_none() {
        let detail = "the query parameter expect must be a whole number of messages";
        faults.push("", detail);
    }
    query::refuse(faults)?;
    Ok(number.unwrap_or_default())
}

/// The counts of a group once it is settled, or after `wait`, or when the process stops, whatever comes
/// first.
async fn settled(
    gateway: &Gateway,
    caller: Option<&Caller>,
    group: &str,
    expect: u64,
    wait: Duration,
) -> Result<Option<Tally>, Problem> {
    let waiter = gateway.waiters.register_for_group(caller, group);
    let is_settled = |tally: &Option<Tally>| match tally {
        None => expect == 0,
        Some(tally) => wait.is_zero() || (tally.pending == 0 && tally.accepted() >= expect),
    };
    let over = async {
        tokio::select! {
            () = sleep(wait) => {}
            () = stopped(gateway.stop.clone()) => {}
        }
    };
    until(is_settled, waiter, over, || {
        let (caller, group) = (caller.cloned(), Box::<str>::from(group));
        wait::ask(gateway, move |store| store.group(caller.as_ref(), &group))
    })
    .await
}

/// Looks until what is seen `is_settled`, or the time is `over`: at once, and then when there is news, which
/// costs a look now and then however much of it there is. The waiter came before the first look, so that
/// a commit between the two is news to it.
async fn until<T, L>(
    is_settled: impl Fn(&T) -> bool,
    mut waiter: GroupWaiter,
    over: impl Future<Output = ()>,
    mut look: impl FnMut() -> L,
) -> Result<T, Problem>
where
    L: Future<Output = Result<T, Problem>>,
{
    tokio::pin!(over);
    let mut is_over = false;
    loop {
        waiter.look();
        let pause = sleep(BETWEEN_LOOKS);
        let seen = look().await?;
        if is_settled(&seen) || is_over {
            return Ok(seen);
        }
        tokio::select! {
            () = waiter.changed() => {}
            // Without news, what was seen last still holds.
            () = &mut over => return Ok(seen),
        }
        tokio::select! {
            () = pause => {}
            () = &mut over => is_over = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use super::*;
    use crate::notify::Waiters;
    use crate::store::Audience as _;

    /// Looks at a number that grows by one each millisecond, until it is `wanted` or a second is over.
    /// Answers what was seen and how often it was looked at.
    async fn watch(wanted: u64) -> (u64, u32) {
        let waiters = Arc::new(Waiters::default());
        let caller = Caller::default();
        let (number, looks) = (Cell::new(0), Cell::new(0));
        let look = || {
            looks.set(looks.get() + 1);
            let seen = number.get();
            async move { Ok(seen) }
        };
        let grow = async {
            loop {
                sleep(Duration::from_millis(1)).await;
                number.set(number.get() + 1);
                waiters.groups_changed(&mut [(&caller, "g")].into_iter());
            }
        };
        let waiter = waiters.register_for_group(Some(&caller), "g");
        let over = sleep(Duration::from_secs(1));
        let seen = tokio::select! {
            seen = until(|seen| *seen >= wanted, waiter, over, look) => seen,
            () = grow => unreachable!("it grows for ever"),
        };
        (seen.expect("seen"), looks.get())
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_commits_are_a_look_now_and_then() {
        let (seen, looks) = watch(u64::MAX).await;
        // The last look comes when the time is over, since there was news by then.
        assert!((999..=1001).contains(&seen), "{seen}");
        assert!((30..=35).contains(&looks), "{looks}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_while_the_store_is_asked_is_news() {
        let waiters = Arc::new(Waiters::default());
        let caller = Caller::default();
        let looks = Cell::new(0);
        let look = || {
            looks.set(looks.get() + 1);
            let seen = looks.get();
            if seen == 1 {
                // What was read is out of date before it is told.
                waiters.groups_changed(&mut [(&caller, "g")].into_iter());
            }
            async move { Ok(seen) }
        };
        let waiter = waiters.register_for_group(Some(&caller), "g");
        let over = sleep(Duration::from_secs(1));
        let seen = until(|seen| *seen == 2, waiter, over, look).await;
        assert_eq!(seen, Ok(2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_wanted_is_seen_soon_after_it_came() {
        let (seen, _) = watch(100).await;
        assert!((100..=131).contains(&seen), "{seen}");
        // The first news is looked at when it comes, if the last look was long ago.
        assert_eq!(watch(0).await, (0, 1));
    }
}
