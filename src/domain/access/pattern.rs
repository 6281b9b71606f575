//! Patterns of exchange names and routing keys: those of topic exchanges, with `*` inside words too.

use std::fmt;
use std::str::FromStr;

use crate::domain::limits::SHORT_STRING_BYTES_MAX;

/// Which names something is about.
///
/// A name consists of the words between its dots; the empty name has none. As in the binding of a topic
/// exchange, `*` stands for one word and `#` for any number of them, none included. Beside that, a `*` may
/// be a part of a word and stands for any characters there: `jobs-*`. So what is bound with a pattern and
/// what is allowed with it are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Box<str>);

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// It could match nothing that AMQP can carry.
    #[error("is {0} bytes long, at most {SHORT_STRING_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// RabbitMQ would take it literally, which is hardly what is meant.
    #[error(
        "has a # beside other characters of a word; it stands for whole words, and * for parts"
    )]
    HashInWord,
    /// No name that is accepted has any.
    #[error("has a control character")]
    Control,
}

const MANY_WORDS: &str = "#";

impl Pattern {
    /// Whether it is about `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        matches_words(&words(&self.0), &words(name))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        if text.len() > SHORT_STRING_BYTES_MAX {
            return Err(InvalidPattern::TooLong(text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidPattern::Control);
        }
        let faulty = |word: &str| word.contains(MANY_WORDS) && word != MANY_WORDS;
        if text.split('.').any(faulty) {
            return Err(InvalidPattern::HashInWord);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn words(name: &str) -> Vec<&str> {
    if name.is_empty() {
        return Vec::new();
    }
    name.split('.').collect()
}

fn matches_words(pattern: &[&str], name: &[&str]) -> bool {
    glob(
        pattern,
        name,
        |word| *word == MANY_WORDS,
        |word, candidate| matches_word(word, candidate),
    )
}

fn matches_word(pattern: &str, word: &str) -> bool {
    if !pattern.contains('*') {
        return pattern == word;
    }
    let (pattern, word) = (pattern.as_bytes(), word.as_bytes());
    glob(
        pattern,
        word,
        |byte| *byte == b'*',
        |one, other| one == other,
    )
}

/// Whether `pattern` matches all of `items`, where those of its parts that are `many` match any number of
/// items and the others match one each. Of what comes between two `many`, the leftmost place is as good as
/// any, so only the last `many` is ever gone back to: the time is the product of both lengths at most.
fn glob<P, I>(
    pattern: &[P],
    items: &[I],
    many: impl Fn(&P) -> bool,
    one: impl Fn(&P, &I) -> bool,
) -> bool {
    let (mut at, mut item) = (0, 0);
    // Where the last `many` stands, and the first item that it does not match so far.
    let mut last: Option<(usize, usize)> = None;
    while let Some(candidate) = items.get(item) {
        match pattern.get(at) {
            Some(part) if many(part) => {
                last = Some((at, item));
                at += 1;
            }
            Some(part) if one(part, candidate) => {
                at += 1;
                item += 1;
            }
            _ => match last {
                Some((star, from)) => {
                    last = Some((star, from + 1));
                    at = star + 1;
                    item = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(many)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<Pattern>().expect("a pattern").matches(name)
    }

    #[test]
    fn stars_are_words_or_parts_of_them_and_hashes_are_any_words() {
        for (pattern, good, bad) in [
            ("", &[""][..], &["a", "."][..]),
            (
                "invoices",
                &["invoices"],
                &["", "invoice", "invoices2", "Invoices"],
            ),
            ("*", &["a", "log"], &["", "a.b"]),
            (
                "log.*",
                &["log.info", "log."],
                &["log", "log.a.b", "xlog.a"],
            ),
            ("*.error", &["app.error", ".error"], &["error", "a.b.error"]),
            (
                "jobs-*",
                &["jobs-", "jobs-1"],
                &["jobs", "jobs-1.2", "xjobs-1"],
            ),
            ("*-eu-*", &["a-eu-b", "-eu-"], &["a-eu", "a.eu-b", "aeu-b"]),
            ("#", &["", "a", "a.b.c", "."], &[]),
            ("log.#", &["log", "log.a", "log.a.b"], &["", "logs.a"]),
            (
                "#.error",
                &["error", "a.error", "a.b.error"],
                &["error.a", "errors"],
            ),
            ("a.#.z", &["a.z", "a.b.z", "a.z.z"], &["a", "z", "a.b"]),
            ("#.#", &["", "a", "a.b"], &[]),
            ("*.#", &["a", "a.b"], &[""]),
        ] {
            for name in good {
                assert!(matches(pattern, name), "{pattern:?} is not about {name:?}");
            }
            for name in bad {
                assert!(!matches(pattern, name), "{pattern:?} is about {name:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_meant_is_no_pattern() {
        for (text, expected) in [
            ("log#", InvalidPattern::HashInWord),
            ("a.##", InvalidPattern::HashInWord),
            ("a.#b.c", InvalidPattern::HashInWord),
            ("a\nb", InvalidPattern::Control),
            (&"x".repeat(256), InvalidPattern::TooLong(256)),
        ] {
            assert_eq!(text.parse::<Pattern>(), Err(expected), "{text:?}");
        }
        assert!("x".repeat(255).parse::<Pattern>().is_ok());
    }

    #[test]
    fn the_worst_pattern_takes_no_time_to_speak_of() {
        let pattern = "*a".repeat(127);
        assert!(!matches(&pattern, &"a".repeat(126)));
        assert!(matches(&pattern, &"a".repeat(255)));
        let pattern = ["#", "a"].repeat(60).join(".");
        assert!(matches(&pattern, &["a"; 120].join(".")));
        assert!(!matches(&pattern, &["b"; 120].join(".")));
    }

    /// What the words say, taken literally.
    fn naive(pattern: &[&str], name: &[&str]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ["#", rest @ ..] => (0..=name.len()).any(|skipped| naive(rest, &name[skipped..])),
            [word, rest @ ..] => name
                .split_first()
                .is_some_and(|(first, others)| naive_word(word, first) && naive(rest, others)),
        }
    }

    fn naive_word(pattern: &str, word: &str) -> bool {
        match pattern.chars().next() {
            None => word.is_empty(),
            Some('*') => (word.char_indices().map(|(at, _)| at).chain([word.len()]))
                .any(|skipped| naive_word(&pattern[1..], &word[skipped..])),
            Some(first) => word
                .strip_prefix(first)
                .is_some_and(|rest| naive_word(&pattern[first.len_utf8()..], rest)),
        }
    }

    proptest! {
        #[test]
        fn every_name_is_matched_as_the_words_say(
            pattern in prop::collection::vec("#|[abä*]{0,4}", 0..6),
            name in prop::collection::vec("[abä]{0,4}", 0..6),
        ) {
            let (pattern, name) = (pattern.join("."), name.join("."));
            let expected = naive(&words(&pattern), &words(&name));
            prop_assert_eq!(matches(&pattern, &name), expected, "{:?} {:?}", pattern, name);
        }

        #[test]
        fn a_name_without_signs_matches_itself_only(name in "[a-c.]{0,6}", other in "[a-c.]{0,6}") {
            prop_assert_eq!(matches(&name, &other), name == other);
        }
    }
}
