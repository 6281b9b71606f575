//! What hyper takes although another server on the way might read it differently.
//!
//! Two servers that disagree about where a request ends let one caller's bytes pass for another's request.
//! hyper refuses most of what invites that, and closes after a request with both lengths; the rest is here.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Version, header};
use axum::response::{IntoResponse as _, Response};

use super::problem::{Code, Problem};

/// Refuses a request whose framing or host can be read in two ways; the answer ends its connection.
pub(super) fn refusal(request: &Request) -> Option<Response> {
    let detail = check(request.version(), request.headers()).err()?;
    let mut response = Problem::new(Code::MalformedRequest, detail).into_response();
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    Some(response)
}

fn check(version: Version, headers: &HeaderMap) -> Result<(), &'static str> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next();
    let is_chunked = coding.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !is_chunked || codings.next().is_some() {
        return Err("the only Transfer-Encoding that is understood is chunked, once");
    }
    let hosts = headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && version == Version::HTTP_11) {
        return Err("a request has exactly one Host");
    }
    Ok(())
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
            (Version::HTTP_2, &[], true),
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
            assert_eq!(check(version, &map).is_ok(), good, "{version:?} {fields:?}");
        }
    }
}
