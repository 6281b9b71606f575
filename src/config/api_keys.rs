//! `api_keys`: who may come, as `name:key` pairs.

use crate::domain::Caller;
use crate::http::ApiKeys;

/// The keys in `text`. No mistake shows a key: entries are told by their number.
pub(super) fn parse(text: &str, wrong: &mut impl FnMut(&str)) -> ApiKeys {
    let mut keys = ApiKeys::default();
    let mut mistake = |words: String| wrong(&words);
    let entries = text.split(',').map(str::trim);
    for (number, entry) in (1..).zip(entries) {
        if entry.is_empty() {
            // A comma at the end does no harm. Nothing but commas would protect nothing.
            continue;
        }
        let Some((name, key)) = entry.split_once(':') else {
            mistake(format!("entry {number} must be name:key"));
            continue;
        };
        match Caller::named(name) {
            Err(error) => mistake(format!("entry {number}: {error}")),
            Ok(caller) => {
                if let Err(error) = keys.add(caller, key) {
                    mistake(format!("entry {number}, of {name}: {error}"));
                }
            }
        }
    }
    if keys.is_empty() && !text.is_empty() && text.split(',').all(|entry| entry.trim().is_empty()) {
        mistake("holds no name:key".to_owned());
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Vec<String>, Vec<String>) {
        let mut mistakes = Vec::new();
        let keys = parse(text, &mut |words| mistakes.push(words.to_owned()));
        let names = keys.callers().iter().map(ToString::to_string).collect();
        (names, mistakes)
    }

    #[test]
    fn pairs_are_separated_by_commas_and_keys_may_hold_colons() {
        let text = "a:0123456789abcdef, b:0123456789:bcdef,a:fedcba9876543210,";
        assert_eq!(parsed(text), (vec!["a".into(), "b".into()], vec![]));
        assert_eq!(parsed(""), (vec![], vec![]));
    }

    #[test]
    fn every_mistake_is_told_and_no_key_is_shown() {
        let text =
            "secret0123456789,b:secret,c d:secret0123456789,e:secret0123456789,f:secret0123456789";
        let (names, mistakes) = parsed(text);
        assert_eq!(names, ["e"]);
        let told = mistakes.join("\n");
        for words in [
            "entry 1 must",
            "entry 2, of b",
            "16 to 512",
            "entry 3",
            "entry 5, of f",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        assert!(!told.contains("secret"), "{told}");
        assert_eq!(parsed(" , ").1.len(), 1);
    }
}
