//! One try of one delivery: what is said, signed, and sent.

use std::sync::Arc;

use bytes::Bytes;

use super::directory::Addressed;
use super::send::{Post, Sender};
use crate::clock;
use crate::domain::webhook::{ErrorClass, TryEnd, event_id, signatures};
use crate::domain::{Status, WallTime};
use crate::store::{Delivery, Record};

/// Writes the message resource of a record as JSON, in the form that the API has for it.
pub trait Render: Send + Sync + 'static {
    /// The resource as of the record's outcome.
    fn render(&self, record: &Record) -> Vec<u8>;
}

impl<F: Fn(&Record) -> Vec<u8> + Send + Sync + 'static> Render for F {
    fn render(&self, record: &Record) -> Vec<u8> {
        self(record)
    }
}

/// What every try needs.
pub(super) struct Teller {
    pub(super) sender: Arc<Sender>,
    pub(super) render: Arc<dyn Render>,
}

impl Teller {
    /// Tries a delivery once.
    pub(super) async fn attempt(&self, delivery: &Delivery, to: &Addressed) -> TryEnd {
        if to.secrets.is_empty() {
            return TryEnd::NoAnswer(ErrorClass::NoSecret);
        }
        let Ok(target) = self.sender.target(&to.url) else {
            return TryEnd::NoAnswer(ErrorClass::AddressRefused);
        };
        let revision = (delivery.record.outcome.as_ref()).map_or(0, |outcome| outcome.revision);
        let id = event_id(delivery.record.id, revision);
        let body = self.body(&delivery.record);
        let timestamp_seconds = clock::wall().unix_ms() / 1000;
        let post = Post {
            signatures: signatures(&to.secrets, &id, timestamp_seconds, &body),
            id,
            timestamp_seconds,
            body,
            trace: delivery.record.trace.clone(),
        };
        self.sender.send(&target, &post).await
    }

    /// The body is the same over all tries: it tells of an outcome and when that was learned.
    fn body(&self, record: &Record) -> Bytes {
        let (status, at) = outcome(record);
        let mut body = format!(
            r#"{{"type":"message.{}","timestamp":"{at}","data":"#,
            status.as_str()
        )
        .into_bytes();
        body.extend(self.render.render(record));
        body.push(b'}');
        body.into()
    }
}

/// A delivery is made of an outcome, so there is one.
fn outcome(record: &Record) -> (Status, WallTime) {
    (record.outcome.as_ref()).map_or((Status::Pending, record.accepted_at), |outcome| {
        (outcome.status, outcome.settled_at)
    })
}
