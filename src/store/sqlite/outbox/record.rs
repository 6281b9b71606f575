//! A message as of one outcome, as one blob, and back.
//!
//! The first byte is the version of the format. Whatever the bytes are, reading ends with a record or
//! an error.

use super::super::codec::{Input, Unreadable, put_number, put_text};
use super::super::outcomes::{status_code, status_of};
use crate::domain::{Caller, MessageId, Reason, ReasonCode, RowId, TraceContext, WallTime};
use crate::store::{Record, Settlement};

const VERSION: u64 = 2;
/// As [`VERSION`], without the trace.
const VERSION_WITHOUT_TRACE: u64 = 1;

/// The blob of a message that has ended; of one that has not, there is none.
pub(super) fn encode(record: &Record) -> Option<Vec<u8>> {
    let outcome = record.outcome.as_ref()?;
    let mut out = Vec::with_capacity(160);
    put_number(&mut out, VERSION);
    put_number(&mut out, record.id.row().get());
    put_number(&mut out, record.id.random());
    put_text(&mut out, record.caller.as_str());
    put_text(&mut out, &record.exchange);
    put_text(&mut out, &record.routing_key);
    put_optional_text(&mut out, record.ordering_key.as_deref());
    put_optional_text(&mut out, record.message_id.as_deref());
    put_optional_text(&mut out, record.group.as_deref());
    put_number(&mut out, u64::from(record.mandatory));
    put_number(&mut out, record.size_bytes);
    put_number(&mut out, record.accepted_at.unix_ms());
    put_number(&mut out, u64::from(record.replays));
    put_time(&mut out, record.deliver_at);
    put_time(&mut out, record.give_up_at);
    put_number(&mut out, status_code(outcome.status).cast_unsigned());
    put_number(&mut out, u64::from(outcome.attempts));
    put_number(&mut out, u64::from(outcome.duplicate_possible));
    put_number(&mut out, u64::from(outcome.revision));
    put_number(&mut out, outcome.settled_at.unix_ms());
    put_reason(&mut out, outcome.reason.as_ref());
    let trace = record.trace.as_deref();
    put_optional_text(&mut out, trace.map(TraceContext::parent));
    put_optional_text(&mut out, trace.and_then(TraceContext::state));
    Some(out)
}

fn put_optional_text(out: &mut Vec<u8>, text: Option<&str>) {
    put_number(out, u64::from(text.is_some()));
    put_text(out, text.unwrap_or_default());
}

fn put_time(out: &mut Vec<u8>, time: Option<WallTime>) {
    put_number(out, u64::from(time.is_some()));
    put_number(out, time.unwrap_or_default().unix_ms());
}

fn put_reason(out: &mut Vec<u8>, reason: Option<&Reason>) {
    put_optional_text(out, reason.map(|reason| reason.code.as_str()));
    if let Some(reason) = reason {
        put_number(out, u64::from(reason.reply_code.is_some()));
        put_number(out, reason.reply_code.unwrap_or(0).into());
        put_optional_text(out, reason.reply_text.as_deref());
        put_text(out, &reason.detail);
    }
}

/// The record in a blob.
pub(super) fn decode(blob: &[u8]) -> Result<Record, Unreadable> {
    let mut input = Input { left: blob };
    let version = input.number()?;
    if ![VERSION, VERSION_WITHOUT_TRACE].contains(&version) {
        return Err(Unreadable::Version(version.to_le_bytes()[0]));
    }
    let row = RowId::from_stored(input.number()?);
    let id = MessageId::from_parts(row, input.number()?);
    let mut record = Record {
        id,
        caller: Caller::from_stored(&input.text()?),
        exchange: input.text()?,
        routing_key: input.text()?,
        ordering_key: optional_text(&mut input)?,
        message_id: optional_text(&mut input)?,
        group: optional_text(&mut input)?,
        mandatory: flag(&mut input)?,
        size_bytes: input.number()?,
        accepted_at: WallTime::from_unix_ms(input.number()?),
        replays: small(&mut input)?,
        deliver_at: time(&mut input)?,
        give_up_at: time(&mut input)?,
        trace: None,
        standing: None,
        doubt: None,
        outcome: Some(outcome(&mut input, id)?),
    };
    if version >= VERSION {
        let (parent, state) = (optional_text(&mut input)?, optional_text(&mut input)?);
        let trace = parent.map(|parent| TraceContext::from_stored(parent, state));
        record.trace = trace.map(Box::new);
    }
    if input.left.is_empty() {
        Ok(record)
    } else {
        Err(Unreadable::Long)
    }
}

fn outcome(input: &mut Input<'_>, id: MessageId) -> Result<Settlement, Unreadable> {
    let code = input.number()?;
    let status = i64::try_from(code).ok().and_then(status_of);
    Ok(Settlement {
        id,
        status: status.ok_or(Unreadable::Kind(code.to_le_bytes()[0]))?,
        attempts: small(input)?,
        duplicate_possible: flag(input)?,
        revision: small(input)?,
        settled_at: WallTime::from_unix_ms(input.number()?),
        reason: reason(input)?,
    })
}

fn reason(input: &mut Input<'_>) -> Result<Option<Reason>, Unreadable> {
    let Some(word) = optional_text(input)? else {
        return Ok(None);
    };
    let mut codes = ReasonCode::ALL.into_iter();
    let code = codes.find(|code| *code.as_str() == *word);
    let has_reply_code = flag(input)?;
    let reply_code = u16::try_from(input.number()?).map_err(|_| Unreadable::Long)?;
    Ok(Some(Reason {
        code: code.ok_or(Unreadable::Text)?,
        reply_code: has_reply_code.then_some(reply_code),
        reply_text: optional_text(input)?,
        detail: input.text()?,
    }))
}

fn optional_text(input: &mut Input<'_>) -> Result<Option<Box<str>>, Unreadable> {
    let is_there = flag(input)?;
    let text = input.text()?;
    Ok(is_there.then_some(text))
}

fn time(input: &mut Input<'_>) -> Result<Option<WallTime>, Unreadable> {
    let is_there = flag(input)?;
    let ms = input.number()?;
    Ok(is_there.then_some(WallTime::from_unix_ms(ms)))
}

fn flag(input: &mut Input<'_>) -> Result<bool, Unreadable> {
    match input.number()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Unreadable::Kind(other.to_le_bytes()[0])),
    }
}

fn small(input: &mut Input<'_>) -> Result<u32, Unreadable> {
    u32::try_from(input.number()?).map_err(|_| Unreadable::Long)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Status;
    use proptest::prelude::*;

    fn any_record() -> impl Strategy<Value = Record> {
        let text = || prop::option::of("\\PC{0,9}".prop_map(Box::<str>::from));
        let reason = (
            0..ReasonCode::ALL.len(),
            any::<Option<u16>>(),
            text(),
            "\\PC{0,9}",
        );
        let times = prop::option::of(any::<u64>().prop_map(WallTime::from_unix_ms));
        (
            (0..1_u64 << 60, any::<u64>(), any::<bool>(), any::<u32>()),
            (text(), text(), text()),
            (times.clone(), times, any::<u64>()),
            (1..4_i64, prop::option::of(reason)),
        )
            .prop_map(|(numbers, texts, (deliver_at, give_up_at, ms), end)| {
                let (row, random, flag, count) = numbers;
                let id = MessageId::from_parts(RowId::from_stored(row), random);
                let (status, reason) = end;
                let reason = reason.map(|(code, reply_code, reply_text, detail)| Reason {
                    code: ReasonCode::ALL[code],
                    reply_code,
                    reply_text,
                    detail: detail.into(),
                });
                Record {
                    id,
                    caller: Caller::named("somebody").expect("a name"),
                    exchange: "e".into(),
                    routing_key: "k".into(),
                    ordering_key: texts.0,
                    mandatory: flag,
                    message_id: texts.1,
                    size_bytes: ms,
                    accepted_at: WallTime::from_unix_ms(ms),
                    replays: count,
                    group: texts.2,
                    deliver_at,
                    give_up_at,
                    trace: flag.then(|| {
                        let state = (count % 2 == 0).then(|| "a=1".into());
                        Box::new(TraceContext::from_stored("a parent".into(), state))
                    }),
                    standing: None,
                    doubt: None,
                    outcome: Some(Settlement {
                        id,
                        status: status_of(status).unwrap_or(Status::Failed),
                        reason,
                        attempts: count,
                        duplicate_possible: !flag,
                        revision: count,
                        settled_at: WallTime::from_unix_ms(ms / 2),
                    }),
                }
            })
    }

    proptest! {
        #[test]
        fn a_record_comes_back_as_it_went_in(record in any_record()) {
            let blob = encode(&record).expect("it has ended");
            prop_assert_eq!(decode(&blob), Ok(record));
        }

        #[test]
        fn a_record_from_before_there_were_traces_is_read(record in any_record()) {
            let record = Record { trace: None, ..record };
            let mut blob = encode(&record).expect("it has ended");
            // The two texts that are not there take two bytes each.
            blob.truncate(blob.len() - 4);
            blob[0] = 1;
            prop_assert_eq!(decode(&blob), Ok(record));
        }

        #[test]
        fn whatever_the_bytes_are_reading_ends(mut blob in prop::collection::vec(any::<u8>(), 1..200)) {
            let _ = decode(&blob);
            for version in [1, 2] {
                blob[0] = version;
                let _ = decode(&blob);
            }
        }

        #[test]
        fn a_blob_that_was_cut_is_an_error(record in any_record(), cut in any::<prop::sample::Index>()) {
            let blob = encode(&record).expect("it has ended");
            prop_assert!(decode(&blob[..cut.index(blob.len())]).is_err());
        }
    }
}
