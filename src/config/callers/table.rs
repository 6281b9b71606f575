//! `[callers.NAME]`: what one caller may do.

use serde::{Deserialize, Serialize};

use crate::domain::Caller;
use crate::domain::access::{Act, Callers, Grant, KeyHash, Pattern, Rate, Rights, Sight};
use crate::domain::webhook::Secret;

/// One table. Secrets are among it, so it has no `Debug`; they are not written out either.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallerTable {
    #[serde(default)]
    keys: Texts,
    #[serde(default)]
    see: See,
    act: Option<Vec<ActWord>>,
    requests_per_second: Option<u32>,
    requests_burst: Option<u32>,
    messages_per_second: Option<u32>,
    messages_burst: Option<u32>,
    #[serde(default, skip_serializing)]
    webhook_secrets: Texts,
    publish: Option<Vec<GrantTable>>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct GrantTable {
    exchange: String,
    routing_key: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum See {
    #[default]
    Own,
    All,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum ActWord {
    Replay,
    Cancel,
    Webhooks,
}

/// Strings that no mistake about their type repeats, as the parser's own would.
#[derive(Default, Serialize)]
struct Texts(Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let texts = match toml::Value::deserialize(from)? {
            toml::Value::Array(values) => (values.into_iter())
                .map(|value| match value {
                    toml::Value::String(text) => Some(text),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        let expected = || serde::de::Error::custom("must be an array of strings");
        texts.map(Self).ok_or_else(expected)
    }
}

/// What is told of what is wrong with a key.
type Wrong<'a> = &'a mut dyn FnMut(&str, &str);

impl CallerTable {
    /// Whether it has secrets, which are never shown.
    pub(super) fn has_secrets(&self) -> bool {
        !self.webhook_secrets.0.is_empty()
    }

    /// Names `caller`, with all that is its own.
    pub(super) fn add(&self, caller: &Caller, callers: &mut Callers, wrong: Wrong<'_>) {
        callers.name(caller.clone(), self.rights(wrong));
        for (number, text) in (1..).zip(&self.keys.0) {
            let mut faulty = |words: String| wrong("keys", &format!("entry {number}: {words}"));
            match text.parse::<KeyHash>() {
                Err(error) => faulty(error.to_string()),
                Ok(key) => {
                    if let Err(error) = callers.add_key(caller, key) {
                        faulty(error.to_string());
                    }
                }
            }
        }
        for (number, text) in (1..).zip(&self.webhook_secrets.0) {
            let mut faulty =
                |words: String| wrong("webhook_secrets", &format!("entry {number}: {words}"));
            match text.parse::<Secret>() {
                Err(error) => faulty(error.to_string()),
                Ok(secret) => {
                    if let Err(error) = callers.add_secret(caller, secret) {
                        faulty(format!("{caller} {error}"));
                    }
                }
            }
        }
    }

    fn rights(&self, wrong: Wrong<'_>) -> Rights {
        let default = Rights::default();
        let acts = self.act.as_deref();
        Rights {
            publish: (self.publish.as_deref()).map(|grants| self::grants(grants, wrong)),
            see: match self.see {
                See::Own => Sight::Own,
                See::All => Sight::All,
            },
            acts: acts.map_or(default.acts, |acts| {
                acts.iter().map(|act| act.meant()).collect()
            }),
            requests: rate(
                "requests",
                self.requests_per_second,
                self.requests_burst,
                wrong,
            ),
            messages: rate(
                "messages",
                self.messages_per_second,
                self.messages_burst,
                wrong,
            ),
        }
    }
}

impl ActWord {
    fn meant(self) -> Act {
        match self {
            Self::Replay => Act::Replay,
            Self::Cancel => Act::Cancel,
            Self::Webhooks => Act::Webhooks,
        }
    }
}

fn grants(tables: &[GrantTable], wrong: Wrong<'_>) -> Vec<Grant> {
    let mut grants = Vec::new();
    for (number, table) in (1..).zip(tables) {
        let mut pattern = |key: &str, text: &str| -> Option<Pattern> {
            let pattern = text.parse::<Pattern>();
            pattern
                .map_err(|error| {
                    wrong("publish", &format!("the {key} of entry {number} {error}"));
                })
                .ok()
        };
        // The default exchange goes by the name that it has in the API.
        let exchange = match &*table.exchange {
            "amq.default" => "",
            name => name,
        };
        let exchange = pattern("exchange", exchange);
        let routing_key = pattern("routing_key", table.routing_key.as_deref().unwrap_or("#"));
        if let (Some(exchange), Some(routing_key)) = (exchange, routing_key) {
            grants.push(Grant {
                exchange,
                routing_key,
            });
        }
    }
    grants
}

/// Without a burst, what may come in a second may come at once.
fn rate(of: &str, per_second: Option<u32>, burst: Option<u32>, wrong: Wrong<'_>) -> Option<Rate> {
    let mut within = |name: &str, value: u32, max: u32| {
        if !(1..=max).contains(&value) {
            wrong(&format!("{of}_{name}"), &format!("must be 1 to {max}"));
        }
    };
    match (per_second, burst) {
        (None, None) => None,
        (None, Some(_)) => {
            let words = format!("says nothing without {of}_per_second");
            wrong(&format!("{of}_burst"), &words);
            None
        }
        (Some(per_second), burst) => {
            within("per_second", per_second, Rate::PER_SECOND_MAX);
            let burst = burst.unwrap_or(per_second);
            within("burst", burst, Rate::BURST_MAX);
            Some(Rate { per_second, burst })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::access::Credentials;

    const HASH: &str = "sha256:9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f";
    const KEY: &[u8] = b"0123456789abcdef";

    fn read(text: &str) -> (Callers, Vec<String>) {
        let tables: BTreeMap<String, CallerTable> = toml::from_str(text).expect("tables");
        let (mut callers, mut mistakes) = (Callers::default(), Vec::new());
        for (name, table) in tables {
            let caller = Caller::named(&name).expect("a name");
            table.add(&caller, &mut callers, &mut |key, words| {
                mistakes.push(format!("{key}: {words}"));
            });
        }
        (callers, mistakes)
    }

    /// What the holder of [`KEY`] may do, as `text` says it.
    fn rights(text: &str) -> Rights {
        let (callers, mistakes) = read(&format!("[billing]\nkeys = [\"{HASH}\"]\n{text}"));
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let access = callers.identify(Credentials::Key(KEY)).expect("access");
        assert_eq!(access.caller.as_str(), "billing");
        Rights::clone(&access.rights)
    }

    fn mistakes(text: &str) -> Vec<String> {
        read(&format!("[billing]\n{text}")).1
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        assert_eq!(rights(""), Rights::default());
    }

    #[test]
    fn everything_is_read() {
        let text = r#"
            publish = [{ exchange = "log.*" }, { exchange = "amq.default", routing_key = "jobs-*" }]
            see = "all"
            act = ["cancel"]
            requests_per_second = 5
            messages_per_second = 100
            messages_burst = 1000
        "#;
        let pattern = |text: &str| text.parse().expect("a pattern");
        let grant = |exchange, routing_key| Grant {
            exchange: pattern(exchange),
            routing_key: pattern(routing_key),
        };
        let rate = |per_second, burst| Some(Rate { per_second, burst });
        let expected = Rights {
            publish: Some(vec![grant("log.*", "#"), grant("", "jobs-*")]),
            see: Sight::All,
            acts: vec![Act::Cancel],
            requests: rate(5, 5),
            messages: rate(100, 1000),
        };
        assert_eq!(rights(text), expected);
        let nothing = rights("publish = []\nact = []");
        assert_eq!((nothing.publish, nothing.acts), (Some(vec![]), vec![]));
    }

    #[test]
    fn secrets_sign_for_their_caller() {
        let secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let (callers, mistakes) = read(&format!("[a]\nwebhook_secrets = [\"{secret}\"]"));
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let caller = Caller::named("a").expect("a name");
        assert_eq!(callers.secrets(&caller)[0].reveal(), secret);
    }

    #[test]
    fn every_mistake_is_told_with_its_place_and_nothing_secret() {
        for (text, place, words) in [
            (
                "keys = [\"hidden-hidden-hidden\"]",
                "keys: entry 1",
                "amqpost keygen",
            ),
            (
                &*format!("keys = [\"{HASH}\", \"{HASH}\"]"),
                "keys: entry 2",
                "more than once",
            ),
            (
                "webhook_secrets = [\"hidden\"]",
                "webhook_secrets: entry 1",
                "whsec_",
            ),
            (
                "publish = [{ exchange = \"a#\" }]",
                "publish: the exchange of entry 1",
                "#",
            ),
            (
                "publish = [{ exchange = \"a\" }, { exchange = \"a\", routing_key = \"\\u0001\" }]",
                "publish: the routing_key of entry 2",
                "control",
            ),
            (
                "requests_per_second = 0",
                "requests_per_second",
                "1 to 1000000",
            ),
            (
                "messages_per_second = 1\nmessages_burst = 0",
                "messages_burst",
                "1 to 1000000000",
            ),
            (
                "messages_burst = 1",
                "messages_burst",
                "without messages_per_second",
            ),
        ] {
            let told = mistakes(text);
            assert!(
                told[0].starts_with(place) && told[0].contains(words),
                "{told:?}"
            );
            assert!(!told.concat().contains("hidden"), "{told:?}");
        }
    }

    #[test]
    fn what_is_of_another_kind_is_refused_without_being_shown() {
        for text in [
            "keys = \"hidden\"",
            "keys = [[\"hidden\"]]",
            "webhook_secrets = \"hidden\"",
            "key = [\"hidden\"]",
            "see = \"hidden\"",
            "act = [\"publish\"]",
            "publish = [{ exchange = \"e\", key = \"hidden\" }]",
            "requests_per_second = -1",
        ] {
            let read = toml::from_str::<CallerTable>(text);
            let error = read.err().unwrap_or_else(|| panic!("{text} is taken"));
            let shown = error.message().contains("hidden");
            assert_eq!(shown, text.starts_with("see"), "{}", error.message());
        }
    }
}
