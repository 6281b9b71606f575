//! Kinds of bad messages, and what each leads to.

use amqpost::domain::{Draft, HeaderValue, ReasonCode};
use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, ExchangeDeleteOptions};
use lapin::types::FieldTable;

use super::support::broker_node::PrivateNode;
use super::support::queues::{self, Place, unique};
use super::support::stack::{Stack, draft};
use super::support::tcp_proxy::{End, TcpProxy};
use super::support::wait::{self, SOON};

/// More than any good message. The limit is the node's.
pub(super) const SIZE_MAX: usize = 50_000;
/// The smallest that AMQP knows.
const FRAME_MAX: usize = 4096;

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Missing,
    MissingWithALongName,
    MissingWithQuotes,
    Internal,
    NoPermission,
    NoTopicPermission,
    AnothersUserId,
    TooLarge,
    HeadersOverAFrame,
    Deleted,
    DeletedWithALongName,
    DeletedWithQuotes,
    Revoked,
    Expiration,
    Undecodable,
}

/// Where it is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// By the gateway itself: no broker ever sees it.
    Unsent,
    /// By asking about the exchange: it is tried once, alone.
    Asking,
    /// By a closed channel, with words that fit this message and none of the good ones.
    Name,
    /// By a closed channel, with words that fit everything that was in flight.
    Trial,
    /// By a closed connection, for what may as well be a fault of the node.
    Strikes,
}

/// A bad message, ready to be sent.
pub(super) struct Poison {
    pub(super) draft: Draft,
    pub(super) found: Found,
    pub(super) code: ReasonCode,
    pub(super) reply_code: Option<u16>,
    /// The broker says so.
    pub(super) words: String,
}

/// Where a run takes place.
pub(super) struct Scene<'a> {
    pub(super) node: &'a PrivateNode,
    pub(super) place: &'a Place,
    pub(super) proxy: &'a TcpProxy,
    pub(super) stack: &'a Stack,
    pub(super) user: &'a str,
}

impl Kind {
    pub(super) const ALL: [Self; 15] = [
        Self::Missing,
        Self::MissingWithALongName,
        Self::MissingWithQuotes,
        Self::Internal,
        Self::NoPermission,
        Self::NoTopicPermission,
        Self::AnothersUserId,
        Self::TooLarge,
        Self::HeadersOverAFrame,
        Self::Deleted,
        Self::DeletedWithALongName,
        Self::DeletedWithQuotes,
        Self::Revoked,
        Self::Expiration,
        Self::Undecodable,
    ];

    /// What the gateway asks for when it connects.
    pub(super) fn query(self) -> String {
        match self {
            Self::HeadersOverAFrame => format!("?frame_max={FRAME_MAX}"),
            _ => String::new(),
        }
    }

    /// Makes the message bad.
    pub(super) async fn prepare(self, scene: &Scene<'_>) -> Poison {
        let good = || draft(&scene.place.exchange, &scene.place.routing_key, "poison");
        match self {
            Self::Missing => missing(&unique("missing"), Found::Asking),
            Self::MissingWithALongName => {
                in_words(scene, missing(&long_name(), Found::Asking)).await
            }
            Self::MissingWithQuotes => missing(&quoted_name(), Found::Asking),
            Self::Deleted => deleted(scene, unique("deleted")).await,
            Self::DeletedWithALongName => in_words(scene, deleted(scene, long_name()).await).await,
            Self::DeletedWithQuotes => deleted(scene, quoted_name()).await,
            Self::Internal => internal(scene).await,
            Self::NoPermission => no_permission(scene, unique("forbidden")).await,
            Self::NoTopicPermission => no_topic_permission(scene).await,
            Self::Revoked => revoked(scene).await,
            Self::AnothersUserId => {
                let mut draft = good();
                draft.properties.user_id = Some("joe".into());
                closed(
                    draft,
                    406,
                    ReasonCode::PreconditionFailed,
                    "user_id property set to 'joe'",
                )
            }
            Self::TooLarge => {
                let mut draft = good();
                draft.payload = vec![b'x'; SIZE_MAX + 1].into();
                let words = format!("message size {} is larger than", SIZE_MAX + 1);
                closed(draft, 406, ReasonCode::MessageTooLarge, words)
            }
            Self::HeadersOverAFrame => {
                let mut draft = good();
                let value = HeaderValue::Text("x".repeat(FRAME_MAX).into());
                draft.properties.headers.push(("large".into(), value));
                Poison {
                    draft,
                    found: Found::Unsent,
                    code: ReasonCode::MessageTooLarge,
                    reply_code: None,
                    words: String::new(),
                }
            }
            // The rules of the HTTP interface refuse these two; the broker is asked without them.
            Self::Expiration => {
                let mut draft = good();
                draft.properties.expiration = Some("soon".into());
                Poison {
                    found: Found::Trial,
                    ..closed(
                        draft,
                        406,
                        ReasonCode::PreconditionFailed,
                        "invalid expiration 'soon'",
                    )
                }
            }
            Self::Undecodable => {
                let mut draft = good();
                let value = HeaderValue::Double(f64::NAN);
                draft.properties.headers.push(("number".into(), value));
                Poison {
                    found: Found::Strikes,
                    ..closed(draft, 541, ReasonCode::BrokerError, "INTERNAL_ERROR")
                }
            }
        }
    }
}

fn closed(draft: Draft, reply_code: u16, code: ReasonCode, words: impl Into<String>) -> Poison {
    Poison {
        draft,
        found: Found::Name,
        code,
        reply_code: Some(reply_code),
        words: words.into(),
    }
}

/// Long, and cut within a character: the broker cuts its words after 252 bytes.
fn long_name() -> String {
    const BEFORE: &str = "NOT_FOUND - no exchange '";
    let mut name = unique("long");
    if (252 - BEFORE.len() - name.len()).is_multiple_of(2) {
        name.push('-');
    }
    name.extend(std::iter::repeat_n('ä', (254 - name.len()) / 2));
    name
}

/// With what the broker's own words consist of.
fn quoted_name() -> String {
    format!("{} it's 'no exchange' in vhost '/'", unique("quoted"))
}

fn missing(exchange: &str, found: Found) -> Poison {
    let named: String = exchange.chars().take(100).collect();
    let words = format!("NOT_FOUND - no exchange '{named}");
    Poison {
        found,
        ..closed(
            draft(exchange, "key", "poison"),
            404,
            ReasonCode::ExchangeNotFound,
            words,
        )
    }
}

/// Since 4.0 the broker fails over words that it has cut within a character.
async fn in_words(scene: &Scene<'_>, poison: Poison) -> Poison {
    let version = scene.node.eval("rabbit_misc:version()").await;
    if version.starts_with("\"3.") {
        return poison;
    }
    let found = match poison.found {
        Found::Name => Found::Strikes,
        found => found,
    };
    Poison {
        found,
        ..closed(poison.draft, 541, ReasonCode::BrokerError, "INTERNAL_ERROR")
    }
}

async fn declare(scene: &Scene<'_>, exchange: &str, kind: ExchangeKind, internal: bool) {
    let connection = queues::connect(&scene.node.url()).await;
    let channel = connection.create_channel().await.expect("a channel opens");
    let options = ExchangeDeclareOptions {
        internal,
        ..ExchangeDeclareOptions::default()
    };
    channel
        .exchange_declare(exchange.into(), kind, options, FieldTable::default())
        .await
        .expect("the exchange is declared");
}

async fn delete(scene: &Scene<'_>, exchange: &str) {
    let connection = queues::connect(&scene.node.url()).await;
    let channel = connection.create_channel().await.expect("a channel opens");
    channel
        .exchange_delete(exchange.into(), ExchangeDeleteOptions::default())
        .await
        .expect("the exchange is deleted");
}

/// The gateway takes the exchange for granted afterwards.
async fn make_known(scene: &Scene<'_>, exchange: &str) {
    let mut first = draft(exchange, "key", "first");
    first.mandatory = false;
    let id = scene.stack.accept(first).await;
    let outcome = scene.stack.outcome(id).await;
    assert_eq!(outcome.reason, None, "{outcome:?}");
}

async fn deleted(scene: &Scene<'_>, exchange: String) -> Poison {
    declare(scene, &exchange, ExchangeKind::Direct, false).await;
    make_known(scene, &exchange).await;
    delete(scene, &exchange).await;
    missing(&exchange, Found::Name)
}

async fn internal(scene: &Scene<'_>) -> Poison {
    let exchange = unique("internal");
    declare(scene, &exchange, ExchangeKind::Direct, true).await;
    let words = format!("cannot publish to internal exchange '{exchange}'");
    let draft = draft(&exchange, "key", "poison");
    closed(draft, 403, ReasonCode::AccessRefused, words)
}

async fn no_permission(scene: &Scene<'_>, exchange: String) -> Poison {
    declare(scene, &exchange, ExchangeKind::Direct, false).await;
    let words = format!("access to exchange '{exchange}' in vhost '/' refused");
    let draft = draft(&exchange, "key", "poison");
    closed(draft, 403, ReasonCode::AccessRefused, words)
}

async fn no_topic_permission(scene: &Scene<'_>) -> Poison {
    let exchange = unique("topics");
    declare(scene, &exchange, ExchangeKind::Topic, false).await;
    let user = scene.user;
    scene
        .node
        .eval(&format!(
            r#"rabbit_auth_backend_internal:set_topic_permissions(<<"{user}">>, <<"/">>,
                   <<"{exchange}">>, <<"^open[.]">>, <<".*">>, <<"test">>)"#
        ))
        .await;
    let draft = draft(&exchange, "secret.plans", "poison");
    closed(draft, 403, ReasonCode::AccessRefused, "'secret.plans'")
}

/// A channel that is open keeps the permissions that it has used, so the lanes connect anew.
async fn revoked(scene: &Scene<'_>) -> Poison {
    let exchange = unique("revoked");
    declare(scene, &exchange, ExchangeKind::Direct, false).await;
    make_known(scene, &exchange).await;
    permit(
        scene.node,
        scene.user,
        "^(?!amqpost-test-(forbidden|revoked))",
    )
    .await;
    let before = scene.proxy.accepted();
    scene.proxy.end_all(End::Close);
    wait::until("the lane is connected again", SOON, || async {
        let up = scene.stack.relay.health().broker.lanes_up == 1;
        (up && scene.proxy.accepted() > before).then_some(())
    })
    .await;
    let words = format!("access to exchange '{exchange}' in vhost '/' refused");
    let draft = draft(&exchange, "key", "poison");
    closed(draft, 403, ReasonCode::AccessRefused, words)
}

/// Lets the user write to what `write` matches.
pub(super) async fn permit(node: &PrivateNode, user: &str, write: &str) {
    node.eval(&format!(
        r#"rabbit_auth_backend_internal:set_permissions(
               <<"{user}">>, <<"/">>, <<".*">>, <<"{write}">>, <<".*">>, <<"test">>)"#
    ))
    .await;
}
