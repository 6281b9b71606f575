//! What the model answers.

use std::sync::Arc;

use super::{Kept, Model, Place};
use crate::domain::{Caller, Message, MessageId, RowId, Status, Turn, WallTime};
use crate::store::{
    DueMessages, Filter, PartitionFacts, Pending, Record, Standing, Tally, UsedKey,
};

impl Kept {
    pub(in crate::store::contract) fn record(&self) -> Record {
        let mut record = Record {
            replays: self.replays,
            give_up_at: self.give_up_at,
            doubt: self.doubt(),
            ..Record::of(&self.message, self.settled().cloned())
        };
        match self.place {
            Place::Scheduled(due) => {
                record.deliver_at = Some(due.at);
                record.give_up_at = self.message.give_up_at(due.at);
            }
            Place::Turn(turn, _) => {
                record.standing = Some(Standing {
                    turn,
                    footprint_bytes: self.message.footprint_bytes() as u64,
                });
            }
            Place::Ended(..) => {}
        }
        record
    }

    fn turn(&self) -> Option<(Turn, u8)> {
        match self.place {
            Place::Turn(turn, partition) => Some((turn, partition)),
            _ => None,
        }
    }
}

impl Model {
    /// The message that the key was last used for, with its fingerprint.
    pub(in crate::store::contract) fn used_key(
        &self,
        caller: &Caller,
        key: &str,
    ) -> Option<UsedKey> {
        let used = |kept: &Kept| {
            let used = kept.key.as_ref().filter(|used| &*used.key == key)?;
            (kept.message.draft.caller == *caller).then_some(UsedKey {
                id: kept.message.id,
                fingerprint: used.fingerprint,
            })
        };
        self.kept.iter().rev().find_map(used)
    }

    pub(in crate::store::contract) fn pending(
        &self,
        partition: u8,
        after: Option<Turn>,
        messages_max: usize,
        bytes_max: usize,
    ) -> Vec<Pending> {
        let mut theirs: Vec<_> = (self.kept.iter())
            .filter_map(|kept| Some((kept.turn()?, kept)))
            .filter(|((turn, at), _)| *at == partition && after.is_none_or(|after| *turn > after))
            .map(|((turn, _), kept)| (turn, kept))
            .collect();
        theirs.sort_by_key(|(turn, _)| *turn);
        let mut bytes = 0;
        let fits = |(at, (_, kept)): &(usize, (Turn, &Kept))| {
            bytes += kept.message.footprint_bytes();
            *at == 0 || (*at < messages_max && bytes <= bytes_max)
        };
        let read = theirs.into_iter().enumerate().take_while(fits);
        read.map(|(_, (turn, kept))| Pending {
            message: Arc::clone(&kept.message),
            turn,
            replays: kept.replays,
            duplicate_possible: kept.doubt().is_some(),
            attempts: kept.doubt().unwrap_or(0),
        })
        .collect()
    }

    pub(in crate::store::contract) fn due(
        &self,
        now: WallTime,
        messages_max: usize,
        bytes_max: usize,
    ) -> DueMessages {
        let mut scheduled: Vec<_> = (self.kept.iter())
            .filter_map(|kept| match kept.place {
                Place::Scheduled(due) => Some((due.at, kept)),
                _ => None,
            })
            .collect();
        scheduled.sort_by_key(|(at, kept)| (*at, kept.message.id));
        let (mut due, mut bytes) = (DueMessages::default(), 0);
        for (at, kept) in scheduled {
            bytes += kept.message.footprint_bytes();
            let many = due.messages.len() >= messages_max || bytes > bytes_max;
            if at > now || (many && !due.messages.is_empty()) {
                due.next = Some(at);
                break;
            }
            due.messages.push(Arc::clone(&kept.message));
        }
        due
    }

    pub(in crate::store::contract) fn overdue(&self, now: WallTime) -> Vec<Record> {
        let overdue = |kept: &Kept| {
            let (turn, _) = kept.turn()?;
            let at = kept.give_up_at.filter(|at| *at <= now)?;
            Some(((at, turn), kept.record()))
        };
        let mut found: Vec<_> = self.kept.iter().filter_map(overdue).collect();
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().map(|(_, record)| record).collect()
    }

    pub(in crate::store::contract) fn partitions(&self) -> Vec<PartitionFacts> {
        let mut facts = vec![PartitionFacts::default(); usize::from(super::super::PARTITIONS_MAX)];
        for kept in &self.kept {
            if let Some((_, partition)) = kept.turn() {
                add(&mut facts[usize::from(partition)], &kept.message);
            }
        }
        facts
    }

    pub(in crate::store::contract) fn scheduled(&self) -> PartitionFacts {
        let mut facts = PartitionFacts::default();
        let scheduled = |kept: &&Kept| matches!(kept.place, Place::Scheduled(_));
        for kept in self.kept.iter().filter(scheduled) {
            add(&mut facts, &kept.message);
        }
        facts
    }

    pub(in crate::store::contract) fn oldest_pending(&self) -> Option<RowId> {
        self.waiting(None).first().map(|id| id.row())
    }

    pub(in crate::store::contract) fn tally(&self, caller: Option<&Caller>) -> Tally {
        self.tally_of(|record| caller.is_none_or(|caller| *caller == record.caller))
    }

    pub(in crate::store::contract) fn tally_of(&self, which: impl Fn(&Record) -> bool) -> Tally {
        let mut tally = Tally::default();
        for (record, _) in self.records() {
            if which(&record) {
                let status = record.outcome.map_or(Status::Pending, |end| end.status);
                *tally.of(status) += 1;
            }
        }
        tally
    }

    /// What has a turn, of a caller or of everybody, oldest first.
    pub(in crate::store::contract) fn waiting(&self, caller: Option<&Caller>) -> Vec<MessageId> {
        let waiting = self.kept.iter().filter(|kept| kept.turn().is_some());
        let messages = waiting.map(|kept| &kept.message);
        let theirs =
            messages.filter(|message| caller.is_none_or(|caller| *caller == message.draft.caller));
        theirs.map(|message| message.id).collect()
    }

    /// What matches, newest first.
    pub(in crate::store::contract) fn list(&self, filter: &Filter) -> Vec<Record> {
        let early = |kept: &&Kept| match kept.place {
            Place::Ended(_, position) => filter.settled_to.is_none_or(|to| position <= to),
            _ => true,
        };
        let records = self.kept.iter().filter(early).map(Kept::record);
        let mut matching: Vec<_> = records.filter(|record| filter.matches(record)).collect();
        matching.reverse();
        matching
    }

    pub(in crate::store::contract) fn records(&self) -> impl Iterator<Item = (Record, &Message)> {
        self.kept.iter().map(|kept| (kept.record(), &*kept.message))
    }
}

fn add(facts: &mut PartitionFacts, message: &Message) {
    facts.messages += 1;
    facts.bytes += message.footprint_bytes() as u64;
}
