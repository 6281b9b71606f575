//! Whether every outcome was told to everybody who wanted to know it, and as it was.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::{Index, Outcome, Sent, Status, Told, Violation};

pub(super) fn check(index: &Index<'_>, all: &mut Vec<Violation>) {
    nothing_is_taken_back(index, all);
    webhooks(index, all);
    events(index, all);
}

/// All who were told of one revision were told the same, the last one is the message's own, and a
/// confirmed message is never anything else.
fn nothing_is_taken_back(index: &Index<'_>, all: &mut Vec<Violation>) {
    let books = index.books;
    let mut known: HashMap<(Uuid, u64), &Outcome> = HashMap::new();
    let mut wrong: BTreeMap<(Uuid, u64), BTreeSet<&str>> = BTreeMap::new();
    let answered = books.answered.iter();
    let events = books.events.iter().map(|one| &one.outcome);
    let hooks = books.hooks.iter().map(|one| &one.outcome);
    for outcome in answered.chain(events).chain(hooks) {
        let place = (outcome.id, outcome.revision);
        let first = *known.entry(place).or_insert(outcome);
        let mut fields: BTreeSet<_> = outcome.digest.differences(first.digest).collect();
        if first.status != outcome.status {
            fields.insert("status");
        }
        match index.told.get(&outcome.id) {
            Some(told) => fields.extend(disagreements(told, outcome)),
            None => drop(fields.insert("id")),
        }
        if !fields.is_empty() {
            wrong.entry(place).or_default().extend(fields);
        }
    }
    for ((id, revision), fields) in wrong {
        let fields = fields.into_iter().collect();
        all.push(Violation::TakenBack {
            id,
            revision,
            fields,
        });
    }
}

/// In which fields an outcome does not agree with what is told at the end. Returned and failed end with
/// a replay.
fn disagreements(told: &Told, outcome: &Outcome) -> Vec<&'static str> {
    if outcome.revision < told.revision && outcome.status != Status::Confirmed {
        return Vec::new();
    }
    let mut fields: Vec<_> = outcome.digest.differences(told.digest).collect();
    if told.revision != outcome.revision {
        fields.push("revision");
    }
    if told.status != outcome.status {
        fields.push("status");
    }
    fields
}

fn webhooks(index: &Index<'_>, all: &mut Vec<Violation>) {
    let mut seen: HashMap<(Uuid, bool), HashSet<u64>> = HashMap::new();
    let mut of_id: HashMap<(&str, bool), (Uuid, u64)> = HashMap::new();
    let mut id_of: HashMap<(Uuid, u64, bool), &str> = HashMap::new();
    for hook in &index.books.hooks {
        let (id, revision, webhook_id) = (hook.outcome.id, hook.outcome.revision, &hook.webhook_id);
        if !hook.signed {
            all.push(Violation::BadSignature {
                webhook_id: webhook_id.clone(),
            });
        }
        // One event, one id, over all tries.
        let event = *of_id
            .entry((webhook_id, hook.standing))
            .or_insert((id, revision));
        let own = *id_of
            .entry((id, revision, hook.standing))
            .or_insert(webhook_id);
        if !hook.well_formed || event != (id, revision) || own != webhook_id {
            all.push(Violation::BadWebhook {
                webhook_id: webhook_id.clone(),
            });
        }
        let wanted = hook.standing || wants_callback(index, id);
        if !wanted {
            all.push(Violation::SurplusWebhook {
                id,
                revision,
                standing: hook.standing,
            });
        }
        if hook.taken {
            seen.entry((id, hook.standing))
                .or_default()
                .insert(revision);
        }
    }
    for told in index
        .books
        .told
        .iter()
        .filter(|one| one.status != Status::Pending)
    {
        let Some(sent) = index.sent(told) else {
            continue;
        };
        for standing in [true, false] {
            if standing || sent.callback {
                outcomes_were_told(sent, told, standing, &seen, all);
            }
        }
    }
}

fn wants_callback(index: &Index<'_>, id: Uuid) -> bool {
    let sent = index.told.get(&id).and_then(|told| index.sent(told));
    sent.is_some_and(|sent| sent.callback)
}

/// A message that was replayed has ended once more than it was replayed.
fn outcomes_were_told(
    sent: &Sent,
    told: &Told,
    standing: bool,
    seen: &HashMap<(Uuid, bool), HashSet<u64>>,
    all: &mut Vec<Violation>,
) {
    let (tag, id) = (sent.tag, told.id);
    let none = HashSet::new();
    let revisions = seen.get(&(id, standing)).unwrap_or(&none);
    let outcomes = told.replays + 1;
    if !revisions.contains(&told.revision) || (revisions.len() as u64) < outcomes {
        all.push(Violation::MissingWebhook { tag, id, standing });
    } else if revisions.len() as u64 > outcomes {
        let revision = told.revision;
        all.push(Violation::SurplusWebhook {
            id,
            revision,
            standing,
        });
    }
}

fn events(index: &Index<'_>, all: &mut Vec<Violation>) {
    let events = &index.books.events;
    for pair in events.windows(2) {
        if pair[0].position >= pair[1].position {
            let position = pair[1].position;
            all.push(Violation::EventsOutOfOrder { position });
        }
    }
    let told: HashSet<_> = (events.iter())
        .map(|event| (event.outcome.id, event.outcome.revision))
        .collect();
    for last in index
        .books
        .told
        .iter()
        .filter(|one| one.status != Status::Pending)
    {
        if let Some(sent) = index.sent(last)
            && !told.contains(&(last.id, last.revision))
        {
            let (tag, id) = (sent.tag, last.id);
            all.push(Violation::MissingEvent { tag, id });
        }
    }
}
