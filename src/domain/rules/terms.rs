//! The rules for what a caller wishes beyond publishing.

use super::{Fault, Rules, fault_of_label};
use crate::domain::terms::{Deliver, Terms};
use crate::domain::time::WallTime;
use crate::domain::webhook::Target;

/// Milliseconds that a caller may give a message to settle in: ten years. Who means longer means no limit.
pub const GIVE_UP_AFTER_MS_MAX: u64 = 10 * 365 * 86_400_000;

impl Rules {
    pub(super) fn terms(
        &self,
        faults: &mut Vec<Fault>,
        terms: &Terms,
        has_secret: bool,
        now: WallTime,
    ) {
        if let Some(deliver) = terms.deliver {
            self.deliver(faults, deliver, now);
        }
        if let Some(ms) = terms.give_up_after_ms
            && !(1..=GIVE_UP_AFTER_MS_MAX).contains(&ms)
        {
            faults.push(Fault::new(
                "/give_up_after_ms",
                format!("must be whole milliseconds, 1 to {GIVE_UP_AFTER_MS_MAX}"),
            ));
        }
        if let Some(url) = &terms.callback_url
            && let Some(detail) = self.fault_of_callback(url, has_secret)
        {
            faults.push(Fault::new("/callback_url", detail));
        }
        if let Some(detail) = terms.group.as_deref().and_then(fault_of_label) {
            faults.push(Fault::new("/group", detail));
        }
    }

    /// A time that is over means at once: a request may be old when it comes, or come again.
    fn deliver(&self, faults: &mut Vec<Fault>, deliver: Deliver, now: WallTime) {
        let seconds_max = self.limits.schedule_seconds_max;
        let ms_max = u64::from(seconds_max) * 1000;
        match deliver {
            Deliver::At(at) if at > now.plus_ms(ms_max) => faults.push(Fault::new(
                "/deliver_at",
                format!("is more than the {seconds_max} seconds ahead that are allowed"),
            )),
            Deliver::After { ms } if ms > ms_max => faults.push(Fault::new(
                "/delay_ms",
                format!("must be whole milliseconds, 0 to {ms_max}"),
            )),
            Deliver::At(_) | Deliver::After { .. } => {}
        }
    }

    fn fault_of_callback(&self, url: &str, has_secret: bool) -> Option<String> {
        if !has_secret {
            return Some(
                "needs a webhook secret to sign with, and this caller has none configured"
                    .to_owned(),
            );
        }
        Target::parse(url, &self.webhook_allow)
            .err()
            .map(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::Limits;
    use crate::domain::webhook::AllowList;

    const NOW: WallTime = WallTime::from_unix_ms(1_795_341_600_000);

    /// The faults of terms that `caller` gives, of whom only `signer` has a secret.
    fn faults(terms: &Terms, caller: &str) -> Vec<(String, String)> {
        let rules = Rules {
            limits: Limits {
                schedule_seconds_max: 10,
                ..Limits::default()
            },
            broker_user: None,
            webhook_allow: AllowList::default(),
        };
        let mut faults = Vec::new();
        rules.terms(&mut faults, terms, caller == "signer", NOW);
        let parts = |fault: Fault| (fault.pointer, fault.detail);
        faults.into_iter().map(parts).collect()
    }

    fn pointers(terms: &Terms, caller: &str) -> Vec<String> {
        let pointer = |(pointer, _)| pointer;
        faults(terms, caller).into_iter().map(pointer).collect()
    }

    fn deliver(deliver: Deliver) -> Vec<String> {
        let terms = Terms {
            deliver: Some(deliver),
            ..Terms::default()
        };
        pointers(&terms, "c")
    }

    #[test]
    fn a_message_is_scheduled_up_to_the_limit_and_no_millisecond_further() {
        for (at, expected) in [
            (WallTime::default(), &[][..]),
            (NOW, &[]),
            (NOW.plus_ms(10_000), &[]),
            (NOW.plus_ms(10_001), &["/deliver_at"]),
            (WallTime::from_unix_ms(u64::MAX), &["/deliver_at"]),
        ] {
            assert_eq!(deliver(Deliver::At(at)), expected, "{at}");
        }
        for (ms, expected) in [
            (0, &[][..]),
            (10_000, &[]),
            (10_001, &["/delay_ms"]),
            (u64::MAX, &["/delay_ms"]),
        ] {
            assert_eq!(deliver(Deliver::After { ms }), expected, "{ms}");
        }
    }

    #[test]
    fn the_time_to_settle_in_is_at_least_a_millisecond_and_at_most_ten_years() {
        for (ms, is_good) in [
            (0, false),
            (1, true),
            (GIVE_UP_AFTER_MS_MAX, true),
            (GIVE_UP_AFTER_MS_MAX + 1, false),
        ] {
            let terms = Terms {
                give_up_after_ms: Some(ms),
                ..Terms::default()
            };
            assert_eq!(pointers(&terms, "c").is_empty(), is_good, "{ms}");
        }
    }

    #[test]
    fn a_group_is_a_short_label() {
        for (group, is_good) in [
            ("g", true),
            ("a/b ä", true),
            (&"ä".repeat(127), true),
            (&"ä".repeat(128), false),
            ("", false),
            ("a\nb", false),
        ] {
            let terms = Terms {
                group: Some(group.into()),
                ..Terms::default()
            };
            let expected: &[&str] = if is_good { &[] } else { &["/group"] };
            assert_eq!(pointers(&terms, "c"), expected, "{group:?}");
        }
    }

    fn callback(url: &str, caller: &str) -> Option<String> {
        let terms = Terms {
            callback_url: Some(url.into()),
            ..Terms::default()
        };
        let fault = faults(&terms, caller).pop();
        fault.map(|(pointer, detail)| {
            assert_eq!(pointer, "/callback_url");
            detail
        })
    }

    #[test]
    fn who_has_no_secret_gets_no_callback() {
        let fault = callback("https://hooks.example/in", "c").expect("a fault");
        assert!(fault.contains("secret"), "{fault}");
        assert_eq!(callback("https://hooks.example/in", "signer"), None);
    }

    #[test]
    fn a_callback_goes_where_webhooks_may_go() {
        for good in ["http://hooks.example", "HTTPS://hooks.example:8443/a?b"] {
            assert_eq!(callback(good, "signer"), None, "{good}");
        }
        for bad in [
            "",
            "/in",
            "ftp://hooks.example/",
            "http://user@hooks.example/",
            "http://127.0.0.1/",
            "http://h/\u{85}",
            &format!("http://h/{}", "x".repeat(2048)),
        ] {
            assert!(callback(bad, "signer").is_some(), "{bad}");
        }
    }

    #[test]
    fn every_fault_is_told() {
        let terms = Terms {
            deliver: Some(Deliver::After { ms: 20_000 }),
            give_up_after_ms: Some(0),
            callback_url: Some("x".into()),
            group: Some("".into()),
            trace: None,
        };
        let expected = ["/delay_ms", "/give_up_after_ms", "/callback_url", "/group"];
        assert_eq!(pointers(&terms, "c"), expected);
    }
}
