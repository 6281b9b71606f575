//! The ledger against a list that is searched from the beginning each time.

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Publish {
        gap: u64,
        length: u64,
        size: usize,
        exchange: &'static str,
    },
    Write(Index),
    Settle {
        tag: Index,
        multiple: bool,
        nack: bool,
    },
    Return(Index),
    Close(Option<Close>),
}

fn any_close() -> impl Strategy<Value = Option<Close>> {
    let text = prop_oneof![
        Just("NOT_FOUND - no exchange 'x' in vhost '/'"),
        Just("NOT_FOUND - no exchange 'y' in vhost '/'"),
        Just("PRECONDITION_FAILED - message size 3 is larger than"),
        Just(""),
    ];
    let scope = prop_oneof![Just(Scope::Channel), Just(Scope::Connection)];
    let code = prop::sample::select(vec![320, 403, 404, 406, 501, 505, 530, 541]);
    prop::option::weighted(
        0.8,
        (scope, code, text).prop_map(|(scope, code, text)| close(scope, code, text)),
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u64..3, 1_u64..20, 0_usize..5, prop::sample::select(vec!["x", "y", "z"])).prop_map(
            |(gap, length, size, exchange)| Step::Publish { gap, length, size, exchange }
        ),
        6 => any::<Index>().prop_map(Step::Write),
        6 => (any::<Index>(), any::<bool>(), any::<bool>())
            .prop_map(|(tag, multiple, nack)| Step::Settle { tag, multiple, nack }),
        3 => any::<Index>().prop_map(Step::Return),
        1 => any_close().prop_map(Step::Close),
    ]
}

#[derive(Debug)]
struct Entry {
    message: Arc<Message>,
    span: Range<u64>,
    came_back: bool,
    over: bool,
}

/// Entry `tag - 1` is the message with that delivery tag.
#[derive(Debug, Default)]
struct Model {
    entries: Vec<Entry>,
    spoken_of: usize,
    written: u64,
    end: u64,
}

impl Model {
    fn publish(&mut self, message: Arc<Message>, gap: u64, length: u64) -> Range<u64> {
        let span = self.end + gap..self.end + gap + length;
        self.end = span.end;
        self.entries.push(Entry {
            message,
            span: span.clone(),
            came_back: false,
            over: false,
        });
        span
    }

    fn settle(&mut self, tag: usize, multiple: bool, outcome: &Outcome) -> Option<Vec<LaneEvent>> {
        let at = tag.checked_sub(1)?;
        let entry = self.entries.get(at)?;
        if entry.span.end > self.written || (!multiple && entry.over) {
            return None;
        }
        self.spoken_of = self.spoken_of.max(tag);
        let from = if multiple { 0 } else { at };
        let mut events = Vec::new();
        for entry in self.entries[from..=at].iter_mut().filter(|one| !one.over) {
            entry.over = true;
            let outcome = if entry.came_back {
                returned()
            } else {
                outcome.clone()
            };
            events.push(LaneEvent::Ended(entry.message.id.row(), outcome));
        }
        Some(events)
    }

    fn returned(&mut self, id: MessageId) -> Option<()> {
        let written = self.written;
        let at = self.entries.iter().position(|one| {
            !one.over && !one.came_back && one.message.id == id && one.span.end <= written
        })?;
        self.entries[at].came_back = true;
        self.spoken_of = self.spoken_of.max(at + 1);
        Some(())
    }

    fn boundary(&self) -> Option<u64> {
        let entry = self
            .entries
            .iter()
            .find(|one| one.span.end > self.written)?;
        let begun = entry.span.start < self.written;
        Some(if begun {
            entry.span.end
        } else {
            entry.span.start
        })
    }

    fn fits(close: &Close, message: &Message) -> bool {
        let exchange = format!("exchange '{}'", message.draft.exchange);
        let size = format!("message size {} ", message.draft.payload.len());
        close.text.contains(&exchange) || close.text.contains(&size)
    }

    fn close(&mut self, close: Option<&Close>) -> Vec<LaneEvent> {
        let written = self.written;
        let entries = std::mem::take(&mut self.entries);
        let spoken_of = std::mem::take(&mut self.spoken_of);
        let in_doubt = |entry: &Entry| !entry.over && !entry.came_back && entry.span.end <= written;
        let number_in_doubt = entries.iter().filter(|entry| in_doubt(entry)).count();
        let blame = close
            .filter(|close| close.scope == Scope::Channel || [501, 505, 541].contains(&close.code));
        let anybody_fits = blame.is_some_and(|close| {
            entries[spoken_of..]
                .iter()
                .any(|entry| in_doubt(entry) && Self::fits(close, &entry.message))
        });
        let mut events = Vec::new();
        for (at, entry) in entries.iter().enumerate().filter(|(_, one)| !one.over) {
            let outcome = if entry.came_back {
                returned()
            } else if !in_doubt(entry) {
                Outcome::Unsent
            } else {
                match blame.filter(|_| at >= spoken_of) {
                    Some(close) if anybody_fits && !Self::fits(close, &entry.message) => {
                        Outcome::Unknown
                    }
                    Some(close)
                        if number_in_doubt == 1 && !matches!(close.code, 320 | 506 | 541) =>
                    {
                        Outcome::Refused {
                            reason: Box::new(close.reason()),
                            maybe_taken: close.scope == Scope::Connection,
                        }
                    }
                    Some(close) => Outcome::Suspect(Arc::new(close.reason())),
                    None => Outcome::Unknown,
                }
            };
            events.push(LaneEvent::Ended(entry.message.id.row(), outcome));
        }
        self.end = written;
        events
    }

    fn open(&self) -> (usize, usize) {
        let open = self.entries.iter().filter(|entry| !entry.over);
        open.fold((0, 0), |(count, bytes), entry| {
            (count + 1, bytes + entry.message.draft.payload.len())
        })
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn the_ledger_says_what_a_plain_list_says(
        steps in prop::collection::vec(any_step(), 1..120), last in any_close(),
    ) {
        let (mut ledger, mut model) = (Ledger::default(), Model::default());
        let (mut published, mut reported) = (0_u64, Vec::new());
        for step in steps.into_iter().chain([Step::Close(last)]) {
            let mut events = Vec::new();
            let written = model.written;
            match step {
                Step::Publish { gap, length, size, exchange } => {
                    published += 1;
                    let message = message(published, exchange, size);
                    ledger.published(message.clone(), model.publish(message, gap, length));
                }
                Step::Write(upto) => {
                    let left = usize::try_from(model.end - written).unwrap_or(0);
                    model.written += upto.index(left + 1) as u64;
                }
                Step::Settle { tag, multiple, nack } => {
                    let tag = tag.index(model.entries.len() + 3);
                    let outcome = if nack { Outcome::Nacked } else { Outcome::Confirmed };
                    let expected = model.settle(tag, multiple, &outcome);
                    let settled = if nack {
                        ledger.nack(tag as u64, multiple, written, &mut events)
                    } else {
                        ledger.ack(tag as u64, multiple, written, &mut events)
                    };
                    prop_assert_eq!(settled.ok().map(|()| events.clone()), expected.clone());
                    prop_assert!(expected.is_some() || events.is_empty());
                }
                Step::Return(which) => {
                    let id = id(which.index(usize::try_from(published).unwrap_or(0) + 2) as u64);
                    let found = ledger.returned(id, no_route(), written).ok();
                    prop_assert_eq!(found, model.returned(id));
                }
                Step::Close(close) => {
                    prop_assert_eq!(ledger.boundary(written), model.boundary());
                    ledger.close(written, close.as_ref(), &mut events);
                    prop_assert_eq!(&events, &model.close(close.as_ref()));
                }
            }
            reported.extend(events);
            prop_assert_eq!((ledger.open(), ledger.open_bytes()), model.open());
            prop_assert_eq!(ledger.boundary(model.written), model.boundary());
        }
        let mut rows: Vec<_> = reported
            .iter()
            .filter_map(|event| match event {
                LaneEvent::Ended(row, _) => Some(*row),
                _ => None,
            })
            .collect();
        rows.sort();
        prop_assert_eq!(rows, (1..=published).map(row).collect::<Vec<_>>());
    }
}
