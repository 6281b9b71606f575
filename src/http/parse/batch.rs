//! Many messages in one body, each on its own.
//!
//! The whole body is read and its grammar checked before any item counts: what is cut off anywhere is no
//! batch. Items are read from their text one after the other; what they become owns its bytes, so the
//! body can go as soon as all are read.

use super::faults::Faults;
use super::fields::{self, wrong_kind};
use super::json::{self, Cursor, Kind, Malformed};
use super::{Intake, Refusal, Refused, checked, keyed};
use crate::relay::Keyed;

/// Once so many faults are listed, each further item lists only its first: a body of nothing but faults
/// must not become an answer many times its size.
const FAULTS_LISTED_MAX: usize = 1000;

/// How the items are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `{"messages":[…]}`
    Json,
    /// One item a line.
    Lines,
}

/// What a body holds.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Batch {
    /// The good ones in their order.
    pub(crate) good: Vec<Keyed>,
    /// The others with their places among all items, in their order.
    pub(crate) refused: Vec<(usize, Refused)>,
}

/// The messages in `body`.
pub(crate) fn batch(body: &[u8], form: Form, intake: Intake<'_>) -> Result<Batch, Refusal> {
    let mut reader = Reader {
        intake,
        batch: Batch::default(),
        faults_listed: 0,
    };
    match form {
        Form::Json => reader.json(body)?,
        Form::Lines => reader.lines(body)?,
    }
    let batch = reader.batch;
    if batch.good.is_empty() && batch.refused.is_empty() {
        let at = match form {
            Form::Json => "/messages",
            Form::Lines => "",
        };
        return Err(faulty(at, "holds no message"));
    }
    Ok(batch)
}

fn faulty(at: &str, detail: &str) -> Refusal {
    let mut faults = Faults::default();
    faults.push(at, detail);
    Refusal::Faulty(faults)
}

struct Reader<'a> {
    intake: Intake<'a>,
    batch: Batch,
    faults_listed: usize,
}

impl Reader<'_> {
    fn json(&mut self, body: &[u8]) -> Result<(), Refusal> {
        let raw = json::object(body).map_err(Refusal::Malformed)?;
        let mut faults = Faults::default();
        let [messages] = fields::read(raw, "", &["messages"], &mut faults);
        match messages {
            None => faults.push("/messages", "is required"),
            Some(raw) if Kind::of(raw) != Kind::Array => {
                wrong_kind(&mut faults, "/messages", raw, "an array of messages");
            }
            Some(_) => {}
        }
        if !faults.is_empty() {
            return Err(Refusal::Faulty(faults));
        }
        let mut cursor = Cursor::new(messages.unwrap_or_default());
        cursor.enter();
        while cursor.next() {
            self.item(cursor.value())?;
        }
        Ok(())
    }

    fn lines(&mut self, body: &[u8]) -> Result<(), Refusal> {
        let text = json::text(body).map_err(Refusal::Malformed)?;
        for (number, line) in (1..).zip(text.split('\n')) {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let item = json::value(line).map_err(|Malformed(detail)| {
                Refusal::Malformed(Malformed(format!("in line {number} of the body: {detail}")))
            })?;
            self.item(item)?;
        }
        Ok(())
    }

    fn item(&mut self, raw: &str) -> Result<(), Refusal> {
        let index = self.batch.good.len() + self.batch.refused.len();
        let max = self.intake.rules.limits.batch_items_max;
        if index >= max {
            return Err(Refusal::TooMany(max));
        }
        let listed_max = FAULTS_LISTED_MAX.saturating_sub(self.faults_listed).max(1);
        let mut faults = Faults::at_most(listed_max);
        let read = if Kind::of(raw) == Kind::Object {
            let keyed = keyed(raw, self.intake, None, &mut faults);
            checked(keyed, self.intake, faults)
        } else {
            wrong_kind(&mut faults, "", raw, "an object");
            Err(Refused::Faulty(faults))
        };
        match read {
            Ok(keyed) => self.batch.good.push(keyed),
            Err(refused) => {
                self.faults_listed += refused.faults_listed();
                self.batch.refused.push((index, refused));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access::Access;
    use crate::domain::webhook::AllowList;
    use crate::domain::{Limits, Rules, WallTime};
    use proptest::prelude::*;

    fn rules(batch_items_max: usize) -> Rules {
        Rules {
            limits: Limits {
                batch_items_max,
                ..Limits::default()
            },
            broker_user: None,
            webhook_allow: AllowList::default(),
        }
    }

    fn read_bytes(form: Form, body: &[u8], batch_items_max: usize) -> Result<Batch, Refusal> {
        let intake = Intake {
            access: &Access::default(),
            has_secret: false,
            rules: &rules(batch_items_max),
            now: WallTime::default(),
        };
        batch(body, form, intake)
    }

    fn read(form: Form, body: &str) -> Result<Batch, Refusal> {
        read_bytes(form, body.as_bytes(), 10_000)
    }

    fn payloads(batch: &Batch) -> Vec<&str> {
        (batch.good.iter())
            .map(|keyed| std::str::from_utf8(&keyed.draft.payload).expect("text"))
            .collect()
    }

    fn places(batch: &Batch) -> Vec<usize> {
        batch.refused.iter().map(|(index, _)| *index).collect()
    }

    #[test]
    fn both_forms_say_the_same() {
        let array =
            "{ \"messages\" : [ {\"payload\":\"a\"} , {} ,\n1, {\"payload\":\"\\\"b,]\"} ] }";
        let lines = "{\"payload\":\"a\"}\r\n {} \n1\n\n{\"payload\":\"\\\"b,]\"}\n\n \n";
        for batch in [read(Form::Json, array), read(Form::Lines, lines)] {
            let batch = batch.expect("a batch");
            assert_eq!(payloads(&batch), ["a", "\"b,]"]);
            assert_eq!(places(&batch), [1, 2]);
        }
    }

    #[test]
    fn a_line_that_is_no_json_spoils_all_and_is_named() {
        for body in [
            "{\"payload\":1}\n{\"payload\":",
            "{\"payload\":1}\nx\n{\"payload\":1}",
        ] {
            let Err(Refusal::Malformed(Malformed(detail))) = read(Form::Lines, body) else {
                panic!("{body} is taken");
            };
            assert!(detail.contains("line 2 of the body"), "{detail}");
        }
    }

    #[test]
    fn a_batch_has_one_field_and_at_least_one_message() {
        for (body, at) in [
            ("{}", "/messages"),
            ("{\"messages\":null}", "/messages"),
            ("{\"messages\":{}}", "/messages"),
            ("{\"messages\":[]}", "/messages"),
            ("{\"messages\":[{\"payload\":1}],\"x\":1}", "/x"),
            (
                "{\"messages\":[{\"payload\":1}],\"messages\":[]}",
                "/messages",
            ),
        ] {
            let Err(Refusal::Faulty(faults)) = read(Form::Json, body) else {
                panic!("{body} is taken");
            };
            assert_eq!(faults.into_parts().0[0].pointer, at, "{body}");
        }
        assert!(matches!(
            read(Form::Lines, " \n\n"),
            Err(Refusal::Faulty(_))
        ));
        assert!(matches!(read(Form::Json, "[]"), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn exactly_the_limit_is_taken_and_one_item_more_is_not() {
        let body = "{\"payload\":1}\n1\n{\"payload\":2}";
        let read = |max| read_bytes(Form::Lines, body.as_bytes(), max);
        assert!(read(3).is_ok());
        assert_eq!(read(2), Err(Refusal::TooMany(2)));
    }

    #[test]
    fn a_body_of_nothing_but_faults_lists_a_bounded_number() {
        let item = format!("{{{}}}", "\"a\":1,".repeat(50) + "\"b\":1");
        let batch = read(Form::Lines, &vec![item; 1000].join("\n")).expect("a batch");
        let listed = |(_, refused): &(usize, Refused)| refused.faults_listed();
        let all: usize = batch.refused.iter().map(listed).sum();
        assert_eq!(batch.refused.len(), 1000);
        assert!((1000..=2000).contains(&all), "{all}");
        assert!(batch.refused.iter().all(|one| listed(one) >= 1));
    }

    proptest! {
        /// Wherever a body is cut off, nothing of it counts; in lines, but for cuts between two.
        #[test]
        fn a_truncated_body_is_no_batch(
            payloads in prop::collection::vec("[a-z\"\\\\{}\\[\\],:\n ä]{0,8}", 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let items: Vec<_> = (payloads.iter())
                .map(|payload| serde_json::json!({"payload": payload}).to_string())
                .collect();
            let array = format!("{{\"messages\":[{}]}}", items.join(","));
            let whole = read(Form::Json, &array).expect("a batch");
            prop_assert_eq!(super::tests::payloads(&whole), payloads.iter().map(String::as_str).collect::<Vec<_>>());
            let cut_array = &array.as_bytes()[..cut.index(array.len())];
            let read_cut = read_bytes(Form::Json, cut_array, 100);
            prop_assert!(matches!(read_cut, Err(Refusal::Malformed(_))));

            let lines = items.join("\n");
            let at = cut.index(lines.len());
            let read_cut = read_bytes(Form::Lines, &lines.as_bytes()[..at], 100);
            let between = at == 0 || lines.as_bytes()[at] == b'\n' || lines.as_bytes()[at - 1] == b'\n';
            prop_assert_eq!(matches!(read_cut, Err(Refusal::Malformed(_))), !between);
        }
    }
}
