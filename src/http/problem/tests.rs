//! How a problem is answered.

use super::*;

#[test]
fn who_is_over_its_rate_is_told_whole_seconds_that_are_enough() {
    let rate = Rate {
        per_second: 1,
        burst: 1,
    };
    for (wait_ms, expected) in [
        (0, "1"),
        (1, "1"),
        (1000, "1"),
        (1001, "2"),
        (7_200_000, "7200"),
    ] {
        let wait = Duration::from_millis(wait_ms);
        let answer = Problem::rate_limited("sends more", rate, wait).into_response();
        assert_eq!(answer.headers()[header::RETRY_AFTER], expected);
    }
}
