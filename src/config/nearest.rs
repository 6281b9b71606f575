//! What is said of a name that is none.

use super::options::DESCRIBED;

/// Below this, two names are not much alike.
const LIKENESS_LEAST: f64 = 0.8;

/// `key` is no option.
pub(super) fn unknown_key(key: &str) -> String {
    let keys = DESCRIBED.iter().map(|option| option.key);
    told("is no option", nearest(key, keys))
}

/// `variable` is no option.
pub(super) fn unknown_variable(variable: &str) -> String {
    let variables = DESCRIBED.iter().map(|option| option.variable.as_str());
    let words = format!("the environment variable {variable} is no option");
    told(&words, nearest(variable, variables))
}

fn told(words: &str, nearest: Option<&str>) -> String {
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
