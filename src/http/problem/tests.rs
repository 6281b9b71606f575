//! What holds for every code.

use super::*;

#[test]
fn every_503_says_when_to_come_back_and_nothing_is_a_500() {
    for code in Code::ALL {
        let unavailable = code.status() == StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(
            code.retry_after_seconds().is_some(),
            unavailable,
            "{code:?}"
        );
        assert!(unavailable || code.status().is_client_error(), "{code:?}");
    }
}

#[test]
fn codes_are_snake_case_and_differ() {
    let mut words: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let snake = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    assert!(words.iter().all(snake));
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Code::ALL.len());
}
