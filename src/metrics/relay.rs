//! What becomes of messages, what waits, and the connections to the broker.

use super::{Families, Source};
use crate::relay::{Figures, Relay, dispatch};

/// Tells of the relay.
pub struct OfRelay(pub Relay);

impl Source for OfRelay {
    fn tell(&self, told: &mut Families) {
        messages(told, &self.0);
        let figures = self.0.figures();
        backlog(told, &figures);
        lanes(told, &figures.lanes);
    }
}

fn messages(told: &mut Families, relay: &Relay) {
    let counts = relay.counts();
    told.counter(
        "amqpost_accepted_messages_total",
        "Messages that were accepted: they are safe in the store.",
        counts.accepted(),
    );
    told.counter(
        "amqpost_accepted_payload_bytes_total",
        "Bytes of the payloads of accepted messages.",
        counts.accepted_payload_bytes(),
    );
    told.counters(
        "amqpost_settled_messages_total",
        "Final statuses that were committed, by status and reason.",
        counts.settled().map(|(status, reason, count)| {
            let reason = reason.map_or("none", |reason| reason.as_str());
            ([("status", status.as_str()), ("reason", reason)], count)
        }),
    );
    told.counter(
        "amqpost_replayed_messages_total",
        "Returned and failed messages that were sent again on somebody's wish.",
        counts.replayed(),
    );
    told.counter(
        "amqpost_possibly_duplicated_messages_total",
        "Settled messages some hand-over of which left a doubt: consumers may have got them twice.",
        counts.maybe_duplicated(),
    );
    told.counter(
        "amqpost_store_refused_commits_total",
        "Commits whose new messages the store had no room for.",
        counts.refused_commits(),
    );
    told.durations(
        "amqpost_accept_duration_seconds",
        "From the queueing of a request's messages to their commit; up to 512 messages count as one.",
        counts.accept(),
    );
    told.durations(
        "amqpost_commit_duration_seconds",
        "Commits of the store, each for as many messages and statuses as had queued.",
        counts.commit(),
    );
    told.durations(
        "amqpost_settle_duration_seconds",
        "From a message's acceptance, or when it was due, to the commit of its first final status.",
        counts.settle(),
    );
}

fn backlog(told: &mut Families, figures: &Figures) {
    let backlog = &figures.backlog;
    told.gauge(
        "amqpost_accepting",
        "1 while new messages are accepted; 0 when full, failing or stopping.",
        backlog.accepting.into(),
    );
    told.gauge(
        "amqpost_pending_messages",
        "Messages without a final status, scheduled ones included.",
        backlog.messages as u64,
    );
    told.gauge(
        "amqpost_pending_messages_max",
        "How many there may be.",
        backlog.budget.messages_max as u64,
    );
    told.gauge(
        "amqpost_pending_bytes",
        "Bytes of messages without a final status, as the budget accounts them.",
        backlog.bytes as u64,
    );
    told.gauge(
        "amqpost_pending_bytes_max",
        "How many there may be.",
        backlog.budget.bytes_max as u64,
    );
    told.gauge(
        "amqpost_scheduled_messages",
        "Pending messages whose time has not come.",
        backlog.scheduled_messages as u64,
    );
}

fn lanes(told: &mut Families, lanes: &[dispatch::Figures]) {
    let sum = |of: fn(&dispatch::Figures) -> usize| lanes.iter().map(of).sum::<usize>() as u64;
    told.gauge(
        "amqpost_in_flight_messages",
        "Messages that the broker has and has not answered for.",
        sum(|lane| lane.in_flight),
    );
    told.gauge(
        "amqpost_memory_messages",
        "Pending messages in memory; the others wait in the store.",
        sum(|lane| lane.in_memory),
    );
    told.gauge(
        "amqpost_quarantined_destinations",
        "Destinations (an exchange and a routing key each) that do not answer, as lanes count them.",
        sum(|lane| lane.quarantined),
    );
    told.gauge(
        "amqpost_lanes",
        "Connections that publish, or would.",
        lanes.len() as u64,
    );
    by_lane(
        told,
        lanes,
        "amqpost_lane_up",
        "1 while the lane's connection publishes.",
        |lane| lane.up.into(),
    );
    by_lane(
        told,
        lanes,
        "amqpost_lane_blocked",
        "1 while the broker has blocked the lane's connection (memory or disk alarm).",
        |lane| lane.blocked.into(),
    );
    told.counter(
        "amqpost_lane_connections_lost_total",
        "Connections of lanes that published and have ended.",
        lanes.iter().map(|lane| lane.connections_lost).sum(),
    );
    let ends = |of: fn(&dispatch::HandoverEnds) -> u64| {
        lanes.iter().map(|lane| of(&lane.handovers)).sum::<u64>()
    };
    told.counters(
        "amqpost_handovers_total",
        "Hand-overs to the broker by how they ended; a message may take several.",
        [
            ("confirmed", ends(|ends| ends.confirmed)),
            ("returned", ends(|ends| ends.returned)),
            ("nacked", ends(|ends| ends.nacked)),
            ("unknown", ends(|ends| ends.unknown)),
            ("unsent", ends(|ends| ends.unsent)),
            ("refused", ends(|ends| ends.refused)),
        ]
        .map(|(outcome, count)| ([("outcome", outcome)], count)),
    );
}

fn by_lane(
    told: &mut Families,
    lanes: &[dispatch::Figures],
    name: &str,
    help: &str,
    of: fn(&dispatch::Figures) -> u64,
) {
    let names: Vec<_> = (1..=lanes.len()).map(|number| number.to_string()).collect();
    let values = names.iter().zip(lanes);
    told.gauges(
        name,
        help,
        values.map(|(number, lane)| ([("lane", number.as_str())], of(lane))),
    );
}
