//! Query parameters. Those that nobody knows or that occur twice are refused: a typo must not be lost.

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use percent_encoding::percent_decode;

use super::parse::Faults;
use super::problem::{Code, Problem};

/// For endpoints without query parameters.
pub(super) struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut faults = Faults::default();
        read(parts.uri.query(), &[], &mut faults);
        refuse(faults).map(|()| Self)
    }
}

/// The values of the parameters called `names`, in their order. Everything else is a fault.
pub(super) fn read<'q, const N: usize>(
    query: Option<&'q str>,
    names: &[&str; N],
    faults: &mut Faults,
) -> [Option<Cow<'q, str>>; N] {
    let mut values = [const { None }; N];
    let parameters = query.unwrap_or_default().split('&');
    for parameter in parameters.filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let (Some(name), Some(value)) = (decode(name), decode(value)) else {
            faults.push("", format!("the query parameter {name} is not UTF-8"));
            continue;
        };
        match names.iter().position(|known| *known == name) {
            None => faults.push("", format!("the query parameter {name} is not known here")),
            Some(index) if values[index].is_some() => {
                faults.push(
                    "",
                    format!("the query parameter {name} occurs more than once"),
                );
            }
            Some(index) => values[index] = Some(value),
        }
    }
    values
}

/// The answer to a query with these faults, if there are any.
pub(super) fn refuse(faults: Faults) -> Result<(), Problem> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(Problem::faulty(Code::InvalidQuery, faults))
}

/// As forms are encoded: `+` is a space.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('+') {
        return percent_decode(text.as_bytes()).decode_utf8().ok();
    }
    let text = text.replace('+', " ");
    let text = percent_decode(text.as_bytes()).decode_utf8().ok()?;
    Some(Cow::Owned(text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(query: &str) -> Vec<String> {
        let mut faults = Faults::default();
        read(Some(query), &["a", "b"], &mut faults);
        let (faults, _) = faults.into_parts();
        faults.into_iter().map(|fault| fault.detail).collect()
    }

    #[test]
    fn values_are_decoded_as_forms_encode_them() {
        let mut faults = Faults::default();
        for (query, expected) in [
            (None, [None, None]),
            (Some(""), [None, None]),
            (Some("b=1"), [None, Some("1")]),
            (Some("&b=&&a"), [Some(""), Some("")]),
            (
                Some("a=x+y%2Bz%2fä=&%62=%c3%A4"),
                [Some("x y+z/ä="), Some("ä")],
            ),
            (Some("a=%zz%"), [Some("%zz%"), None]),
        ] {
            let found = read(query, &["a", "b"], &mut faults);
            assert_eq!(
                found.each_ref().map(Option::as_deref),
                expected,
                "{query:?}"
            );
        }
        assert!(faults.is_empty());
    }

    #[test]
    fn unknown_and_repeated_names_and_broken_text_are_all_told() {
        let told = details("a=1&%61=2&c=3&b=%ff");
        assert_eq!(
            told,
            [
                "the query parameter a occurs more than once",
                "the query parameter c is not known here",
                "the query parameter b is not UTF-8",
            ]
        );
        assert!(refuse(Faults::default()).is_ok());
    }
}
