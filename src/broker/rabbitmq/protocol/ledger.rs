//! The outstanding messages of one confirm channel, by delivery tag.
//!
//! A ring keyed by a growing number: delivery tags count from 1 for each channel, so a tag is a
//! place in the ring, and a bulk ack is a walk from the front. Returns are found by id. They come in
//! the order of publishing, so the search goes on where the last one was found; that makes it cheap,
//! never right or wrong.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::close::{Close, Scope};
use super::frame::Violation;
use crate::broker::{LaneEvent, Outcome};
use crate::domain::{Message, MessageId, Reason};

/// Places in the ring, settled ones behind an unsettled one included.
const PLACES_MAX: usize = 1 << 18;

#[derive(Debug)]
struct Place {
    /// `None` once it has been reported.
    message: Option<Arc<Message>>,
    /// Where in the stream of written bytes the message stands.
    span: Range<u64>,
    returned: Option<Box<Reason>>,
}

/// What is outstanding on one channel.
#[derive(Debug)]
pub struct Ledger {
    places: VecDeque<Place>,
    /// The delivery tag of the first place.
    first_tag: u64,
    open: usize,
    open_bytes: usize,
    /// The tag where the search for the next return begins.
    search_from: u64,
    /// The broker has dealt with everything up to here, since it spoke of it.
    reached: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            places: VecDeque::new(),
            first_tag: 1,
            open: 0,
            open_bytes: 0,
            search_from: 1,
            reached: 0,
        }
    }
}

impl Ledger {
    /// Notes that `message` was queued to be written, at the positions `span` of the stream.
    pub fn published(&mut self, message: Arc<Message>, span: Range<u64>) {
        self.open += 1;
        self.open_bytes += message.draft.payload.len();
        self.places.push_back(Place {
            message: Some(message),
            span,
            returned: None,
        });
    }

    /// Messages that have not been reported.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open
    }

    /// Bytes of their payloads.
    #[must_use]
    pub fn open_bytes(&self) -> usize {
        self.open_bytes
    }

    /// Whether another message finds a place.
    #[must_use]
    pub fn has_place(&self) -> bool {
        self.places.len() < PLACES_MAX
    }

    /// The message with `id` came back; `written` is the position up to which bytes were written.
    ///
    /// # Errors
    /// [`Violation`] when it is not outstanding, or not even sent: then nobody can say what the
    /// return means.
    pub fn returned(
        &mut self,
        id: MessageId,
        reason: Reason,
        written: u64,
    ) -> Result<(), Violation> {
        let begin = usize::try_from(self.search_from.saturating_sub(self.first_tag))
            .unwrap_or(0)
            .min(self.places.len());
        let is_it = |place: &Place| {
            place.span.end <= written
                && place.returned.is_none()
                && place.message.as_ref().is_some_and(|one| one.id == id)
        };
        let found = (begin..self.places.len())
            .chain(0..begin)
            .find(|&index| is_it(&self.places[index]))
            .ok_or_else(|| Violation::unexpected("a return of a message that is not in flight"))?;
        let tag = self.first_tag + found as u64;
        self.places[found].returned = Some(Box::new(reason));
        self.search_from = tag + 1;
        self.reached = self.reached.max(tag);
        Ok(())
    }

    /// `basic.ack`: what it covers is confirmed, or returned where a return came before. `written` is
    /// the position up to which bytes were written.
    ///
    /// # Errors
    /// [`Violation`] when the tag is not outstanding, or its message not even sent.
    pub fn ack(
        &mut self,
        tag: u64,
        multiple: bool,
        written: u64,
        events: &mut Vec<LaneEvent>,
    ) -> Result<(), Violation> {
        self.settle(tag, multiple, written, events, || Outcome::Confirmed)
    }

    /// `basic.nack`: what it covers was refused, or returned where a return came before. `written` is
    /// the position up to which bytes were written.
    ///
    /// # Errors
    /// [`Violation`] when the tag is not outstanding, or its message not even sent.
    pub fn nack(
        &mut self,
        tag: u64,
        multiple: bool,
        written: u64,
        events: &mut Vec<LaneEvent>,
    ) -> Result<(), Violation> {
        self.settle(tag, multiple, written, events, || Outcome::Nacked)
    }

    fn settle(
        &mut self,
        tag: u64,
        multiple: bool,
        written: u64,
        events: &mut Vec<LaneEvent>,
        outcome: impl Fn() -> Outcome,
    ) -> Result<(), Violation> {
        // AMQP 0-9-1 lets tag 0 with `multiple` mean everything that is outstanding: whatever the
        // broker has received so far, which nobody knows on this side. RabbitMQ never sends it.
        let covers_nothing = multiple && (1..self.first_tag).contains(&tag);
        let place = tag
            .checked_sub(self.first_tag)
            .and_then(|index| self.places.get_mut(usize::try_from(index).ok()?))
            .filter(|place| place.span.end <= written);
        let Some(place) = place else {
            return if covers_nothing {
                Ok(())
            } else {
                let text = format!("a confirm of tag {tag}, which is not open");
                Err(Violation::command(text))
            };
        };
        if !multiple && place.message.is_none() {
            let text = format!("a second confirm of tag {tag}");
            return Err(Violation::command(text));
        }
        self.reached = self.reached.max(tag);
        if multiple {
            while self.first_tag <= tag {
                let Some(place) = self.places.pop_front() else {
                    break;
                };
                self.first_tag += 1;
                self.report(place, events, &outcome);
            }
        } else {
            let place = Place {
                message: place.message.take(),
                span: place.span.clone(),
                returned: place.returned.take(),
            };
            self.report(place, events, &outcome);
        }
        while self
            .places
            .front()
            .is_some_and(|place| place.message.is_none())
        {
            self.places.pop_front();
            self.first_tag += 1;
        }
        Ok(())
    }

    fn report(&mut self, place: Place, events: &mut Vec<LaneEvent>, outcome: impl Fn() -> Outcome) {
        let Some(message) = place.message else { return };
        self.open -= 1;
        self.open_bytes -= message.draft.payload.len();
        let outcome = place.returned.map_or_else(outcome, Outcome::Returned);
        events.push(LaneEvent::Ended(message.id.row(), outcome));
    }

    /// The position at which the output can be cut when so much of it was written: after a message
    /// that was begun, before one that was not. `None` when every message was written completely.
    #[must_use]
    pub fn boundary(&self, written: u64) -> Option<u64> {
        let first = self
            .places
            .partition_point(|place| place.span.end <= written);
        let span = &self.places.get(first)?.span;
        Some(if span.start < written {
            span.end
        } else {
            span.start
        })
    }

    /// The channel is over: reports everything that is open, in the order of publishing, and starts
    /// anew. `written` is the position up to which bytes were written when the end was heard of.
    ///
    /// A message that was not completely written is unsent. One that came back is returned, ack or
    /// no ack: no queue took it. Of the others nothing is known; when the broker closed because of a
    /// message, it is one after everything that the broker has spoken of. Refused is only who was alone.
    pub fn close(&mut self, written: u64, close: Option<&Close>, events: &mut Vec<LaneEvent>) {
        let old = std::mem::take(self);
        let open = |place: &&Place| {
            place.message.is_some() && place.returned.is_none() && place.span.end <= written
        };
        let blame = close.filter(|close| close.may_blame_a_message());
        let alone = old.places.iter().filter(open).count() == 1
            && blame.is_some_and(Close::is_about_the_message);
        let candidates: Vec<&Message> = old
            .places
            .iter()
            .zip(old.first_tag..)
            .filter(|(place, tag)| blame.is_some() && *tag > old.reached && open(place))
            .filter_map(|(place, _)| place.message.as_deref())
            .collect();
        let suspects = blame.map_or_else(Vec::new, |close| close.suspects(&candidates));
        let reason = blame.map(|close| Arc::new(close.reason()));
        for place in &old.places {
            let Some(message) = &place.message else {
                continue;
            };
            let suspected = suspects.iter().any(|suspect| suspect.id == message.id);
            let outcome = match (&place.returned, &reason) {
                (Some(returned), _) => Outcome::Returned(returned.clone()),
                _ if place.span.end > written => Outcome::Unsent,
                (None, Some(reason)) if suspected && alone => Outcome::Refused {
                    reason: Box::new(Reason::clone(reason)),
                    maybe_taken: close.is_some_and(|close| close.scope == Scope::Connection),
                },
                (None, Some(reason)) if suspected => Outcome::Suspect(Arc::clone(reason)),
                _ => Outcome::Unknown,
            };
            events.push(LaneEvent::Ended(message.id.row(), outcome));
        }
    }
}

#[cfg(test)]
mod tests;
