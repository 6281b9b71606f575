//! Reading requests without a server, as the endpoints do. This is the door for fuzzers.

use std::borrow::Cow;

use axum::http::HeaderMap;
use bytes::Bytes;

use super::parse::{self, Faults, Form, Intake, Raw, Refused};
use super::problem::{Code, Problem};
use super::query;
use crate::domain::access::Access;
use crate::domain::webhook::AllowList;
use crate::domain::{Limits, Rules, WallTime};
use crate::relay::Keyed;

/// What everything is read with: the limits that a gateway has without settings.
#[derive(Debug)]
pub struct Reading {
    rules: Rules,
    access: Access,
    now: WallTime,
}

impl Reading {
    /// With requests that come at `now`.
    #[must_use]
    pub fn new(now: WallTime) -> Self {
        let rules = Rules {
            limits: Limits::default(),
            broker_user: None,
            webhook_allow: AllowList::default(),
        };
        Self {
            rules,
            access: Access::default(),
            now,
        }
    }

    fn intake(&self) -> Intake<'_> {
        Intake {
            access: &self.access,
            has_secret: false,
            rules: &self.rules,
            now: self.now,
        }
    }

    /// The message that a body of JSON is.
    ///
    /// # Errors
    /// What is answered instead.
    pub fn message(&self, body: &[u8]) -> Result<Keyed, Problem> {
        parse::message(body, self.intake(), None, Faults::default())
            .map_err(|refusal| refusal.problem(Code::InvalidMessage))
    }

    /// The messages of a batch, and the problems of those that are none, in their order.
    ///
    /// # Errors
    /// What is answered to the whole batch.
    pub fn batch(&self, body: &[u8], lines: bool) -> Result<Vec<Result<Keyed, Problem>>, Problem> {
        let form = if lines { Form::Lines } else { Form::Json };
        let batch = parse::batch(body, form, self.intake())
            .map_err(|refusal| refusal.problem(Code::InvalidRequest))?;
        let mut items: Vec<_> = batch.good.into_iter().map(Ok).collect();
        for (index, refused) in batch.refused {
            items.insert(index, Err(refused.problem()));
        }
        Ok(items)
    }

    /// The message that a raw request is.
    ///
    /// # Errors
    /// What is answered instead.
    pub fn raw(
        &self,
        exchange: &str,
        query: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Keyed, Problem> {
        let mut faults = Faults::default();
        let options = query::read(Some(query), &parse::raw::OPTIONS, &mut faults);
        query::refuse(faults)?;
        let raw = Raw {
            exchange: Some(exchange.to_owned()),
            options: options.each_ref().map(Option::<Cow<'_, str>>::as_deref),
            headers,
            body,
        };
        parse::raw(raw, self.intake()).map_err(Refused::problem)
    }
}
