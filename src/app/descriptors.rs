//! Descriptors, of which connections take most, and which the store and the broker need as well.
//!
//! Many systems give a process 1024 and let it have more. Whoever opens enough connections would take them
//! all, and then no lost connection to the broker could be made again.

/// What is kept for everything but connections of callers, at most: webhooks have connections too.
const OTHERS_MAX: u64 = 2048;

/// Takes as many descriptors as the system lets it, and gives how many of the `wanted` connections they are
/// enough for.
pub(super) fn connections_max(wanted: usize) -> usize {
    let descriptors = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(descriptors) => descriptors,
        Err(error) => {
            tracing::warn!(%error, "the limit of descriptors could not be raised");
            return wanted;
        }
    };
    let most = for_connections(descriptors);
    if most < wanted {
        tracing::warn!(
            descriptors,
            connections_max = most,
            "the system gives too few descriptors for the connections that are configured"
        );
    }
    most.min(wanted)
}

fn for_connections(descriptors: u64) -> usize {
    let rest = descriptors - (descriptors / 4).min(OTHERS_MAX);
    usize::try_from(rest).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_have_a_quarter_or_enough() {
        assert_eq!(for_connections(1024), 768);
        assert_eq!(for_connections(20_000), 17_952);
        assert!(for_connections(u64::MAX) > 1 << 40);
    }
}
