//! One try of a request, in each of the ways of publishing, and what its answer means.

use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::choices::{Request, Way};
use super::ledger::{Answer, Status};
use super::site::{Reply, Site};
use super::told;

/// What a try was answered for each of its messages, and the status that was told with it.
pub(crate) async fn try_once(
    site: &Site,
    request: &Request,
    bodies: &[Map<String, Value>],
) -> Vec<(Answer, Option<Status>)> {
    let reply = match request.way {
        Way::Single => {
            let body = Value::Object(bodies[0].clone()).to_string();
            post(site, "/v1/messages", request, "application/json", body).await
        }
        Way::Raw => raw(site, request, &bodies[0]).await,
        Way::Json => {
            let body = json!({"messages": bodies}).to_string();
            post(
                site,
                "/v1/messages/batch",
                request,
                "application/json",
                body,
            )
            .await
        }
        Way::Ndjson => {
            let lines: Vec<_> = bodies
                .iter()
                .map(|one| Value::Object(one.clone()).to_string())
                .collect();
            let body = lines.join("\n");
            post(
                site,
                "/v1/messages/batch",
                request,
                "application/x-ndjson",
                body,
            )
            .await
        }
    };
    let Some(reply) = reply else {
        return vec![(Answer::Unknown, None); bodies.len()];
    };
    match reply.json["results"].as_array() {
        Some(results) if results.len() == bodies.len() => {
            results.iter().map(|one| of_item(site, one)).collect()
        }
        Some(_) => {
            site.incident(format!(
                "{} messages have other results: {}",
                bodies.len(),
                reply.json
            ));
            vec![(Answer::Unknown, None); bodies.len()]
        }
        None => vec![of_reply(site, &reply); bodies.len()],
    }
}

async fn post(
    site: &Site,
    path: &str,
    request: &Request,
    media: &str,
    body: String,
) -> Option<Reply> {
    let mut headers = vec![("content-type".to_owned(), media.to_owned())];
    if let (Some(seconds), Way::Single) = (request.wait_seconds, request.way) {
        headers.push(("prefer".to_owned(), format!("wait={seconds}")));
    }
    site.call(Method::POST, path, &headers, body).await
}

async fn raw(site: &Site, request: &Request, message: &Map<String, Value>) -> Option<Reply> {
    let (path, mut headers) = raw_form(message);
    if let Some(seconds) = request.wait_seconds {
        headers.push(("prefer".to_owned(), format!("wait={seconds}")));
    }
    let payload = text(&message["payload"]);
    site.call(Method::POST, &path, &headers, payload).await
}

/// The same message in the form of the other endpoint: path and query, and headers.
fn raw_form(message: &Map<String, Value>) -> (String, Vec<(String, String)>) {
    let mut headers = Vec::new();
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in message {
        match name.as_str() {
            "exchange" | "payload" => {}
            "properties" => {
                for (property, value) in value.as_object().into_iter().flatten() {
                    let header = format!("amqp-{}", property.replace('_', "-"));
                    headers.push((header, text(value)));
                }
            }
            "idempotency_key" => headers.push(("idempotency-key".to_owned(), text(value))),
            _ => {
                query.append_pair(name, &text(value));
            }
        }
    }
    let exchange = text(&message["exchange"]);
    let path = format!("/v1/exchanges/{exchange}/messages?{}", query.finish());
    (path, headers)
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn of_item(site: &Site, item: &Value) -> (Answer, Option<Status>) {
    let error = &item["error"];
    if error.is_null() {
        return accepted(site, item);
    }
    let code = error["code"].as_str().unwrap_or_default();
    refused(
        site,
        error["status"].as_u64().unwrap_or_default(),
        code,
        error,
    )
}

fn of_reply(site: &Site, reply: &Reply) -> (Answer, Option<Status>) {
    if reply.status == StatusCode::OK || reply.status == StatusCode::ACCEPTED {
        return accepted(site, &reply.json);
    }
    refused(
        site,
        reply.status.as_u16().into(),
        reply.code(),
        &reply.json,
    )
}

fn accepted(site: &Site, json: &Value) -> (Answer, Option<Status>) {
    let Some(id) = json["id"].as_str().and_then(|id| id.parse().ok()) else {
        site.incident(format!("accepted without an id: {json}"));
        return (Answer::Unknown, None);
    };
    if let Some(outcome) = told::outcome(json) {
        site.answered(outcome);
    }
    let status = json["status"]
        .as_str()
        .and_then(|status| status.parse().ok());
    (Answer::Accepted(id), status)
}

/// All messages are good, so nothing but a gateway that cannot take more has a reason to refuse them.
fn refused(site: &Site, status: u64, code: &str, problem: &Value) -> (Answer, Option<Status>) {
    if status != 503 {
        site.incident(format!("a good message is answered with {problem}"));
    }
    if code == "outcome_unknown" {
        (Answer::Unknown, None)
    } else {
        (Answer::Refused, None)
    }
}
