//! What hyper takes although another server on the way might read it differently.
//!
//! Two servers that disagree about where a request ends let one caller's bytes pass for another's request.
//! hyper refuses most of what invites that, and closes after a request with both lengths; the rest is here.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Version, header};
use axum::response::{IntoResponse as _, Response};

use super::problem::{Code, Problem};

/// Refuses a request whose framing or host can be read in two ways; in HTTP/1 the answer ends its connection.
pub(super) fn refusal(request: &Request) -> Option<Response> {
    let detail = check(
        request.version(),
        request.uri().authority(),
        request.headers(),
    )
    .err()?;
    let mut response = Problem::new(Code::MalformedRequest, detail).into_response();
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    Some(response)
}

fn check(
    version: Version,
    authority: Option<&Authority>,
    headers: &HeaderMap,
) -> Result<(), &'static str> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next();
    let is_chunked = coding.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !is_chunked || codings.next().is_some() {
        return Err("the only Transfer-Encoding that is understood is chunked, once");
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next();
    // RFC 9112, section 3.2.
    if hosts.next().is_some() || (host.is_none() && version == Version::HTTP_11) {
        return Err("a request has exactly one Host");
    }
    // RFC 9113, section 8.3.1. In HTTP/1.1 the target overrules `Host` (RFC 9112, section 3.2.2).
    if version == Version::HTTP_2 {
        match (host, authority) {
            (None, None) => return Err("a request has an :authority"),
            (Some(host), Some(authority)) if !names(host, authority.host()) => {
                return Err("Host and :authority name two hosts");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a `Host` names this one, with any port: some leave that of the scheme out, and some do not.
fn names(host: &HeaderValue, name: &str) -> bool {
    let host = Authority::try_from(host.as_bytes());
    host.is_ok_and(|host| host.host().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    #[test]
    fn framing_is_plain_or_refused() {
        const TE: &str = "transfer-encoding";
        let host = ("host", "localhost");
        for (version, fields, good) in [
            (Version::HTTP_11, &[host][..], true),
            (Version::HTTP_11, &[], false),
            (Version::HTTP_10, &[], true),
            (Version::HTTP_2, &[], false),
            (Version::HTTP_2, &[host], true),
            (Version::HTTP_11, &[host, host], false),
            (Version::HTTP_11, &[host, (TE, "chunked")], true),
            (Version::HTTP_11, &[host, (TE, "Chunked")], true),
            (Version::HTTP_11, &[host, (TE, "gzip, chunked")], false),
            (Version::HTTP_11, &[host, (TE, "chunked, chunked")], false),
            (
                Version::HTTP_11,
                &[host, (TE, "gzip"), (TE, "chunked")],
                false,
            ),
            (
                Version::HTTP_11,
                &[host, (TE, "chunked"), (TE, "chunked")],
                false,
            ),
        ] {
            let headers = fields.iter().map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            });
            let headers: Vec<_> = headers.collect();
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(name, value);
            }
            let checked = check(version, None, &map);
            assert_eq!(checked.is_ok(), good, "{version:?} {fields:?}");
        }
    }

    #[test]
    fn a_host_beside_an_authority_is_the_same() {
        let of = |version, host| {
            let mut map = HeaderMap::new();
            map.append(header::HOST, HeaderValue::from_static(host));
            let authority = Authority::from_static("localhost");
            check(version, Some(&authority), &map).is_ok()
        };
        assert!(of(Version::HTTP_2, "LOCALHOST:80"));
        for other in ["example.com", "localhost.", "[::1]", "", "a b"] {
            assert!(!of(Version::HTTP_2, other), "{other}");
            assert!(of(Version::HTTP_11, other), "{other}");
        }
    }
}
