//! What one caller may do.

use super::pattern::Pattern;
use super::rate::Rate;
use crate::domain::headers::{HeaderValue, Table};
use crate::domain::message::Draft;

/// Whose messages a caller may see, and with that replay and cancel where it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    /// Its own.
    #[default]
    Own,
    /// Everybody's.
    All,
}

/// What may be done beside publishing and seeing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Sending messages again.
    Replay,
    /// Cancelling messages.
    Cancel,
    /// Being told by webhooks, standing ones and callbacks.
    Webhooks,
}

impl Act {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Replay, Self::Cancel, Self::Webhooks];

    /// As it is configured.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Cancel => "cancel",
            Self::Webhooks => "webhooks",
        }
    }
}

/// Exchanges and the routing keys that may be published to them with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The empty name is the default exchange.
    pub exchange: Pattern,
    /// Of the message, and of each copy that CC and BCC ask for.
    pub routing_key: Pattern,
}

/// What one caller may do. The default is everything that concerns its own messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Where it may publish to: `None` is anywhere, and no grant is nowhere.
    pub publish: Option<Vec<Grant>>,
    /// Whose messages it may see.
    pub see: Sight,
    /// What else it may do.
    pub acts: Vec<Act>,
    /// How many requests it may send.
    pub requests: Option<Rate>,
    /// How many messages it may publish.
    pub messages: Option<Rate>,
}

impl Default for Rights {
    fn default() -> Self {
        Self {
            publish: None,
            see: Sight::default(),
            acts: Act::ALL.to_vec(),
            requests: None,
            messages: None,
        }
    }
}

/// Why a message may not be handed over by its caller. It tells of rights, and nothing of what exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It may not be published.
    #[error(
        "this caller may not publish to this exchange with this routing key, or with one of those in CC \
         and BCC"
    )]
    Publish,
    /// Its outcome may not be told by a webhook.
    #[error("this caller may not use webhooks, and so name no callback_url")]
    Webhooks,
}

/// Headers whose entries `RabbitMQ` routes by as by the routing key.
const COPIES: [&str; 2] = ["CC", "BCC"];

impl Rights {
    /// Whether `draft` may be published: its routing key and each entry of its headers CC and BCC, since
    /// the broker routes by all of them.
    #[must_use]
    pub fn may_publish(&self, draft: &Draft) -> bool {
        let Some(grants) = &self.publish else {
            return true;
        };
        let grants: Vec<_> = (grants.iter())
            .filter(|grant| grant.exchange.matches(&draft.exchange))
            .collect();
        let granted = |key: &str| grants.iter().any(|grant| grant.routing_key.matches(key));
        granted(&draft.routing_key)
            && copies(&draft.properties.headers).all(|key| key.is_some_and(granted))
    }

    /// Whether its caller may hand `draft` over.
    ///
    /// # Errors
    /// [`Denied`] says why not.
    pub fn check(&self, draft: &Draft) -> Result<(), Denied> {
        let terms = draft.terms.as_ref();
        if !self.may_publish(draft) {
            return Err(Denied::Publish);
        }
        if terms.is_some_and(|terms| terms.callback_url.is_some()) && !self.may(Act::Webhooks) {
            return Err(Denied::Webhooks);
        }
        Ok(())
    }

    /// Whether it may act so.
    #[must_use]
    pub fn may(&self, act: Act) -> bool {
        self.acts.contains(&act)
    }
}

/// The further routing keys of a message; `None` for what is none, which the rules for messages refuse.
fn copies(headers: &Table) -> impl Iterator<Item = Option<&str>> {
    let copies = headers.iter().filter(|(name, _)| COPIES.contains(&&**name));
    copies.flat_map(|(_, value)| {
        let (entries, alone) = match value {
            HeaderValue::Array(entries) => (&entries[..], None),
            other => (&[][..], Some(other)),
        };
        entries.iter().chain(alone).map(|entry| match entry {
            HeaderValue::Text(key) => Some(&**key),
            _ => None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Caller, Properties, Terms};
    use proptest::prelude::*;

    fn rights(grants: &[(&str, &str)]) -> Rights {
        let pattern = |text: &str| text.parse().expect("a pattern");
        let grants = grants.iter().map(|(exchange, routing_key)| Grant {
            exchange: pattern(exchange),
            routing_key: pattern(routing_key),
        });
        Rights {
            publish: Some(grants.collect()),
            ..Rights::default()
        }
    }

    fn draft(exchange: &str, routing_key: &str, headers: Table) -> Draft {
        Draft {
            caller: Caller::default(),
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            mandatory: true,
            ordering_key: None,
            properties: Properties {
                headers,
                ..Properties::default()
            },
            payload: bytes::Bytes::new(),
            terms: None,
        }
    }

    fn keys(name: &str, keys: &[&str]) -> (Box<str>, HeaderValue) {
        let keys = keys.iter().map(|key| HeaderValue::Text((*key).into()));
        (name.into(), HeaderValue::Array(keys.collect()))
    }

    #[test]
    fn exchange_and_routing_key_must_be_granted_together() {
        let rights = rights(&[("invoices", "invoice.#"), ("log.*", "#"), ("", "jobs-*")]);
        for (exchange, routing_key, expected) in [
            ("invoices", "invoice.paid", true),
            ("invoices", "order.paid", false),
            ("log.app", "order.paid", true),
            ("log.app.x", "a", false),
            ("", "jobs-1", true),
            ("", "invoice.paid", false),
            ("orders", "invoice.paid", false),
        ] {
            let draft = draft(exchange, routing_key, Table::new());
            assert_eq!(
                rights.may_publish(&draft),
                expected,
                "{exchange:?} {routing_key:?}"
            );
        }
    }

    #[test]
    fn copies_must_be_granted_too_for_the_same_exchange() {
        let rights = rights(&[("e", "a.*"), ("f", "b.*")]);
        for (headers, expected) in [
            (vec![keys("CC", &["a.1", "a.2"])], true),
            (vec![keys("BCC", &["a.1"]), keys("CC", &[])], true),
            (vec![keys("CC", &["a.1", "b.1"])], false),
            (vec![keys("BCC", &["b.1"])], false),
            (vec![keys("CC", &["a.1"]), keys("BCC", &["b.1"])], false),
            // RabbitMQ knows the headers by these names only.
            (vec![keys("cc", &["b.1"])], true),
            (vec![("CC".into(), HeaderValue::Text("a.1".into()))], true),
            (vec![("CC".into(), HeaderValue::Text("b.1".into()))], false),
            (vec![("CC".into(), HeaderValue::Null)], false),
            (
                vec![("BCC".into(), HeaderValue::Array(vec![HeaderValue::Int(1)]))],
                false,
            ),
        ] {
            let draft = draft("e", "a.0", headers.clone());
            assert_eq!(rights.may_publish(&draft), expected, "{headers:?}");
        }
    }

    #[test]
    fn no_grant_is_nowhere_and_no_word_of_grants_is_anywhere() {
        let anything = draft("e", "k", vec![keys("CC", &["x"])]);
        assert!(!rights(&[]).may_publish(&anything));
        assert!(Rights::default().may_publish(&anything));
    }

    #[test]
    fn without_a_word_everything_is_allowed_that_is_ones_own() {
        let rights = Rights::default();
        assert!(Act::ALL.into_iter().all(|act| rights.may(act)));
        assert_eq!(rights.see, Sight::Own);
        let none = Rights {
            acts: vec![Act::Cancel],
            ..rights
        };
        let may: Vec<_> = Act::ALL.into_iter().filter(|act| none.may(*act)).collect();
        assert_eq!(may, [Act::Cancel]);
    }

    #[test]
    fn a_callback_is_a_webhook() {
        let mut told = draft("e", "k", Table::new());
        told.terms = Some(Box::new(Terms {
            callback_url: Some("https://hooks.example/".into()),
            ..Terms::default()
        }));
        let silent = Rights {
            acts: vec![Act::Replay, Act::Cancel],
            ..Rights::default()
        };
        assert_eq!(Rights::default().check(&told), Ok(()));
        assert_eq!(silent.check(&told), Err(Denied::Webhooks));
        assert_eq!(silent.check(&draft("e", "k", Table::new())), Ok(()));
        assert_eq!(rights(&[]).check(&told), Err(Denied::Publish));
    }

    proptest! {
        /// A message may be published exactly when it could be, once with each of its keys, without copies.
        #[test]
        fn copies_are_as_good_as_messages_of_their_own(
            grants in prop::collection::vec(("[ef#*]", "[ab*#](\\.[ab*])?"), 0..4),
            key in "[ab](\\.[ab])?",
            cc in prop::collection::vec("[ab](\\.[ab])?", 0..3),
            bcc in prop::collection::vec("[ab](\\.[ab])?", 0..3),
        ) {
            let grants: Vec<_> = grants.iter().map(|(e, k)| (&**e, &**k)).collect();
            let rights = rights(&grants);
            let texts = |keys: &[String]| HeaderValue::Array(
                keys.iter().map(|key| HeaderValue::Text(key.as_str().into())).collect(),
            );
            let headers = vec![("CC".into(), texts(&cc)), ("BCC".into(), texts(&bcc))];
            let alone = |key: &str| rights.may_publish(&draft("e", key, Table::new()));
            let expected = alone(&key) && cc.iter().chain(&bcc).all(|key| alone(key));
            prop_assert_eq!(rights.may_publish(&draft("e", &key, headers)), expected);
        }
    }
}
