//! `GET /v1/stats`: the messages that the caller may see, in numbers.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::amqp_headers::NoAmqpHeaders;
use super::health::BrokerJson;
use super::problem::Problem;
use super::query::NoQuery;
use super::state::Gateway;
use super::{answer, openapi, wait};
use crate::clock;
use crate::domain::MessageId;
use crate::domain::access::Access;
use crate::notify::PerSecond;
use crate::store::{Oldest, Tally};

/// Messages that are looked at for the oldest pending one.
const EXAMINED_MAX: usize = 10_000;

/// The messages that the caller may see, in numbers.
#[derive(Serialize, ToSchema)]
#[schema(as = Stats)]
pub(super) struct StatsJson<'a> {
    /// Messages that were ever accepted, by their present status, also those that are no longer kept.
    counts: CountsJson,
    rates: RatesJson,
    backlog: BacklogJson,
    /// Messages that were accepted later are all kept; null when nothing was forgotten yet.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    history_since: Option<String>,
    broker: BrokerJson<'a>,
}

/// Messages by their status.
#[derive(Serialize, ToSchema)]
#[schema(as = Counts)]
pub(super) struct CountsJson {
    pending: u64,
    confirmed: u64,
    returned: u64,
    failed: u64,
}

/// Messages a second over the last minute, or as much of it as the gateway has seen.
#[derive(Serialize, ToSchema)]
#[schema(as = Rates)]
pub(super) struct RatesJson {
    /// The seconds that were looked at; 0 when nothing can be told yet.
    seconds: f64,
    /// Newly accepted, a second.
    accepted: f64,
    /// Confirmed, a second.
    confirmed: f64,
    /// Returned, a second.
    returned: f64,
    /// Failed, a second.
    failed: f64,
}

/// What has no final status yet.
#[derive(Serialize, ToSchema)]
#[schema(as = Backlog)]
pub(super) struct BacklogJson {
    /// Pending messages.
    messages: u64,
    /// The pending message that was accepted first, of those whose time has come; null when there is none,
    /// or when there is too much of other callers' before it to look any further.
    #[schema(required)]
    oldest: Option<OldestJson>,
    /// In the latter case: it was accepted after this time. Else null.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    oldest_accepted_after: Option<String>,
}

/// The oldest pending message.
#[derive(Serialize, ToSchema)]
#[schema(as = OldestPending)]
pub(super) struct OldestJson {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: String,
    /// When it was accepted, as its id tells it.
    #[schema(value_type = String, format = DateTime)]
    accepted_at: String,
}

/// Ask for numbers
///
/// What this caller may see: counts by status, rates over the last minute, the backlog, since when
/// history is kept, and the state of the broker.
#[utoipa::path(
    get,
    path = "/v1/stats",
    operation_id = "stats",
    tag = "asking",
    responses(openapi::StatsResponses)
)]
pub(super) async fn stats(
    State(gateway): State<Gateway>,
    access: Access,
    _: (NoQuery, NoAmqpHeaders),
) -> Result<Response, Problem> {
    let whose = access.scope().cloned();
    let asked = wait::ask(&gateway, move |store| {
        let tally = store.tally(whose.as_ref())?;
        let oldest = store.oldest_pending(whose.as_ref(), EXAMINED_MAX)?;
        Ok((tally, oldest, store.facts()?.horizon))
    });
    let (tally, oldest, horizon) = asked.await?;
    let (scope, now) = (access.scope(), clock::monotonic());
    let rates = gateway.rates.per_second(scope, now, tally);
    let health = gateway.backend.health();
    let told = StatsJson {
        counts: CountsJson::of(tally),
        rates: RatesJson::of(rates),
        backlog: BacklogJson::of(tally, oldest),
        history_since: horizon.map(|row| row.time().to_string()),
        broker: BrokerJson::of(&health.broker),
    };
    Ok(answer::json(StatusCode::OK, &told))
}

impl CountsJson {
    fn of(tally: Tally) -> Self {
        Self {
            pending: tally.pending,
            confirmed: tally.confirmed,
            returned: tally.returned,
            failed: tally.failed,
        }
    }
}

impl RatesJson {
    fn of(rates: PerSecond) -> Self {
        // More digits would only be noise.
        let rounded = |rate: f64| (rate * 1000.0).round() / 1000.0;
        Self {
            seconds: rounded(rates.seconds),
            accepted: rounded(rates.accepted),
            confirmed: rounded(rates.confirmed),
            returned: rounded(rates.returned),
            failed: rounded(rates.failed),
        }
    }
}

impl BacklogJson {
    fn of(tally: Tally, oldest: Oldest) -> Self {
        let message = |id: MessageId| OldestJson {
            id: id.to_string(),
            accepted_at: id.row().time().to_string(),
        };
        let (oldest, after) = match oldest {
            Oldest::None => (None, None),
            Oldest::Message(id) => (Some(message(id)), None),
            Oldest::After(row) => (None, Some(row.time().to_string())),
        };
        Self {
            messages: tally.pending,
            oldest,
            oldest_accepted_after: after,
        }
    }
}

/// Numbers as they may look, for the document.
pub(super) fn example() -> Option<serde_json::Value> {
    use crate::domain::{RowId, WallTime};
    use crate::relay::BrokerHealth;
    let accepted_at = WallTime::from_unix_ms(1_795_341_600_123);
    let row = RowId::from_stored(accepted_at.unix_ms() << 12);
    let tally = Tally {
        pending: 1,
        confirmed: 9990,
        returned: 6,
        failed: 3,
    };
    let broker = BrokerHealth {
        lanes_up: 4,
        lanes_blocked: 0,
        lanes: 4,
        quarantined: 0,
        reason: None,
    };
    let told = StatsJson {
        counts: CountsJson::of(tally),
        rates: RatesJson::of(PerSecond {
            seconds: 60.0,
            accepted: 25.5,
            confirmed: 25.4,
            returned: 0.1,
            failed: 0.0,
        }),
        backlog: BacklogJson::of(tally, Oldest::Message(MessageId::from_parts(row, 7))),
        history_since: None,
        broker: BrokerJson::of(&broker),
    };
    serde_json::to_value(told).ok()
}
