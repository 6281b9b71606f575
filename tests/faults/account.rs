//! What a campaign did: progress while it runs, and the table at the end.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::ledger::{Books, Fate, Sent, Status, Violation};
use super::plan::Fault;
use super::site::Site;

/// Violations that are printed in full, of each kind.
const SHOWN_MAX: usize = 5;

/// How often each fault happened, or could not happen here.
#[derive(Default)]
pub(crate) struct Faults {
    done: Mutex<BTreeMap<Fault, u32>>,
    left_out: Mutex<BTreeMap<Fault, String>>,
}

impl Faults {
    pub(crate) fn did(&self, fault: Fault) {
        *self.done.lock().entry(fault).or_default() += 1;
    }

    pub(crate) fn left_out(&self, fault: Fault, why: &str) {
        self.left_out.lock().insert(fault, why.to_owned());
    }

    fn count(&self) -> u32 {
        self.done.lock().values().sum()
    }
}

/// A line that says how far it is.
pub(crate) fn show_progress(site: &Site) {
    let (seconds, books) = (site.now_ms() / 1000, site.books.lock());
    site.say(&format!(
        "{seconds:5} s: {} faults; {} messages sent, {} copies consumed, {} webhooks, {} events",
        site.faults.count(),
        books.sent.len(),
        books.copies.len(),
        books.hooks.len(),
        books.events.len(),
    ));
}

/// The table at the end.
pub(crate) fn show_table(site: &Site, books: &Books, violations: &[Violation]) {
    site.say("faults");
    for (fault, count) in site.faults.done.lock().iter() {
        site.say(&format!("  {count:6}  {fault:?}"));
    }
    for (fault, why) in site.faults.left_out.lock().iter() {
        site.say(&format!("       -  {fault:?} was left out: {why}"));
    }
    let count = |what: &dyn Fn(&Fate) -> bool| {
        let fates = books.sent.iter().map(Sent::fate);
        fates.filter(|fate| what(fate)).count()
    };
    let told = |status| books.told.iter().filter(|one| one.status == status).count();
    let flagged = books
        .told
        .iter()
        .filter(|one| one.duplicate_possible)
        .count();
    let copies = books.duplicates();
    let rows = [
        ("messages sent", books.sent.len()),
        (
            "  accepted",
            count(&|fate| matches!(fate, Fate::Accepted(_))),
        ),
        (
            "  answered with an error",
            count(&|fate| *fate == Fate::Refused),
        ),
        (
            "  never answered for certain",
            count(&|fate| *fate == Fate::Unknown),
        ),
        ("messages kept", books.told.len()),
        ("  confirmed", told(Status::Confirmed)),
        ("  returned", told(Status::Returned)),
        ("  failed", told(Status::Failed)),
        ("  flagged duplicate_possible", flagged),
        ("copies consumed", books.copies.len()),
        ("  duplicates, flagged", copies.0),
        ("  duplicates, not flagged", copies.1),
        ("webhooks", books.hooks.len()),
        ("events", books.events.len()),
        ("violations", violations.len()),
    ];
    site.say("messages");
    for (name, count) in rows {
        site.say(&format!("  {count:9}  {name}"));
    }
    show_violations(site, violations);
}

fn show_violations(site: &Site, violations: &[Violation]) {
    let mut by_name: BTreeMap<String, Vec<&Violation>> = BTreeMap::new();
    for one in violations {
        by_name.entry(one.name()).or_default().push(one);
    }
    for (name, all) in by_name {
        site.say(&format!("{} x {name}", all.len()));
        for one in all.iter().take(SHOWN_MAX) {
            site.say(&format!("    {one}"));
        }
    }
}
