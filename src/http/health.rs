//! `GET /healthz` and `GET /readyz`, for whoever starts and stops gateways.
//!
//! A broker that is away does not make the gateway unready: messages are kept. No addresses are
//! told, since these endpoints are open to everybody.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::state::{CallersLoaded, Gateway};
use super::{answer, openapi};
use crate::domain::topology;
use crate::relay::{BrokerHealth, Health};

/// The process lives.
#[derive(Serialize, ToSchema)]
#[schema(as = Alive)]
pub(super) struct AliveJson {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether new messages are accepted.
#[derive(Serialize, ToSchema)]
#[schema(as = Readiness)]
pub(super) struct ReadinessJson<'a> {
    /// `ready` or `not_ready`.
    #[schema(example = "ready")]
    status: &'static str,
    /// The process is about to stop, and still serves.
    stopping: bool,
    store: StoreJson,
    broker: BrokerJson<'a>,
    topology: TopologyJson<'a>,
    callers: CallersJson,
}

/// The store of messages.
#[derive(Serialize, ToSchema)]
#[schema(as = StoreState)]
pub(super) struct StoreJson {
    /// `ok`, or `refusing` while it takes nothing: full, failing or stopping.
    #[schema(example = "ok")]
    state: &'static str,
    /// Messages without a final status.
    pending_messages: usize,
}

/// The broker as the connections to it see it.
#[derive(Serialize, ToSchema)]
#[schema(as = BrokerState)]
pub(super) struct BrokerJson<'a> {
    /// `up`; `degraded` when some lanes are down or blocked; `blocked` when the broker takes nothing
    /// on any; `down` when none is connected.
    #[schema(example = "up")]
    state: &'static str,
    /// Connections that publish, or would.
    lanes: usize,
    /// Those that are connected.
    lanes_up: usize,
    /// Those of the connected ones that the broker has blocked.
    lanes_blocked: usize,
    /// Destinations (an exchange and a routing key each) that do not answer, as each lane counts
    /// them. Their messages wait; others go on.
    quarantined: usize,
    /// Why a lane is down or blocked.
    #[schema(required)]
    reason: Option<WhyJson<'a>>,
}

/// Why the broker is not fully there.
#[derive(Serialize, ToSchema)]
#[schema(as = BrokerReason)]
pub(super) struct WhyJson<'a> {
    /// Stable, for programs.
    code: &'a str,
    /// One sentence for people.
    detail: &'a str,
}

/// The exchanges, queues and bindings that the gateway declares at start.
#[derive(Serialize, ToSchema)]
#[schema(as = TopologyState)]
pub(super) struct TopologyJson<'a> {
    /// `none` when no file is configured; `waiting` until the broker was reached, and nothing is
    /// published before; `declared`; `mismatch` when some of it could not be declared, which is tried
    /// again now and then, and publishing goes on.
    #[schema(example = "declared")]
    state: &'static str,
    /// What the file has.
    exchanges: usize,
    /// What the file has.
    queues: usize,
    /// What the file has.
    bindings: usize,
    /// Why it is waiting.
    #[schema(required)]
    detail: Option<&'static str>,
    /// How many entries could not be declared.
    problems_total: usize,
    /// The first 20 of them.
    problems: Vec<TopologyProblemJson<'a>>,
}

/// An entry that could not be declared.
#[derive(Serialize, ToSchema)]
#[schema(as = TopologyProblem)]
pub(super) struct TopologyProblemJson<'a> {
    /// What.
    #[schema(example = "queue \"info.log.queue\"")]
    entry: &'a str,
    /// `precondition_failed` when it exists and differs, or an argument is not accepted;
    /// `access_refused`, `not_found`, `refused`, `no_answer`.
    #[schema(example = "precondition_failed")]
    code: &'static str,
    /// The broker's own words.
    detail: &'a str,
}

/// Who may come and what each may do, as it was read last.
#[derive(Serialize, ToSchema)]
#[schema(as = CallersState)]
pub(super) struct CallersJson {
    /// `loaded`, or `kept` when the configuration has changed since and has mistakes: then the callers
    /// stay as they were, and the log names the mistakes.
    #[schema(example = "loaded")]
    state: &'static str,
    /// When those that are in force were read.
    #[schema(value_type = String, format = DateTime)]
    loaded_at: String,
    /// When some were last refused for a mistake, if that was later.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    refused_at: Option<String>,
}

impl CallersJson {
    fn of(reloads: CallersLoaded) -> Self {
        Self {
            state: match reloads.refused_at {
                None => "loaded",
                Some(_) => "kept",
            },
            loaded_at: reloads.loaded_at.to_string(),
            refused_at: reloads.refused_at.map(|at| at.to_string()),
        }
    }
}

/// Problems that are told at most.
const PROBLEMS_MAX: usize = 20;

/// The process lives
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "alive",
    tag = "operating",
    security(()),
    responses((status = 200, description = "It does.", body = inline(AliveJson)), openapi::OperatingResponses)
)]
pub(super) async fn alive() -> Response {
    answer::json(StatusCode::OK, &AliveJson { status: "ok" })
}

/// New messages are accepted
///
/// A broker that is away does not make the gateway unready, since messages are kept.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "ready",
    tag = "operating",
    security(()),
    responses(
        (status = 200, description = "They are.", body = ReadinessJson),
        (status = 503, description = "They are not.", body = ReadinessJson),
        openapi::OperatingResponses
    )
)]
pub(super) async fn ready(State(gateway): State<Gateway>) -> Response {
    let health = gateway.backend.health();
    let stopping = *gateway.leaving.borrow();
    let status = if health.accepting && !stopping {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let topology = gateway.topology.borrow().clone();
    let reloads = *gateway.reloads.borrow();
    answer::json(status, &readiness(&health, stopping, &topology, reloads))
}

fn topology_json(topology: &topology::Status) -> TopologyJson<'_> {
    let told = topology.problems.iter().take(PROBLEMS_MAX);
    TopologyJson {
        state: topology.state.as_str(),
        exchanges: topology.counts.exchanges,
        queues: topology.counts.queues,
        bindings: topology.counts.bindings,
        detail: topology.waiting_for,
        problems_total: topology.problems.len(),
        problems: told
            .map(|problem| TopologyProblemJson {
                entry: &problem.entry,
                code: problem.kind.as_str(),
                detail: &problem.detail,
            })
            .collect(),
    }
}

fn readiness<'a>(
    health: &'a Health,
    stopping: bool,
    topology: &'a topology::Status,
    reloads: CallersLoaded,
) -> ReadinessJson<'a> {
    let ready = health.accepting && !stopping;
    ReadinessJson {
        status: if ready { "ready" } else { "not_ready" },
        stopping,
        store: StoreJson {
            state: if health.accepting { "ok" } else { "refusing" },
            pending_messages: health.pending_messages,
        },
        broker: BrokerJson::of(&health.broker),
        topology: topology_json(topology),
        callers: CallersJson::of(reloads),
    }
}

impl<'a> BrokerJson<'a> {
    /// The same, as callers see it.
    pub(super) fn of(broker: &'a BrokerHealth) -> Self {
        Self {
            state: broker_state(broker),
            lanes: broker.lanes,
            lanes_up: broker.lanes_up,
            lanes_blocked: broker.lanes_blocked,
            quarantined: broker.quarantined,
            reason: broker.reason.as_ref().map(|reason| WhyJson {
                code: reason.code.as_str(),
                detail: &reason.detail,
            }),
        }
    }
}

fn broker_state(broker: &BrokerHealth) -> &'static str {
    if broker.lanes_up == 0 {
        "down"
    } else if broker.lanes_blocked >= broker.lanes_up {
        "blocked"
    } else if broker.lanes_blocked > 0 || broker.lanes_up < broker.lanes {
        "degraded"
    } else {
        "up"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_is_what_its_lanes_are() {
        let state = |lanes_up, lanes_blocked| {
            broker_state(&BrokerHealth {
                lanes_up,
                lanes_blocked,
                lanes: 4,
                quarantined: 1,
                reason: None,
            })
        };
        assert_eq!(state(4, 0), "up");
        assert_eq!(state(3, 0), "degraded");
        assert_eq!(state(4, 1), "degraded");
        assert_eq!(state(4, 4), "blocked");
        assert_eq!(state(2, 2), "blocked");
        assert_eq!(state(0, 0), "down");
    }

    #[test]
    fn all_problems_of_a_topology_are_counted_and_the_first_are_told() {
        let problem = |number: usize| topology::Problem {
            entry: format!("queue \"{number}\""),
            kind: topology::ProblemKind::AccessRefused,
            detail: "ACCESS_REFUSED".to_owned(),
        };
        let status = topology::Status {
            state: topology::State::Mismatch,
            problems: (0..100).map(problem).collect(),
            ..topology::Status::default()
        };
        let told = topology_json(&status);
        assert_eq!((told.state, told.problems_total), ("mismatch", 100));
        assert_eq!(told.problems.len(), PROBLEMS_MAX);
        assert_eq!(told.problems[19].entry, "queue \"19\"");
    }
}
