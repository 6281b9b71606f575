//! Reading what the gateway says into the ledger's terms.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

use super::ledger::{Digest, FIELDS, Outcome, Status, Tally, Told};
use super::messages::group_number;

/// The message's resource, if it is one.
pub(crate) fn told(json: &Value) -> Option<Told> {
    Some(Told {
        id: json["id"].as_str()?.parse().ok()?,
        tag: json["message_id"].as_str().and_then(|id| id.parse().ok()),
        status: json["status"].as_str()?.parse().ok()?,
        reason: json["reason"]["code"].as_str().map(str::to_owned),
        revision: json["revision"].as_u64()?,
        attempts: json["attempts"].as_u64()?,
        replays: json["replays"].as_u64()?,
        duplicate_possible: json["duplicate_possible"].as_bool()?,
        group: json["group"].as_str().and_then(group_number),
        digest: digest(json),
    })
}

fn digest(json: &Value) -> Digest {
    Digest(FIELDS.map(|name| {
        let mut hash = DefaultHasher::new();
        json[name].to_string().hash(&mut hash);
        (hash.finish() & 0xffff) as u16 | 1
    }))
}

/// The final status that a resource tells, if it is final.
pub(crate) fn outcome(json: &Value) -> Option<Outcome> {
    let told = told(json)?;
    (told.status != Status::Pending).then_some(Outcome {
        id: told.id,
        status: told.status,
        revision: told.revision,
        digest: told.digest,
    })
}

/// Counts by status.
pub(crate) fn tally(json: &Value) -> Option<Tally> {
    Some(Tally {
        pending: json["pending"].as_u64()?,
        confirmed: json["confirmed"].as_u64()?,
        returned: json["returned"].as_u64()?,
        failed: json["failed"].as_u64()?,
    })
}
