//! Whether a body is JSON, by its headers alone.
//!
//! Only `application/json` is taken, and for batches one JSON text a line: a browser's form or `text/plain` body, which it may send to
//! any site without asking, must never be a message. The only charset of JSON is UTF-8.

use axum::http::{HeaderMap, header};

use super::parse::Form;
use super::problem::{Code, Problem};

/// One JSON text.
const JSON: &str = "application/json";

/// One JSON text a line.
const LINES: &str = "application/x-ndjson";

/// Refuses what is not plain, unencoded JSON.
pub(super) fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    require_plain(headers)?;
    if !given(headers).is_some_and(|given| is(given, JSON)) {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "Content-Type must be application/json (UTF-8)",
        ));
    }
    Ok(())
}

/// How a batch is written; refuses what is neither of the two.
pub(super) fn batch_form(headers: &HeaderMap) -> Result<Form, Problem> {
    require_plain(headers)?;
    match given(headers) {
        Some(given) if is(given, JSON) => Ok(Form::Json),
        Some(given) if is(given, LINES) => Ok(Form::Lines),
        _ => Err(Problem::new(
            Code::UnsupportedMediaType,
            "Content-Type must be application/json or application/x-ndjson (UTF-8)",
        )),
    }
}

fn given(headers: &HeaderMap) -> Option<&str> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (Some(only), None) => only.to_str().ok(),
        _ => None,
    }
}

fn require_plain(headers: &HeaderMap) -> Result<(), Problem> {
    let encoded = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if encoded {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "Content-Encoding is not supported here: send the JSON text as it is",
        ));
    }
    Ok(())
}

fn is(content_type: &str, wanted: &str) -> bool {
    let mut parts = content_type.split(';');
    let essence = parts.next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(wanted)
        && parts.all(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            !name.trim().eq_ignore_ascii_case("charset") || value.eq_ignore_ascii_case("utf-8")
        })
}

/// Whether `text` is a media type (RFC 9110, section 8.3.1), with parameters or without.
pub(super) fn is_media_type(text: &str) -> bool {
    let mut parts = text.split(';');
    let essence = parts.next().unwrap_or_default().trim_end();
    let (kind, subtype) = essence.split_once('/').unwrap_or_default();
    is_token(kind) && is_token(subtype) && parts.all(is_parameter)
}

fn is_parameter(text: &str) -> bool {
    let Some((name, value)) = text.trim().split_once('=') else {
        return false;
    };
    let quoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .is_some_and(|inner| {
            let plain = |byte: u8| (b' '..=b'~').contains(&byte) && !matches!(byte, b'"' | b'\\');
            inner.bytes().all(plain)
        });
    is_token(name) && (quoted || is_token(value))
}

fn is_token(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_media_type_is_two_tokens_and_parameters() {
        for good in [
            "text/plain",
            "application/vnd.api+json; charset=utf-8;v=\"1 2\"",
            "a/b ; c=d",
        ] {
            assert!(is_media_type(good), "{good}");
        }
        for odd in [
            "",
            "text",
            "text/",
            "/plain",
            "text/plain, text/html",
            "text/plain;",
            "text/plain; charset",
            "text/plain; a=\"b\"c\"",
            "te xt/plain",
            "text/ht\u{e4}ml",
            " text/plain",
        ] {
            assert!(!is_media_type(odd), "{odd}");
        }
    }

    use super::*;

    #[test]
    fn json_is_json_with_any_parameter_but_another_charset() {
        for json in [
            "application/json",
            "Application/JSON ; charset=UTF-8",
            "application/json;charset=\"utf-8\"; profile=x",
        ] {
            assert!(is(json, JSON), "{json}");
        }
        assert!(is("application/x-ndjson; charset=utf-8", LINES));
        for other in [
            "",
            "application/x-ndjson",
            "text/plain",
            "application/problem+json",
            "application/json, text/plain",
            "application/json; charset=latin1",
        ] {
            assert!(!is(other, JSON), "{other}");
        }
    }
}
