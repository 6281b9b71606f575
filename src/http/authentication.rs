//! Whose request it is, and what it may do.
//!
//! An endpoint that has to do with messages takes an [`Access`], or one of the extractors that also want a
//! right, and there is no other way to get one. They come before everything that looks at the request, so
//! that who may not do a thing learns nothing of what it would have been done to. Every way to have no valid
//! key is answered the same.
//!
//! **Wrong keys.** There is no count of failures by address, on purpose: behind a proxy everybody has one
//! address, and to refuse it would let anybody lock out all. Nor is one needed. A wrong key costs one
//! SHA-256 and no body is read for it, a thousand a second are a few hundredths of a core, and 256 random
//! bits are not found by trying. What such a flood could fill is the log: single failures are logged at
//! debug level, and counted in one line now and then.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::problem::{Code, Problem};
use super::state::Gateway;
use crate::domain::access::{Access, Act, Credentials};

impl FromRequestParts<Gateway> for Access {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Problem> {
        let callers = Arc::clone(&gateway.callers.borrow());
        let access = callers.identify(credentials(&parts.headers));
        let Some(access) = access else {
            gateway.failures().count();
            return Err(Problem::new(
                Code::Unauthorized,
                "send the header Authorization: Bearer KEY, with a key that this gateway knows",
            ));
        };
        gateway.quotas().take_request(&access)?;
        Ok(access)
    }
}

/// A caller that may send messages again.
pub(super) struct MayReplay(pub(super) Access);

/// A caller that may cancel messages.
pub(super) struct MayCancel(pub(super) Access);

/// A caller that may make and change webhooks.
pub(super) struct MayUseWebhooks(pub(super) Access);

/// A caller that may see what is about all callers together.
pub(super) struct MaySeeAll;

impl FromRequestParts<Gateway> for MaySeeAll {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Problem> {
        let access = Access::from_request_parts(parts, gateway).await?;
        if gateway.callers.borrow().let_see_all(&access) {
            return Ok(Self);
        }
        let detail = "this caller may not see what is about all callers";
        Err(Problem::new(Code::Forbidden, detail))
    }
}

impl FromRequestParts<Gateway> for MayReplay {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Problem> {
        permitted(parts, gateway, Act::Replay).await.map(Self)
    }
}

impl FromRequestParts<Gateway> for MayCancel {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Problem> {
        permitted(parts, gateway, Act::Cancel).await.map(Self)
    }
}

impl FromRequestParts<Gateway> for MayUseWebhooks {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Problem> {
        permitted(parts, gateway, Act::Webhooks).await.map(Self)
    }
}

async fn permitted(parts: &mut Parts, gateway: &Gateway, act: Act) -> Result<Access, Problem> {
    let access = Access::from_request_parts(parts, gateway).await?;
    if access.rights.may(act) {
        return Ok(access);
    }
    let detail = match act {
        Act::Replay => "this caller may not send messages again",
        Act::Cancel => "this caller may not cancel messages",
        Act::Webhooks => "this caller may not make or change webhooks",
    };
    Err(Problem::new(Code::Forbidden, detail))
}

fn credentials(headers: &HeaderMap) -> Credentials<'_> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        (None, _) => Credentials::None,
        (Some(only), None) => key(only.as_bytes()).map_or(Credentials::Malformed, Credentials::Key),
        (Some(_), Some(_)) => Credentials::Malformed,
    }
}

/// The key in `Bearer KEY` (RFC 6750, section 2.1).
fn key(credentials: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, key) = credentials.split_at_checked(SCHEME.len())?;
    scheme
        .eq_ignore_ascii_case(SCHEME)
        .then(|| key.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_follows_the_scheme_in_any_case() {
        for (credentials, expected) in [
            ("Bearer k", Some("k")),
            ("bearer k", Some("k")),
            ("BEARER  k", Some("k")),
            ("Bearer", None),
            ("Bearerk", None),
            ("Basic azpr", None),
            ("k", None),
            ("", None),
        ] {
            let found = key(credentials.as_bytes());
            assert_eq!(found, expected.map(str::as_bytes), "{credentials:?}");
        }
    }
}
