//! Whether the gateway counts what there is.

use std::collections::BTreeMap;

use super::{Index, Tally, Violation};

pub(super) fn check(index: &Index<'_>, all: &mut Vec<Violation>) {
    let books = index.books;
    let mut stats = Tally::default();
    let mut groups: BTreeMap<u8, Tally> = BTreeMap::new();
    for told in &books.told {
        stats.count(told.status);
        if let Some(group) = told.group {
            groups.entry(group).or_default().count(told.status);
        }
    }
    compare("all", books.stats, stats, all);
    let mut names: Vec<_> = groups.keys().chain(books.groups.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let of = |tallies: &BTreeMap<u8, Tally>| tallies.get(name).copied().unwrap_or_default();
        compare(
            &format!("group {name}"),
            of(&books.groups),
            of(&groups),
            all,
        );
    }
}

fn compare(of: &str, told: Tally, counted: Tally, all: &mut Vec<Violation>) {
    if told != counted {
        let of = of.to_owned();
        all.push(Violation::FalseTally { of, told, counted });
    }
}
