//! `webhook_secrets` and `webhook_allow`: what webhooks are signed with, and where they may go.

use std::collections::BTreeMap;

use crate::domain::Caller;
use crate::domain::webhook::{AllowList, Secret};

/// What may sign at the same time for one caller: the secret in use and the one before or after it.
const SECRETS_MAX: usize = 2;

/// How webhooks are signed and where they may go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Webhooks {
    /// What the `callback_url`s of a caller's messages are signed with: one secret, or while it is
    /// rotated two, which both sign. A caller that is not there has none, and may name no `callback_url`.
    pub secrets: BTreeMap<Caller, Vec<Secret>>,
    /// Where webhooks may go besides public addresses.
    pub allow: AllowList,
}

/// What is configured. No mistake shows a secret: entries are told by their number.
pub(super) fn parse(secrets: &str, allow: &str, wrong: &mut impl FnMut(&str, &str)) -> Webhooks {
    let allow = allow.parse().unwrap_or_else(|error| {
        wrong("webhook_allow", &format!("{error}"));
        AllowList::default()
    });
    Webhooks {
        secrets: read_secrets(secrets, &mut |words| wrong("webhook_secrets", words)),
        allow,
    }
}

fn read_secrets(text: &str, wrong: &mut impl FnMut(&str)) -> BTreeMap<Caller, Vec<Secret>> {
    let mut secrets: BTreeMap<Caller, Vec<Secret>> = BTreeMap::new();
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
        let (caller, secret) = match (caller, secret.parse::<Secret>()) {
            (Ok(caller), Ok(secret)) => (caller, secret),
            (Err(error), _) => {
                mistake(format!("entry {number}: {error}"));
                continue;
            }
            (_, Err(error)) => {
                mistake(format!(
                    "entry {number}: {error}; entries are name:whsec_…, or whsec_… for the caller \
                     without a name"
                ));
                continue;
            }
        };
        let shown = shown(&caller);
        let theirs = secrets.entry(caller).or_default();
        if theirs.contains(&secret) {
            mistake(format!("entry {number}: {shown} has this secret already"));
        } else if theirs.len() == SECRETS_MAX {
            mistake(format!(
                "entry {number}: {shown} has {SECRETS_MAX} secrets already, the most that may sign at \
                 the same time"
            ));
        } else {
            theirs.push(secret);
        }
    }
    secrets
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

    fn parsed_with(secrets: &str, allow: &str) -> (Webhooks, Vec<String>) {
        let mut mistakes = Vec::new();
        let mut wrong = |key: &str, words: &str| mistakes.push(format!("{key}: {words}"));
        let webhooks = parse(secrets, allow, &mut wrong);
        (webhooks, mistakes)
    }

    fn parsed(text: &str) -> (Vec<(String, Vec<String>)>, Vec<String>) {
        let (webhooks, mistakes) = parsed_with(text, "");
        let reveal = |secrets: Vec<Secret>| secrets.iter().map(Secret::reveal).collect();
        let secrets = webhooks.secrets.into_iter();
        let secrets = secrets.map(|(caller, secrets)| (caller.to_string(), reveal(secrets)));
        (secrets.collect(), mistakes)
    }

    #[test]
    fn a_secret_belongs_to_a_name_or_to_the_caller_without_one() {
        let (secrets, mistakes) = parsed(&format!("billing:{A}, {B},shop:{C},"));
        let one = |name: &str, secret: &str| (name.to_owned(), vec![secret.to_owned()]);
        assert_eq!(secrets, [one("", B), one("billing", A), one("shop", C)]);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        assert_eq!(parsed(""), (vec![], vec![]));
    }

    #[test]
    fn while_a_secret_is_rotated_a_caller_has_two_in_their_order() {
        let (secrets, mistakes) = parsed(&format!("billing:{C},shop:{A},billing:{B}"));
        assert_eq!(secrets[0], ("billing".into(), vec![C.into(), B.into()]));
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
        let (secrets, mistakes) = parsed(text);
        assert!(secrets.is_empty());
        assert_eq!(mistakes.len(), 6, "{mistakes:?}");
        for (number, mistake) in (1..).zip(&mistakes) {
            let start = "webhook_secrets: entry";
            assert!(
                mistake.starts_with(&format!("{start} {number}: ")),
                "{mistake}"
            );
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

    #[test]
    fn an_allow_list_that_is_none_is_told_with_what_it_may_be() {
        let (webhooks, mistakes) = parsed_with("", "127.0.0.0/8,hooks.internal");
        assert!(webhooks.allow.names("hooks.internal") && mistakes.is_empty());
        let (_, mistakes) = parsed_with("", "10.0.0.0/33");
        assert!(mistakes[0].starts_with("webhook_allow: "));
        assert!(mistakes[0].contains("0 to 32"), "{mistakes:?}");
    }

    #[test]
    fn secrets_are_hidden_when_a_configuration_is_shown() {
        let (webhooks, _) = parsed_with(A, "");
        assert!(!format!("{webhooks:?}").contains("AAAA"));
    }
}
