//! What is said of a name that is none.

use super::options::DESCRIBED;

/// What the names of all variables begin with.
pub(super) const PREFIX: &str = "AMQPOST_";
/// Below this, two names are not much alike.
const LIKENESS_LEAST: f64 = 0.8;

/// `key` is no option.
pub(super) fn unknown_key(key: &str) -> String {
    let keys = DESCRIBED.iter().map(|option| option.key);
    told("is no option", nearest(key, keys))
}

/// `variable` is no option. That both begin with the gateway's name makes no two names alike.
pub(super) fn unknown_variable(variable: &str) -> String {
    let rest = |name| str::strip_prefix(name, PREFIX).unwrap_or(name);
    let variables = DESCRIBED.iter().map(|option| rest(&option.variable));
    let words = format!("the environment variable {variable} is no option");
    let meant = nearest(rest(variable), variables);
    told(&words, meant.map(|meant| format!("{PREFIX}{meant}")))
}

fn told(words: &str, nearest: Option<impl std::fmt::Display>) -> String {
    match nearest {
        Some(name) => format!("{words}; is {name} meant?"),
        None => format!("{words}; amqpost --help has all of them"),
    }
}

/// The name that `wrong` may have been meant to be.
fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |name: &str| strsim::jaro_winkler(wrong, name);
    names
        .map(|name| (likeness(name), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS_LEAST)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}
