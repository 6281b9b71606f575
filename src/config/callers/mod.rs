//! Who may come and what each may do: from the tables of the file, `api_keys` and `webhook_secrets`.
//!
//! A name may stand in all of them: its rights are those of its table, its keys and secrets come together.
//! So keys can come from where a container's secrets come from, and rights from a file that everybody may
//! read.

mod api_keys;
mod table;
mod tables;
mod webhook_secrets;

pub(super) use tables::CallerTables;

use super::given::Given;
use super::mistakes::Mistakes;
use super::options::Values;
use crate::domain::access::Callers;

/// Everybody who is configured.
pub(super) fn read(given: &Given, values: &Values, mistakes: &mut Mistakes) -> Callers {
    let mut callers = Callers::default();
    callers.allow_anonymous = values.allow_anonymous;
    given.callers.add(&mut callers, mistakes);
    api_keys::add(&values.api_keys, &mut callers, &mut |words| {
        mistakes.of(given, "api_keys", words);
    });
    webhook_secrets::add(&values.webhook_secrets, &mut callers, &mut |words| {
        mistakes.of(given, "webhook_secrets", words);
    });
    callers
}
