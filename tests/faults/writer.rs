//! Callers who go on whatever happens, and write down what they were answered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use super::choices::{self, Repeats, Request, Then};
use super::ledger::{Answer, Fate, Kind, Sent, Status, Tag};
use super::messages::{self, group_name};
use super::site::{Reply, Site};
use super::told;
use super::tries::try_once;

/// Tries of a request that is repeated until it is answered.
const TRIES_MAX: usize = 60;
const TRY_PAUSE: Duration = Duration::from_millis(300);
/// Messages that may be replayed that a writer remembers.
const REPLAYABLE_MAX: usize = 50;

/// See the module.
pub(crate) struct Writer {
    number: u16,
    site: Arc<Site>,
    messages: u32,
    keys: u32,
    requests: u32,
    /// Known to be returned or failed.
    replayable: VecDeque<Uuid>,
}

impl Writer {
    pub(crate) fn new(number: u16, site: Arc<Site>) -> Self {
        Self {
            number,
            site,
            messages: 0,
            keys: 0,
            requests: 0,
            replayable: VecDeque::new(),
        }
    }

    /// Writes until it is told to stop, and finishes what it has begun.
    pub(crate) async fn run(mut self, stop: watch::Receiver<bool>) {
        for number in 0.. {
            if *stop.borrow() {
                return;
            }
            let request = choices::request(self.site.seed, self.number, number);
            self.perform(&request).await;
            tokio::time::sleep(Duration::from_millis(request.pause_ms)).await;
        }
    }

    async fn perform(&mut self, request: &Request) {
        let (mut sent, bodies) = self.prepare(request);
        self.send(request, &bodies, &mut sent).await;
        let accepted: Vec<_> = (sent.iter())
            .filter_map(|one| match one.fate() {
                Fate::Accepted(id) => Some((one.kind, id)),
                Fate::Refused | Fate::Unknown => None,
            })
            .collect();
        let gone_wrong = sent
            .iter()
            .all(|one| one.fate() != Fate::Unknown && accepted.is_empty());
        self.site.books.lock().sent.extend(sent);
        let cancelled: Vec<_> = (accepted.iter())
            .filter(|(kind, _)| *kind == Kind::Cancelled)
            .collect();
        if !cancelled.is_empty() {
            tokio::time::sleep(Duration::from_millis(request.cancel_after_ms)).await;
        }
        for (_, id) in cancelled {
            self.cancel(*id).await;
        }
        match request.then {
            Then::Ask(seconds) => self.ask(accepted.first().map(|one| one.1), seconds).await,
            Then::Replay => self.replay().await,
            Then::ReplayGroup(group) => self.replay_group(group).await,
            Then::Nothing => {}
        }
        if gone_wrong {
            // The gateway is full or away.
            tokio::time::sleep(TRY_PAUSE).await;
        }
    }

    fn prepare(&mut self, request: &Request) -> (Vec<Sent>, Vec<Map<String, Value>>) {
        let at_ms = self.site.now_ms();
        self.requests += 1;
        let mut all = (Vec::new(), Vec::new());
        for item in &request.items {
            let tag = Tag {
                writer: self.number,
                number: self.messages,
            };
            self.messages += 1;
            let key = (request.repeats != Repeats::Never).then_some(self.keys);
            self.keys += 1;
            all.1
                .push(messages::message(item, tag, key, &self.site.callback_url));
            all.0.push(Sent {
                tag,
                kind: item.kind,
                order: item.order(self.number),
                idempotency_key: key,
                callback: item.callback,
                request: self.requests,
                in_place: false,
                at_ms,
                answers: Vec::new(),
            });
        }
        all
    }

    async fn send(&mut self, request: &Request, bodies: &[Map<String, Value>], sent: &mut [Sent]) {
        if request.repeats == Repeats::Racing {
            let (one, other) = tokio::join!(
                try_once(&self.site, request, bodies),
                try_once(&self.site, request, bodies)
            );
            self.note(sent, &one);
            self.note(sent, &other);
        } else {
            let answers = try_once(&self.site, request, bodies).await;
            self.note(sent, &answers);
            for one in sent.iter_mut() {
                one.in_place = matches!(one.answers[..], [Answer::Accepted(_)]);
            }
        }
        if request.repeats == Repeats::Never {
            return;
        }
        for _ in 0..TRIES_MAX {
            if sent
                .iter()
                .all(|one| matches!(one.fate(), Fate::Accepted(_)))
            {
                break;
            }
            tokio::time::sleep(TRY_PAUSE).await;
            let answers = try_once(&self.site, request, bodies).await;
            self.note(sent, &answers);
        }
        if request.repeats == Repeats::Again {
            let answers = try_once(&self.site, request, bodies).await;
            self.note(sent, &answers);
        }
    }

    fn note(&mut self, sent: &mut [Sent], answers: &[(Answer, Option<Status>)]) {
        for (one, (answer, status)) in sent.iter_mut().zip(answers) {
            one.answers.push(*answer);
            if let (Answer::Accepted(id), Some(Status::Returned | Status::Failed)) =
                (answer, status)
            {
                self.remember(*id);
            }
        }
    }

    fn remember(&mut self, id: Uuid) {
        self.replayable.push_back(id);
        if self.replayable.len() > REPLAYABLE_MAX {
            self.replayable.pop_front();
        }
    }

    async fn cancel(&mut self, id: Uuid) {
        let path = format!("/v1/messages/{id}/cancel");
        let Some(reply) = self.act(&path, Value::Null).await else {
            return;
        };
        self.expect("a cancellation", &reply, &[200, 409, 503]);
        self.observe(&reply);
    }

    async fn replay(&mut self) {
        let Some(id) = self.replayable.pop_front() else {
            return;
        };
        let path = format!("/v1/messages/{id}/replay");
        if let Some(reply) = self.act(&path, Value::Null).await {
            self.expect("a replay", &reply, &[202, 409, 503]);
        }
    }

    async fn replay_group(&mut self, group: u8) {
        let filter = json!({"status": "returned", "group": group_name(group)});
        if let Some(reply) = self.act("/v1/replays", filter).await {
            self.expect("a replay of many", &reply, &[202, 409, 429, 503]);
        }
    }

    async fn ask(&mut self, id: Option<Uuid>, seconds: u8) {
        let Some(id) = id else { return };
        let prefer = [("prefer".to_owned(), format!("wait={seconds}"))];
        let path = format!("/v1/messages/{id}");
        if let Some(reply) = self
            .site
            .call(Method::GET, &path, &prefer, String::new())
            .await
        {
            self.expect("a question", &reply, &[200, 503]);
            self.observe(&reply);
            let status = told::outcome(&reply.json).map(|outcome| outcome.status);
            if let Some(Status::Returned | Status::Failed) = status {
                self.remember(id);
            }
        }
    }

    async fn act(&self, path: &str, body: Value) -> Option<Reply> {
        if body.is_null() {
            return self.site.call(Method::POST, path, &[], String::new()).await;
        }
        let json = [("content-type".to_owned(), "application/json".to_owned())];
        self.site
            .call(Method::POST, path, &json, body.to_string())
            .await
    }

    fn expect(&self, what: &str, reply: &Reply, expected: &[u16]) {
        if !expected.contains(&reply.status.as_u16()) {
            let (status, json) = (reply.status, &reply.json);
            self.site
                .incident(format!("{what} is answered with {status}: {json}"));
        }
    }

    fn observe(&self, reply: &Reply) {
        if let Some(outcome) = told::outcome(&reply.json) {
            self.site.answered(outcome);
        }
    }
}
