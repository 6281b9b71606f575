//! `webhook_secrets`: what callbacks are signed with, as `name:whsec_…` pairs.

use crate::domain::Caller;
use crate::domain::access::Callers;
use crate::domain::webhook::Secret;

/// Gives the secrets in `text` to `callers`. No mistake shows a secret: entries are told by their number.
pub(super) fn add(text: &str, callers: &mut Callers, wrong: &mut impl FnMut(&str)) {
    let mut mistake = |words: String| wrong(&words);
    let entries = text.split(',').map(str::trim);
    for (number, entry) in (1..).zip(entries) {
        if entry.is_empty() {
            // A comma at the end does no harm.
            continue;
        }
        let (caller, secret) = match entry.split_once(':') {
            Some((name, secret)) => (Caller::named(name), secret),
            None => (Ok(Caller::default()), entry),
        };
        match (caller, secret.parse::<Secret>()) {
            (Ok(caller), Ok(secret)) => {
                if let Err(error) = callers.add_secret(&caller, secret) {
                    mistake(format!("entry {number}: {} {error}", shown(&caller)));
                }
            }
            (Err(error), _) => mistake(format!("entry {number}: {error}")),
            (_, Err(error)) => mistake(format!(
                "entry {number}: {error}; entries are name:whsec_…, or whsec_… for the caller \
                 without a name"
            )),
        }
    }
}

fn shown(caller: &Caller) -> String {
    if *caller == Caller::default() {
        return "the caller without a name".to_owned();
    }
    caller.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const B: &str = "whsec_BBBBBBBBBBBBBBBBBBBBBBBBBBBB+//+";
    const C: &str = "whsec_CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC";

    fn parsed(text: &str) -> (Callers, Vec<String>) {
        let (mut callers, mut mistakes) = (Callers::default(), Vec::new());
        add(text, &mut callers, &mut |words| {
            mistakes.push(words.to_owned());
        });
        (callers, mistakes)
    }

    fn secrets(callers: &Callers, name: &str) -> Vec<String> {
        let secrets = callers.secrets(&Caller::from_stored(name));
        secrets.iter().map(Secret::reveal).collect()
    }

    #[test]
    fn a_secret_belongs_to_a_name_or_to_the_caller_without_one() {
        let (callers, mistakes) = parsed(&format!("billing:{A}, {B},shop:{C},"));
        assert!(mistakes.is_empty(), "{mistakes:?}");
        for (name, expected) in [("", B), ("billing", A), ("shop", C)] {
            assert_eq!(secrets(&callers, name), [expected], "{name}");
        }
        assert_eq!(parsed(""), (Callers::default(), vec![]));
    }

    #[test]
    fn while_a_secret_is_rotated_a_caller_has_two_in_their_order() {
        let (callers, mistakes) = parsed(&format!("billing:{C},shop:{A},billing:{B}"));
        assert_eq!(secrets(&callers, "billing"), [C, B]);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let (_, mistakes) = parsed(&format!("a:{A},a:{B},a:{C},b:{A},b:{A}"));
        assert!(mistakes[0].contains("entry 3: a has 2 secrets already"));
        assert!(mistakes[1].contains("entry 5: b has this secret already"));
        assert_eq!(mistakes.len(), 2);
    }

    #[test]
    fn every_mistake_is_told_and_no_secret_is_shown() {
        let text = "whsec_c2VjcmV0,billing:c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0,\
                    c d:whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0,:whsec_c2VjcmV0,\
                    e:whsec_c2VjcmV0c2VjcmV0c2VjcmV0_c2VjcmV0,c2VjcmV0";
        let (callers, mistakes) = parsed(text);
        assert_eq!(callers, Callers::default());
        assert_eq!(mistakes.len(), 6, "{mistakes:?}");
        for (number, mistake) in (1..).zip(&mistakes) {
            let start = format!("entry {number}: ");
            assert!(mistake.starts_with(&start), "{mistake}");
            assert!(!mistake.contains("c2Vj"), "{mistake}");
        }
        for (at, words) in [
            (0, "24 to 64"),
            (1, "begins with whsec_"),
            (2, "1 to 64"),
            (4, "base64"),
        ] {
            assert!(mistakes[at].contains(words), "{}", mistakes[at]);
        }
    }
}
