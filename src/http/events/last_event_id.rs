//! Where a stream goes on.

use axum::http::{HeaderMap, HeaderName};

use crate::http::problem::{Code, Problem};
use crate::store::POSITIONS_END;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The position in `Last-Event-ID`, if there is one.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let mut given = headers.get_all(LAST_EVENT_ID).iter();
    let position = match (given.next(), given.next()) {
        (None, _) => return Ok(None),
        (Some(only), None) => only.to_str().ok().and_then(position),
        _ => None,
    };
    position.map(Some).ok_or_else(|| {
        Problem::new(
            Code::InvalidEventId,
            "the header Last-Event-ID must be the id of an event, or 0 for everything that is kept",
        )
    })
}

fn position(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let position = text.parse().ok().filter(|_| is_number);
    position.filter(|position| *position < POSITIONS_END)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn read_all(values: &[&'static str]) -> Result<Option<u64>, Code> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(LAST_EVENT_ID, HeaderValue::from_static(value));
        }
        read(&headers).map_err(|problem| problem.code)
    }

    #[test]
    fn a_position_is_a_whole_number() {
        assert_eq!(read_all(&[]), Ok(None));
        assert_eq!(read_all(&["0"]), Ok(Some(0)));
        assert_eq!(read_all(&["17"]), Ok(Some(17)));
        let most = "9223372036854775806";
        assert_eq!(read_all(&[most]), Ok(Some(POSITIONS_END - 1)));
        for bad in [
            "",
            "-1",
            "+1",
            "1.0",
            "x",
            "0x10",
            "9223372036854775807",
            "99999999999999999999",
        ] {
            assert_eq!(read_all(&[bad]), Err(Code::InvalidEventId), "{bad:?}");
        }
        assert_eq!(read_all(&["1", "1"]), Err(Code::InvalidEventId));
    }
}
