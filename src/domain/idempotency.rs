//! Whether two requests with one idempotency key are the same message.

use sha2::{Digest as _, Sha256};

use super::headers::{HeaderValue, Table};
use super::message::{DeliveryMode, Draft, Properties};
use super::terms::{Deliver, Terms};

/// A digest (SHA-256) of everything in a message that its caller chose, after defaults are filled
/// in. It is stored for as long as keys live, so what goes into it, and how, must stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of a message. Header tables count without regard to the order of their names,
    /// as JSON objects do.
    #[must_use]
    pub fn of(draft: &Draft) -> Self {
        let mut sum = Sum(Sha256::new());
        let Draft {
            // A key is the caller's own; whose message it is, is asked before.
            caller: _,
            exchange,
            routing_key,
            mandatory,
            ordering_key,
            properties,
            payload,
            terms,
        } = draft;
        sum.bytes(exchange.as_bytes());
        sum.bytes(routing_key.as_bytes());
        sum.number(u64::from(*mandatory));
        sum.text(ordering_key.as_deref());
        sum.properties(properties);
        sum.bytes(payload);
        if let Some(terms) = terms.as_ref().filter(|terms| terms.are_wishes()) {
            sum.terms(terms);
        }
        Self(sum.0.finalize().into())
    }
}

/// Fields go in with their lengths, so no two messages run into each other.
struct Sum(Sha256);

impl Sum {
    fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn text(&mut self, text: Option<&str>) {
        self.number(u64::from(text.is_some()));
        self.bytes(text.unwrap_or_default().as_bytes());
    }

    /// A message without terms adds nothing here, so fingerprints from before there were any hold.
    fn terms(&mut self, terms: &Terms) {
        let Terms {
            deliver,
            give_up_after_ms,
            callback_url,
            group,
            // How a request travelled is not what it says.
            trace: _,
        } = terms;
        let (kind, deliver_ms) = match deliver {
            None => (0, 0),
            Some(Deliver::At(at)) => (1, at.unix_ms()),
            Some(Deliver::After { ms }) => (2, *ms),
        };
        self.number(kind);
        self.number(deliver_ms);
        self.number(u64::from(give_up_after_ms.is_some()));
        self.number(give_up_after_ms.unwrap_or(0));
        self.text(callback_url.as_deref());
        self.text(group.as_deref());
    }

    fn properties(&mut self, properties: &Properties) {
        let Properties {
            content_type,
            content_encoding,
            headers,
            delivery_mode,
            priority,
            correlation_id,
            reply_to,
            expiration,
            message_id,
            timestamp,
            kind,
            user_id,
            app_id,
        } = properties;
        let texts = [
            content_type,
            content_encoding,
            correlation_id,
            reply_to,
            expiration,
            message_id,
            kind,
            user_id,
            app_id,
        ];
        for text in texts {
            self.text(text.as_deref());
        }
        self.number(u64::from(*delivery_mode == DeliveryMode::Transient));
        self.number(priority.map_or(0, |priority| 1 + u64::from(priority)));
        self.number(u64::from(timestamp.is_some()));
        self.number(timestamp.unwrap_or(0));
        self.table(headers);
    }

    fn table(&mut self, table: &Table) {
        let mut sorted: Vec<_> = table.iter().collect();
        sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.number(sorted.len() as u64);
        for (name, value) in sorted {
            self.bytes(name.as_bytes());
            self.value(value);
        }
    }

    fn value(&mut self, value: &HeaderValue) {
        match value {
            HeaderValue::Bool(value) => {
                self.number(1);
                self.number(u64::from(*value));
            }
            HeaderValue::Int(value) => {
                self.number(2);
                self.number(value.cast_unsigned());
            }
            HeaderValue::Double(value) => {
                self.number(3);
                self.number(value.to_bits());
            }
            HeaderValue::Text(value) => {
                self.number(4);
                self.bytes(value.as_bytes());
            }
            HeaderValue::Null => self.number(5),
            HeaderValue::Array(values) => {
                self.number(6);
                self.number(values.len() as u64);
                for value in values {
                    self.value(value);
                }
            }
            HeaderValue::Table(table) => {
                self.number(7);
                self.table(table);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::TraceContext;
    use super::super::caller::Caller;
    use super::*;

    #[test]
    fn the_trace_of_a_request_is_no_part_of_its_message() {
        let traced = |group: Option<&str>, trace| Draft {
            terms: Terms {
                group: group.map(Into::into),
                trace,
                ..Terms::default()
            }
            .boxed(),
            ..draft()
        };
        let trace = TraceContext::from_stored("a parent".into(), None);
        for group in [None, Some("g")] {
            let plain = Fingerprint::of(&traced(group, None));
            assert_eq!(Fingerprint::of(&traced(group, Some(trace.clone()))), plain);
        }
    }

    fn draft() -> Draft {
        Draft {
            caller: Caller::default(),
            exchange: "e".into(),
            routing_key: "k".into(),
            mandatory: true,
            ordering_key: None,
            properties: Properties::default(),
            payload: vec![1, 2, 3].into(),
            terms: None,
        }
    }

    fn with(properties: Properties) -> Draft {
        Draft {
            properties,
            ..draft()
        }
    }

    fn headers(headers: Table) -> Draft {
        with(Properties {
            headers,
            ..Properties::default()
        })
    }

    fn headers_that_differ() -> Vec<Draft> {
        vec![
            headers(vec![("a".into(), HeaderValue::Null)]),
            headers(vec![("a".into(), HeaderValue::Int(1))]),
            headers(vec![("a".into(), HeaderValue::Double(1.0))]),
            headers(vec![("a".into(), HeaderValue::Bool(true))]),
            headers(vec![("a".into(), HeaderValue::Text("1".into()))]),
            headers(vec![(
                "a".into(),
                HeaderValue::Array(vec![HeaderValue::Null]),
            )]),
            headers(vec![(
                "a".into(),
                HeaderValue::Table(vec![("b".into(), HeaderValue::Null)]),
            )]),
        ]
    }

    fn terms_that_differ() -> Vec<Draft> {
        let t = Terms::default;
        let all = [
            Terms {
                deliver: Some(Deliver::At(crate::domain::WallTime::from_unix_ms(5))),
                ..t()
            },
            Terms {
                deliver: Some(Deliver::After { ms: 5 }),
                ..t()
            },
            Terms {
                give_up_after_ms: Some(0),
                ..t()
            },
            Terms {
                callback_url: Some("x".into()),
                ..t()
            },
            Terms {
                group: Some("x".into()),
                ..t()
            },
        ];
        let draft = |terms: Terms| Draft {
            terms: terms.boxed(),
            ..draft()
        };
        all.map(draft).into()
    }

    #[test]
    fn every_field_makes_another_message() {
        let text = || Some("x".into());
        let p = Properties::default;
        let all = [
            draft(),
            Draft {
                exchange: "ek".into(),
                routing_key: "".into(),
                ..draft()
            },
            Draft {
                exchange: "".into(),
                routing_key: "ek".into(),
                ..draft()
            },
            Draft {
                mandatory: false,
                ..draft()
            },
            Draft {
                ordering_key: Some("".into()),
                ..draft()
            },
            Draft {
                ordering_key: text(),
                ..draft()
            },
            Draft {
                payload: vec![1, 2].into(),
                ..draft()
            },
            with(Properties {
                content_type: text(),
                ..p()
            }),
            with(Properties {
                content_encoding: text(),
                ..p()
            }),
            with(Properties {
                correlation_id: text(),
                ..p()
            }),
            with(Properties {
                reply_to: text(),
                ..p()
            }),
            with(Properties {
                expiration: text(),
                ..p()
            }),
            with(Properties {
                message_id: text(),
                ..p()
            }),
            with(Properties {
                kind: text(),
                ..p()
            }),
            with(Properties {
                user_id: text(),
                ..p()
            }),
            with(Properties {
                app_id: text(),
                ..p()
            }),
            with(Properties {
                delivery_mode: DeliveryMode::Transient,
                ..p()
            }),
            with(Properties {
                priority: Some(0),
                ..p()
            }),
            with(Properties {
                timestamp: Some(0),
                ..p()
            }),
        ];
        let all = all.into_iter().chain(headers_that_differ());
        let all: Vec<_> = all.chain(terms_that_differ()).collect();
        for (at, one) in all.iter().enumerate() {
            for other in &all[at + 1..] {
                assert_ne!(
                    Fingerprint::of(one),
                    Fingerprint::of(other),
                    "{one:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn the_order_of_header_names_and_the_caller_make_no_difference() {
        let entry = |name: &str, value| (name.into(), HeaderValue::Int(value));
        let one = headers(vec![entry("a", 1), entry("b", 2)]);
        let mut other = headers(vec![entry("b", 2), entry("a", 1)]);
        other.caller = Caller::named("other").expect("a name");
        assert_eq!(Fingerprint::of(&one), Fingerprint::of(&other));
    }

    #[test]
    fn a_fingerprint_stays_what_it_is_over_versions() {
        let first = &Fingerprint::of(&draft()).0[..6];
        assert_eq!(first, [0x0c, 0xe1, 0xb2, 0xf4, 0xa5, 0x5b]);
    }
}
