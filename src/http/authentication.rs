//! Whose request it is.
//!
//! An endpoint that has to do with messages takes a [`Caller`], and there is no other way to get one:
//! with keys configured, it is who the key belongs to. Every way to have no valid key is answered the
//! same. Without keys everybody is the one caller without a name, and `loopback` keeps strangers away.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::problem::{Code, Problem};
use super::state::Gateway;
use crate::domain::Caller;

impl FromRequestParts<Gateway> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Problem> {
        identify(&parts.headers, gateway)
    }
}

fn identify(headers: &HeaderMap, gateway: &Gateway) -> Result<Caller, Problem> {
    let settings = &gateway.settings;
    if settings.api_keys.is_empty() {
        return Ok(Caller::default());
    }
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let caller = match (given.next(), given.next()) {
        (None, _) if settings.allow_anonymous => return Ok(Caller::default()),
        (Some(only), None) => {
            key(only.as_bytes()).and_then(|key| settings.api_keys.whose(key).cloned())
        }
        _ => None,
    };
    caller.ok_or_else(|| {
        Problem::new(
            Code::Unauthorized,
            "send the header Authorization: Bearer KEY, with a key that this gateway knows",
        )
    })
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
