//! The suite of every store, with kills and power cuts, and a look from end to end afterwards.

use proptest::prelude::*;

use super::super::operate;
use super::{Bench, options};
use crate::store::contract::outbox::{any_outbox_operations, follow_outbox};
use crate::store::contract::{Ending, Subject, any_operations, follow};
use crate::store::{OutboxStore, ReadStore, WriteStore};

impl Subject for Bench {
    fn writer(&mut self) -> &mut dyn WriteStore {
        self.store()
    }

    fn outbox(&self) -> &dyn OutboxStore {
        Bench::reader(self)
    }

    fn reader(&self) -> &dyn ReadStore {
        Bench::reader(self)
    }

    fn reopen(&mut self, ending: Ending, partitions: u8) {
        match ending {
            Ending::Closed => self.close(),
            Ending::Killed => self.kill(),
            Ending::PowerCut => self.cut_power(),
        }
        self.options.partitions = partitions;
        self.options.partition_of = options(partitions).partition_of;
        let opened = self.open().expect("open again");
        assert_eq!(opened.was_clean, ending == Ending::Closed);
    }

    fn keeps_everything(&self) -> bool {
        self.options.history_bytes_max > 1 << 20
    }

    fn problems(&self) -> Vec<String> {
        operate::check(self.path()).expect("check")
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_store_on_sqlite_keeps_the_contract(operations in any_operations()) {
        follow(&mut Bench::new(options(4)), &operations);
    }

    #[test]
    fn the_outbox_on_sqlite_keeps_the_contract(operations in any_outbox_operations()) {
        follow_outbox(&mut Bench::new(options(4)), &operations);
    }

    #[test]
    fn the_store_on_sqlite_forgets_only_what_is_settled(operations in any_operations()) {
        let options = super::Options { history_bytes_max: 700, ..options(4) };
        follow(&mut Bench::new(options), &operations);
    }
}
