//! A resource in few bytes, since a long campaign keeps some for each message.

/// All fields of a resource, each in short, so that two that differ can say where. 0 is what is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest(pub(crate) [u16; FIELDS.len()]);

/// The fields of a resource.
pub(crate) const FIELDS: [&str; 18] = [
    "id",
    "status",
    "revision",
    "exchange",
    "routing_key",
    "mandatory",
    "message_id",
    "size_bytes",
    "accepted_at",
    "settled_at",
    "attempts",
    "replays",
    "duplicate_possible",
    "group",
    "deliver_at",
    "next_attempt_at",
    "give_up_at",
    "reason",
];

impl Digest {
    /// The fields in which they differ.
    pub(super) fn differences(self, other: Self) -> impl Iterator<Item = &'static str> {
        let both = self.0.into_iter().zip(other.0).zip(FIELDS);
        both.filter_map(|((one, other), name)| {
            (one != other && one != 0 && other != 0).then_some(name)
        })
    }
}
