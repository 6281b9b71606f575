//! What a caller wishes beyond publishing, as one blob, and back.
//!
//! As `codec.rs` does it with the properties. The label is not in it: that is a number, see
//! `groups.rs`.

use super::codec::{Input, Unreadable, put_number, put_text};
use crate::domain::{Deliver, Terms, TraceContext, WallTime};

const VERSION: u8 = 1;

const DELIVER_AT: u8 = 1;
const DELIVER_AFTER: u8 = 1 << 1;
const GIVE_UP: u8 = 1 << 2;
const CALLBACK: u8 = 1 << 3;
const TRACE: u8 = 1 << 4;
const TRACE_STATE: u8 = 1 << 5;
const KNOWN: u8 = (1 << 6) - 1;

/// The blob of `terms`, or `None` when they say nothing, the label apart.
pub(super) fn encode(terms: Option<&Terms>) -> Option<Vec<u8>> {
    let terms = terms?;
    let deliver = match terms.deliver {
        None => 0,
        Some(Deliver::At(_)) => DELIVER_AT,
        Some(Deliver::After { .. }) => DELIVER_AFTER,
    };
    let give_up = terms.give_up_after_ms.map_or(0, |_| GIVE_UP);
    let callback = terms.callback_url.as_ref().map_or(0, |_| CALLBACK);
    let trace = terms
        .trace
        .as_ref()
        .map_or(0, |trace| TRACE | trace.state().map_or(0, |_| TRACE_STATE));
    let present = deliver | give_up | callback | trace;
    if present == 0 {
        return None;
    }
    let mut out = vec![VERSION, present];
    match terms.deliver {
        None => {}
        Some(Deliver::At(at)) => put_number(&mut out, at.unix_ms()),
        Some(Deliver::After { ms }) => put_number(&mut out, ms),
    }
    if let Some(ms) = terms.give_up_after_ms {
        put_number(&mut out, ms);
    }
    if let Some(url) = &terms.callback_url {
        put_text(&mut out, url);
    }
    if let Some(trace) = &terms.trace {
        put_text(&mut out, trace.parent());
        if let Some(state) = trace.state() {
            put_text(&mut out, state);
        }
    }
    Some(out)
}

/// The terms in a blob, without the label; without a blob, those that say nothing.
pub(super) fn decode(blob: Option<&[u8]>) -> Result<Terms, Unreadable> {
    let mut terms = Terms::default();
    let Some(blob) = blob else {
        return Ok(terms);
    };
    let mut input = Input { left: blob };
    let version = input.byte()?;
    if version != VERSION {
        return Err(Unreadable::Version(version));
    }
    let present = input.byte()?;
    if present & !KNOWN != 0 {
        return Err(Unreadable::Long);
    }
    if present & DELIVER_AT != 0 {
        terms.deliver = Some(Deliver::At(WallTime::from_unix_ms(input.number()?)));
    }
    if present & DELIVER_AFTER != 0 {
        terms.deliver = Some(Deliver::After {
            ms: input.number()?,
        });
    }
    if present & GIVE_UP != 0 {
        terms.give_up_after_ms = Some(input.number()?);
    }
    if present & CALLBACK != 0 {
        terms.callback_url = Some(input.text()?);
    }
    if present & TRACE != 0 {
        let parent = input.text()?;
        let has_state = present & TRACE_STATE != 0;
        let state = has_state.then(|| input.text()).transpose()?;
        terms.trace = Some(TraceContext::from_stored(parent, state));
    }
    if input.left.is_empty() {
        Ok(terms)
    } else {
        Err(Unreadable::Long)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_terms() -> impl Strategy<Value = Terms> {
        let deliver = prop_oneof![
            any::<u64>().prop_map(|ms| Deliver::At(WallTime::from_unix_ms(ms))),
            any::<u64>().prop_map(|ms| Deliver::After { ms }),
        ];
        let url = "\\PC{0,40}".prop_map(Into::into);
        let trace = ("[0-9a-f-]{55}", any::<bool>()).prop_map(|(parent, has_state)| {
            let state = has_state.then(|| "a=1".into());
            TraceContext::from_stored(parent.into(), state)
        });
        let all = (
            prop::option::of(deliver),
            any::<Option<u64>>(),
            prop::option::of(url),
            prop::option::of(trace),
        );
        all.prop_map(|(deliver, give_up_after_ms, callback_url, trace)| Terms {
            deliver,
            give_up_after_ms,
            callback_url,
            group: None,
            trace,
        })
    }

    proptest! {
        #[test]
        fn terms_come_back_as_they_went_in(terms in any_terms()) {
            prop_assert_eq!(decode(encode(Some(&terms)).as_deref()), Ok(terms));
        }

        #[test]
        fn whatever_the_bytes_are_reading_ends(blob in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(Some(&blob));
            let _ = decode(Some(&[&[VERSION], &blob[..]].concat()));
        }

        #[test]
        fn a_blob_that_was_cut_is_an_error(terms in any_terms(), cut in any::<prop::sample::Index>()) {
            if let Some(blob) = encode(Some(&terms)) {
                prop_assert!(decode(Some(&blob[..cut.index(blob.len())])).is_err());
            }
        }
    }

    #[test]
    fn a_label_alone_needs_no_blob() {
        let terms = Terms {
            group: Some("label".into()),
            ..Terms::default()
        };
        assert_eq!((encode(Some(&terms)), encode(None)), (None, None));
    }
}
