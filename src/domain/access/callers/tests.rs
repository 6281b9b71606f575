use super::*;
use crate::domain::access::{Grant, Rate};
use crate::domain::{Draft, Properties};

const SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn named(name: &str) -> Caller {
    Caller::named(name).expect("a name")
}

/// Callers with these names and keys.
fn callers(keys: &[(&str, &str)]) -> Callers {
    let mut callers = Callers::default();
    for (name, key) in keys {
        let hash = KeyHash::of(key.as_bytes());
        callers.add_key(&named(name), hash).expect("a new key");
    }
    callers
}

fn whose(callers: &Callers, credentials: Credentials<'_>) -> Option<String> {
    let access = callers.identify(credentials);
    access.map(|access| access.caller.to_string())
}

fn of_key(callers: &Callers, key: &str) -> Option<String> {
    whose(callers, Credentials::Key(key.as_bytes()))
}

fn restrict(callers: &mut Callers, name: &str, change: impl FnOnce(&mut Rights)) {
    let mut rights = Rights::default();
    change(&mut rights);
    callers.name(named(name), rights);
}

fn draft(caller: Caller) -> Draft {
    Draft {
        caller,
        exchange: "e".into(),
        routing_key: "k".into(),
        mandatory: true,
        ordering_key: None,
        properties: Properties::default(),
        payload: bytes::Bytes::new(),
        terms: None,
    }
}

#[test]
fn a_key_is_its_callers_and_several_may_be() {
    let callers = callers(&[("b", "one"), ("a", "two"), ("b", "three")]);
    for (key, expected) in [("one", "b"), ("two", "a"), ("three", "b")] {
        assert_eq!(of_key(&callers, key).as_deref(), Some(expected), "{key}");
    }
    for nobodys in ["", "on", "onee", "One"] {
        assert_eq!(of_key(&callers, nobodys), None, "{nobodys}");
    }
}

#[test]
fn no_key_is_given_twice() {
    let mut callers = callers(&[("a", "one")]);
    for name in ["a", "b"] {
        let again = callers.add_key(&named(name), KeyHash::of(b"one"));
        assert_eq!(again, Err(KeyRepeated));
    }
    assert_eq!(of_key(&callers, "one").as_deref(), Some("a"));
    assert_eq!(callers.keys_count(), 1);
}

#[test]
fn who_comes_without_a_key_is_let_in_where_nobody_has_a_name_or_it_is_allowed() {
    let nobody = Callers::default();
    let some = callers(&[("a", "one")]);
    let open = Callers {
        allow_anonymous: true,
        ..some.clone()
    };
    for (given, among_nobody, among_some, where_allowed) in [
        (Credentials::None, Some(""), None, Some("")),
        (Credentials::Key(b"one"), Some(""), Some("a"), Some("a")),
        // A wrong key is not as good as none.
        (Credentials::Key(b"two"), Some(""), None, None),
        (Credentials::Malformed, Some(""), None, None),
    ] {
        assert_eq!(whose(&nobody, given).as_deref(), among_nobody, "{given:?}");
        assert_eq!(whose(&some, given).as_deref(), among_some, "{given:?}");
        assert_eq!(whose(&open, given).as_deref(), where_allowed, "{given:?}");
    }
    let this_machine = [&nobody, &some, &open].map(Callers::are_this_machine);
    assert_eq!(this_machine, [true, false, false]);
}

#[test]
fn to_take_the_last_key_away_opens_nothing() {
    let mut callers = Callers::default();
    callers.name(named("a"), Rights::default());
    assert!(!callers.are_this_machine());
    assert_eq!(whose(&callers, Credentials::None), None);
}

#[test]
fn a_caller_has_two_secrets_at_most_and_they_name_nobody() {
    let secret = |letter: &str| -> Secret {
        format!("whsec_{}", letter.repeat(32))
            .parse()
            .expect("a secret")
    };
    let mut callers = Callers::default();
    assert_eq!(callers.add_secret(&named("a"), secret("C")), Ok(()));
    let again = callers.add_secret(&named("a"), secret("C"));
    assert_eq!(again, Err(SecretRefused::Repeated));
    assert_eq!(callers.add_secret(&named("a"), secret("A")), Ok(()));
    let third = callers.add_secret(&named("a"), secret("B"));
    assert_eq!(third, Err(SecretRefused::TooMany));
    assert_eq!(callers.add_secret(&Caller::default(), secret("B")), Ok(()));
    assert_eq!(callers.secrets(&named("a")), [secret("C"), secret("A")]);
    assert_eq!(callers.secrets(&Caller::default()), [secret("B")]);
    assert_eq!(callers.secrets(&named("b")), []);
    assert!(callers.are_this_machine());
}

#[test]
fn a_caller_sees_its_own_messages_or_everybodys() {
    let mut callers = callers(&[("own", "one"), ("all", "two")]);
    restrict(&mut callers, "all", |rights| rights.see = Sight::All);
    let access = |key: &[u8]| callers.identify(Credentials::Key(key)).expect("access");
    let (own, all) = (access(b"one"), access(b"two"));
    for owner in [named("all"), named("x"), Caller::default()] {
        assert!(!own.sees(&owner) && all.sees(&owner), "{owner:?}");
    }
    assert!(own.sees(&named("own")));
    assert_eq!((own.scope(), all.scope()), (Some(&named("own")), None));
}

#[test]
fn what_goes_on_ends_when_its_key_or_its_sight_is_gone() {
    let before = callers(&[("a", "one"), ("b", "two")]);
    let access = before.identify(Credentials::Key(b"one")).expect("access");
    assert!(before.still_lets_see(&access));
    let revoked = callers(&[("a", "three"), ("b", "two")]);
    let anothers = callers(&[("b", "one")]);
    let mut narrower = before.clone();
    restrict(&mut narrower, "a", |rights| rights.see = Sight::All);
    for after in [&revoked, &anothers, &narrower] {
        assert!(!after.still_lets_see(&access), "{after:?}");
    }
    // What does not change what is seen ends nothing.
    let mut slower = before.clone();
    let rate = Rate {
        per_second: 1,
        burst: 1,
    };
    restrict(&mut slower, "a", |rights| rights.requests = Some(rate));
    assert!(slower.still_lets_see(&access));
}

#[test]
fn without_a_key_what_goes_on_ends_when_nobody_may_come_without_one() {
    let open = Callers::default();
    let access = open.identify(Credentials::None).expect("access");
    assert!(open.still_lets_see(&access));
    let mut closed = callers(&[("a", "one")]);
    assert!(!closed.still_lets_see(&access));
    closed.allow_anonymous = true;
    assert!(closed.still_lets_see(&access));
}

#[test]
fn who_is_not_known_any_more_may_publish_nothing() {
    let mut callers = callers(&[("a", "one"), ("b", "two")]);
    restrict(&mut callers, "b", |rights| {
        let pattern = |text: &str| text.parse().expect("a pattern");
        rights.publish = Some(vec![Grant {
            exchange: pattern("f"),
            routing_key: pattern("#"),
        }]);
    });
    let may = |callers: &Callers, caller| callers.may_publish(&draft(caller));
    assert!(may(&callers, named("a")));
    assert!(!may(&callers, named("b")) && !may(&callers, named("c")));
    assert!(!may(&callers, Caller::default()));
    callers.allow_anonymous = true;
    assert!(may(&callers, Caller::default()));
    assert!(may(&Callers::default(), Caller::default()));
}

#[test]
fn neither_keys_nor_secrets_are_shown() {
    let mut callers = callers(&[("billing", "0123456789abcdef")]);
    let secret = SECRET.parse().expect("a secret");
    assert_eq!(callers.add_secret(&named("billing"), secret), Ok(()));
    let shown = format!("{callers:?}");
    assert!(shown.contains("billing"), "{shown}");
    for hidden in ["0123", "9f9f", "AAAA"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

#[test]
fn whoever_follows_opens_nothing() {
    let nobody = Callers::default();
    let open = Callers {
        allow_anonymous: true,
        ..Callers::default()
    };
    let mut some = Callers::default();
    some.name(named("a"), Rights::default());
    let mut others = open.clone();
    others.name(named("b"), Rights::default());
    assert_eq!(some.followed_by(&nobody), None);
    assert_eq!(some.followed_by(&open), None);
    let after = some.followed_by(&others).expect("they have names");
    assert!(after.names().eq([&named("b")]) && !after.allow_anonymous);
    let first = nobody.followed_by(&some);
    assert_eq!(first, Some(some));
    assert_eq!(open.followed_by(&nobody), Some(open.clone()));
}
