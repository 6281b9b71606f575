//! The id of a request, by which its line in the log is found.
//!
//! A proper one that the caller sends is taken over, so that it is the same in all the systems on the way;
//! whatever could confuse a log is replaced.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::chance;

/// The header, of the request and of the answer.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const BYTES_MAX: usize = 128;

/// The request's own id, or a new one.
pub(super) fn of(headers: &HeaderMap) -> HeaderValue {
    let mut given = headers.get_all(X_REQUEST_ID).iter();
    match (given.next(), given.next()) {
        (Some(only), None) if is_proper(only.as_bytes()) => only.clone(),
        _ => fresh(),
    }
}

fn is_proper(id: &[u8]) -> bool {
    let proper = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@~".contains(byte);
    (1..=BYTES_MAX).contains(&id.len()) && id.iter().all(proper)
}

fn fresh() -> HeaderValue {
    let bits = u128::from(chance::bits()) << 64 | u128::from(chance::bits());
    let mut id = [0; uuid::fmt::Simple::LENGTH];
    let id = uuid::fmt::Simple::from_uuid(uuid::Uuid::from_u128(bits)).encode_lower(&mut id);
    // Digits and letters are always a header value.
    HeaderValue::from_str(id).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(given: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for one in given {
            headers.append(X_REQUEST_ID, HeaderValue::from_static(one));
        }
        of(&headers).to_str().expect("a text").to_owned()
    }

    #[test]
    fn a_proper_id_is_kept_and_anything_else_replaced() {
        for good in [
            "a",
            "0193a5c4-7b1e-7000-8000-1/2=",
            "Root=1-67891233:abcdef",
        ] {
            assert_eq!(id(&[good]), good);
        }
        for bad in ["", "a b", "a\"b", "a\u{7f}", "x;y", "<a>"] {
            let headers: HeaderMap = HeaderValue::from_str(bad)
                .map(|value| HeaderMap::from_iter([(X_REQUEST_ID, value)]))
                .unwrap_or_default();
            let told = of(&headers);
            assert_eq!(told.len(), 32, "{bad:?}: {told:?}");
        }
        assert_eq!(id(&["a", "b"]).len(), 32);
        assert_ne!(id(&[]), id(&[]));
    }

    #[test]
    fn an_id_has_at_most_so_many_characters() {
        assert!(is_proper("x".repeat(BYTES_MAX).as_bytes()));
        assert!(!is_proper("x".repeat(BYTES_MAX + 1).as_bytes()));
    }
}
