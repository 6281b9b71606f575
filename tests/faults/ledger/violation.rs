//! What can be wrong.

use std::fmt;

use uuid::Uuid;

use super::{Kind, OrderKey, Status, Tag, Tally};

/// Something that is not as it was promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// Whatever is wrong by itself.
    Incident(String),
    /// It was accepted, and the gateway does not know it.
    Forgotten { tag: Tag, id: Uuid },
    /// The gateway has a message that nobody sent.
    NobodySent { id: Uuid },
    /// It was answered with an error, and the gateway has it.
    RefusedAndKept { tag: Tag, id: Uuid },
    /// It was answered with an error, and was consumed.
    RefusedAndConsumed { tag: Tag },
    /// It has no final status at the end.
    NeverEnded { tag: Tag, id: Uuid },
    /// It is confirmed, and no consumer got it.
    Lost { tag: Tag, id: Uuid },
    /// It is returned or failed without a doubt, and was consumed.
    ConsumedAndDenied { tag: Tag, id: Uuid, status: Status },
    /// A message of this kind cannot end so.
    FalseStatus {
        tag: Tag,
        id: Uuid,
        kind: Kind,
        status: Status,
        reason: Option<String>,
    },
    /// A message or a key has several ids.
    SeveralIds { tag: Tag, ids: Vec<Uuid> },
    /// It arrived with another message's id, or is unknown to the gateway.
    Unaccounted { id: Uuid },
    /// What arrived is not what was sent.
    Altered { id: Uuid },
    /// Several copies came without the flag.
    UnflaggedDuplicate { tag: Tag, id: Uuid, copies: usize },
    /// A consumer was warned of a duplicate, or got one, and whoever asks is not told.
    DoubtUntold { tag: Tag, id: Uuid },
    /// The first copy of the later one came before that of the earlier one.
    OutOfOrder {
        key: OrderKey,
        earlier: Tag,
        later: Tag,
    },
    /// Of two that were accepted one after the other the later one has the smaller id.
    IdsOutOfOrder { earlier: Tag, later: Tag },
    /// A final status was told that is not the message's any more, or two of one revision differ.
    TakenBack {
        id: Uuid,
        revision: u64,
        fields: Vec<&'static str>,
    },
    /// So many webhooks for so many outcomes; each outcome has its own.
    MissingWebhook { tag: Tag, id: Uuid, standing: bool },
    /// A webhook for an outcome that there was not, or to whom it does not concern.
    SurplusWebhook {
        id: Uuid,
        revision: u64,
        standing: bool,
    },
    /// A webhook whose signature is not that of its secret.
    BadSignature { webhook_id: String },
    /// A webhook whose body or id does not agree with its outcome.
    BadWebhook { webhook_id: String },
    /// The stream did not tell of the last outcome.
    MissingEvent { tag: Tag, id: Uuid },
    /// Positions of the stream did not grow.
    EventsOutOfOrder { position: u64 },
    /// What was counted is not what there is.
    FalseTally {
        of: String,
        told: Tally,
        counted: Tally,
    },
}

impl Violation {
    /// Whether it may be only late.
    pub(super) fn may_still_come(&self) -> bool {
        matches!(
            self,
            Self::Lost { .. }
                | Self::NeverEnded { .. }
                | Self::MissingWebhook { .. }
                | Self::MissingEvent { .. }
        )
    }

    /// The kind, for a table.
    pub(crate) fn name(&self) -> String {
        let text = format!("{self:?}");
        let end = text
            .find(|c: char| !c.is_alphanumeric())
            .unwrap_or(text.len());
        text[..end].to_owned()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incident(what) => f.write_str(what),
            other => write!(f, "{other:?}"),
        }
    }
}
