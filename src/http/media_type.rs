//! Whether a body is JSON, by its headers alone.
//!
//! Only `application/json` is taken: a browser's form or `text/plain` body, which it may send to
//! any site without asking, must never be a message. The only charset of JSON is UTF-8.

use axum::http::{HeaderMap, header};

use super::problem::{Code, Problem};

/// Refuses what is not plain, unencoded JSON.
pub(super) fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let is_json = match (types.next(), types.next()) {
        (Some(only), None) => only.to_str().is_ok_and(is_json),
        _ => false,
    };
    if !is_json {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "Content-Type must be application/json (UTF-8)",
        ));
    }
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

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';');
    let essence = parts.next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        && parts.all(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            !name.trim().eq_ignore_ascii_case("charset") || value.eq_ignore_ascii_case("utf-8")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_json_with_any_parameter_but_another_charset() {
        for json in [
            "application/json",
            "Application/JSON ; charset=UTF-8",
            "application/json;charset=\"utf-8\"; profile=x",
        ] {
            assert!(is_json(json), "{json}");
        }
        for other in [
            "",
            "text/plain",
            "application/problem+json",
            "application/json, text/plain",
            "application/json; charset=latin1",
        ] {
            assert!(!is_json(other), "{other}");
        }
    }
}
