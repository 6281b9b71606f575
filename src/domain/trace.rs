//! Where a request belongs in a distributed trace (W3C Trace Context).
//!
//! It travels with a message and is no part of it: to consumers as headers, to receivers of webhooks as
//! theirs.

/// The header, and the name of the message's header, that says which span a request belongs to.
pub const TRACEPARENT: &str = "traceparent";
/// The one with what tracing systems add.
pub const TRACESTATE: &str = "tracestate";

/// Characters of a `traceparent` of the only version that there is.
const PARENT_BYTES: usize = 55;
/// Characters of a `tracestate` that everybody must pass on; longer ones may be dropped.
const STATE_BYTES_MAX: usize = 512;

/// A proper `traceparent`, and its `tracestate` if there is a proper one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    parent: Box<str>,
    state: Option<Box<str>>,
}

impl TraceContext {
    /// The context that these headers say. What is not proper is as if it had not been sent, as the
    /// specification wants it: `states` without a `parent` too.
    #[must_use]
    pub fn of<'a>(parent: &str, states: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let parent = parent.trim();
        if !is_parent(parent.as_bytes()) {
            return None;
        }
        let states = states.into_iter().map(str::trim);
        let states: Vec<_> = states.filter(|state| !state.is_empty()).collect();
        let state = states.join(",");
        let proper = |byte: u8| matches!(byte, b' '..=b'~' | b'\t');
        let is_proper = (1..=STATE_BYTES_MAX).contains(&state.len()) && state.bytes().all(proper);
        Some(Self {
            parent: parent.into(),
            state: is_proper.then(|| state.into()),
        })
    }

    /// What [`Self::parent`] and [`Self::state`] were when it was stored.
    #[must_use]
    pub fn from_stored(parent: Box<str>, state: Option<Box<str>>) -> Self {
        Self { parent, state }
    }

    /// The `traceparent`.
    #[must_use]
    pub fn parent(&self) -> &str {
        &self.parent
    }

    /// The `tracestate`.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Bytes of both.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.parent.len() + self.state.as_deref().map_or(0, str::len)
    }
}

/// `version-trace id-parent id-flags`. Later versions may have more behind that, which is not passed on:
/// nobody here knows what it says.
fn is_parent(text: &[u8]) -> bool {
    let hex = |range: std::ops::Range<usize>| {
        (text.get(range)).filter(|part| {
            let digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            part.iter().all(digit)
        })
    };
    let not_zero = |part: &[u8]| part.iter().any(|byte| *byte != b'0');
    text.len() == PARENT_BYTES
        && [2, 35, 52].into_iter().all(|at| text[at] == b'-')
        && hex(0..2).is_some_and(|version| version != b"ff")
        && hex(3..35).is_some_and(not_zero)
        && hex(36..52).is_some_and(not_zero)
        && hex(53..55).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn only_a_proper_traceparent_is_one() {
        assert_eq!(
            TraceContext::of(GOOD, [])
                .as_ref()
                .map(TraceContext::parent),
            Some(GOOD)
        );
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\n",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b71692033é-01",
        ] {
            assert_eq!(TraceContext::of(bad, []), None, "{bad}");
        }
    }

    #[test]
    fn several_states_are_one_and_improper_ones_are_left_out() {
        let state = |states: &[&str]| {
            let context = TraceContext::of(GOOD, states.iter().copied()).expect("a context");
            context.state().map(str::to_owned)
        };
        assert_eq!(state(&["a=1", "", " b=2 "]).as_deref(), Some("a=1,b=2"));
        assert_eq!(state(&[]), None);
        assert_eq!(state(&["a=é"]), None);
        let longest = "x".repeat(STATE_BYTES_MAX);
        assert_eq!(state(&[&longest]), Some(longest.clone()));
        assert_eq!(state(&[&longest, "y"]), None);
    }
}
