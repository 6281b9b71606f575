//! `api_keys`: who may come, as `name:key` pairs.

use crate::domain::Caller;
use crate::domain::access::{Callers, KeyHash};

/// Gives the keys in `text` to `callers`. No mistake shows a key: entries are told by their number.
pub(super) fn add(text: &str, callers: &mut Callers, wrong: &mut impl FnMut(&str)) {
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
        let caller = match Caller::named(name) {
            Ok(caller) => caller,
            Err(error) => {
                mistake(format!("entry {number}: {error}"));
                continue;
            }
        };
        match KeyHash::of_chosen(key) {
            Err(error) => mistake(format!("entry {number}, of {name}: {error}")),
            Ok(key) => {
                if let Err(error) = callers.add_key(&caller, key) {
                    mistake(format!("entry {number}, of {name}: {error}"));
                }
            }
        }
    }
    if !text.is_empty() && text.split(',').all(|entry| entry.trim().is_empty()) {
        mistake("holds no name:key".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Vec<String>, usize, Vec<String>) {
        let (mut callers, mut mistakes) = (Callers::default(), Vec::new());
        add(text, &mut callers, &mut |words| {
            mistakes.push(words.to_owned());
        });
        let names = callers.names().map(ToString::to_string).collect();
        (names, callers.keys_count(), mistakes)
    }

    #[test]
    fn pairs_are_separated_by_commas_and_keys_may_hold_colons() {
        let text = "a:0123456789abcdef, b:0123456789:bcdef,a:fedcba9876543210,";
        assert_eq!(parsed(text), (vec!["a".into(), "b".into()], 3, vec![]));
        assert_eq!(parsed(""), (vec![], 0, vec![]));
    }

    #[test]
    fn every_mistake_is_told_and_no_key_is_shown() {
        let text =
            "secret0123456789,b:secret,c d:secret0123456789,e:secret0123456789,f:secret0123456789";
        let (_, keys, mistakes) = parsed(text);
        assert_eq!(keys, 1);
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
        assert_eq!(parsed(" , ").2.len(), 1);
    }
}
