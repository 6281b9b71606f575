//! `GET /openapi.yaml`: the contract for machines, generated from the code's own types.
//!
//! The same text lies at the project's root, where a test keeps it equal. What the code cannot say
//! of itself (the request, which is read by hand, and which errors an endpoint gives) stands in
//! `request` and `responses`, and tests compare both with the code.

mod acting;
mod answers;
mod errors;
mod events;
mod examples;
mod parameters;
mod request;
mod responses;
mod webhooks;

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::{HeaderName, header};
use utoipa::OpenApi;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{RefOr, Schema};

pub(super) use acting::{
    CancelResponses, GroupResponses, ReplayMessageResponses, ReplayResponses, StartReplayResponses,
};
pub(super) use events::{EventsQuery, EventsResponses, LastEventId};
pub(super) use parameters::{
    GroupPath, GroupQuery, IdPath, IdempotencyKey, ListQuery, PreferGroup, PreferMinimal,
    PreferPublish, PreferReturn, PreferWait, RawHeaders, RawPath, RawQuery, ReplayIdPath,
};
pub(super) use request::{BatchLines, BatchRequest, LookupRequest, MessageRequest, ReplayRequest};
pub(super) use responses::{
    GetResponses, ListResponses, LookupResponses, MetricsResponses, OperatingResponses,
    PayloadResponses, PublishBatchResponses, PublishRawResponses, PublishResponses, StatsResponses,
};
pub(super) use webhooks::{
    CreateWebhookResponses, DeleteWebhookResponses, DeliveriesQuery, DeliveriesResponses,
    DeliveryIdPath, GetWebhookResponses, ListWebhooksResponses, ResendResponses,
    RotateSecretResponses, UpdateWebhookResponses, WebhookIdPath, WebhookPatchRequest,
    WebhookRequest,
};

use super::get_group::GroupJson;
use super::list_messages::ListJson;
use super::lookup::LookupJson;
use super::message_json::{MessageJson, MinimalJson, ReasonJson};
use super::problem::{FaultJson, ProblemJson};
use super::start_replay::ReplayJson;
use super::stats::StatsJson;
use super::webhooks as hooks;
use super::{
    cancel, get_group, get_message, get_payload, get_replay, health, list_messages, lookup,
    metrics, publish_batch, publish_message, publish_raw, replay, start_replay, stats,
};
use crate::domain::Limits;

/// The endpoints, in the order of the contract.
#[derive(OpenApi)]
#[openapi(
    info(title = "amqpost"),
    paths(
        publish_message::publish_message,
        publish_raw::publish_raw,
        publish_batch::publish_batch,
        get_message::get_message,
        list_messages::list_messages,
        lookup::lookup,
        get_group::get_group,
        get_payload::get_payload,
        super::events::events,
        stats::stats,
        replay::replay,
        start_replay::start_replay,
        get_replay::get_replay,
        cancel::cancel,
        hooks::create::create,
        hooks::list::list,
        hooks::get::get,
        hooks::update::update,
        hooks::delete::delete,
        hooks::rotate_secret::rotate_secret,
        hooks::deliveries::deliveries,
        hooks::resend::resend,
        health::alive,
        health::ready,
        metrics::metrics,
        document
    ),
    components(schemas(
        MessageJson,
        MinimalJson,
        ReasonJson,
        answers::BatchAnswer,
        ListJson<'static>,
        LookupJson<'static>,
        GroupJson<'static>,
        StatsJson<'static>,
        ReplayJson,
        hooks::webhook_json::WebhookJson<'static>,
        hooks::webhook_json::WebhookFilterJson<'static>,
        hooks::list::WebhookListJson<'static>,
        hooks::delivery_json::DeliveryJson<'static>,
        hooks::deliveries::DeliveryListJson<'static>,
        ProblemJson,
        FaultJson,
        request::HeaderValueSchema,
    )),
    tags(
        (name = "publishing", description = "Handing messages over."),
        (name = "asking", description = "What became of them."),
        (name = "acting", description = "Changing what becomes of them."),
        (name = "webhooks", description = "Being told of outcomes."),
        (name = "operating", description = "For whoever runs the gateway.")
    )
)]
struct Document;

/// The whole document as YAML.
///
/// # Errors
/// When the document has no YAML form, which the tests exclude.
pub fn yaml() -> Result<String, String> {
    let mut document = Document::openapi();
    // What the package does not say, the derived document would leave empty.
    document.info.license = None;
    document.info.description = Some(description(&Limits::default()));
    forbid_null(&mut document);
    // Keys are optional, since a gateway may have none.
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    if let Some(components) = &mut document.components {
        components.add_security_scheme("bearer", bearer);
    }
    document.security = Some(vec![
        SecurityRequirement::default(),
        SecurityRequirement::new("bearer", [""; 0]),
    ]);
    document.to_yaml().map_err(|error| error.to_string())
}

/// A parameter is there or not: null, which the types of optional ones suggest, cannot be sent. And whole
/// numbers are limited by what is said of each, not by a format.
fn forbid_null(document: &mut utoipa::openapi::OpenApi) {
    let items = document.paths.paths.values_mut();
    let operations = items.flat_map(|item| {
        [
            &mut item.get,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ]
    });
    for parameter in operations
        .flatten()
        .flat_map(|one| one.parameters.iter_mut().flatten())
    {
        if let RefOr::T(parameter) = parameter
            && let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
            && let SchemaType::Array(types) = &mut object.schema_type
        {
            if types.contains(&Type::Integer) {
                object.format = None;
            }
            types.retain(|one| *one != Type::Null);
            if let [only] = &types[..] {
                object.schema_type = SchemaType::Type(only.clone());
            }
        }
    }
}

/// This document
#[utoipa::path(
    get,
    path = "/openapi.yaml",
    operation_id = "openapi",
    tag = "operating",
    security(()),
    responses(
        (status = 200, description = "OpenAPI in YAML.", content_type = "application/yaml", body = Object),
        OperatingResponses
    )
)]
pub(super) async fn document() -> ([(HeaderName, &'static str); 1], Bytes) {
    // Whoever asks needs no key, and must not cause the work of making it each time.
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| yaml().unwrap_or_default().into());
    let headers = [(header::CONTENT_TYPE, "application/yaml")];
    (headers, DOCUMENT.clone())
}

fn description(limits: &Limits) -> String {
    let mib = |bytes: usize| bytes >> 20;
    let kib = |bytes: usize| bytes >> 10;
    format!(
        "An HTTP publishing gateway for RabbitMQ: hand a message over, get an id, and ask what became \
of it.\n\n\
Unknown request fields, query parameters and `Amqp-*` headers are refused. Callers must ignore \
response fields and codes that they do not know. Times are RFC 3339 in UTC; ids are lower-case \
UUIDs.\n\n\
`pending` means that there is no final outcome yet; `confirmed`, that the broker acknowledged the \
message and did not return it; `returned`, that it could not route it; `failed`, that the gateway \
has stopped trying. A final status is told only after it is stored. What was answered with an error \
was not accepted and will not be published, except 503 `outcome_unknown`.\n\n\
Where keys are configured, everything below `/v1` needs one (`Authorization: Bearer KEY`), and each \
caller sees its own messages only, unless its rights say more: those of others are as unknown as if they \
had never been. What a caller may not do is a 403, whether or not there is something it could be done to; \
what is over its rate is a 429.\n\n\
Every answer has `X-Request-Id`, by which its line in the log is found: the request's own one, if that has at \
most 128 letters, digits and characters of `-_.:/+=@~`, or else a new one. A proper `traceparent` of a request, \
with its `tracestate`, goes with its messages to consumers, unless they have headers of these names, and to \
receivers of webhooks; it is no part of what an idempotency key stands for.\n\n\
| limit | default |\n|---|---|\n\
| body of a request | {body} MiB |\n\
| messages of a batch | {items} |\n\
| payload of a message | {payload} MiB |\n\
| headers of a message, as AMQP encodes them | {headers} KiB |\n\
| nesting of a JSON payload or of headers | {depth} levels |\n\
| `Prefer: wait` | {wait} s |\n\
| `deliver_at`, `delay_ms` | {schedule} days ahead |\n\
| pending messages | {pending} |\n\
| pending messages, their bytes | {pending_bytes} MiB |\n\
| settled messages that a store in memory keeps | {history} |\n\
| settled messages, their bytes | {history_bytes} MiB |\n",
        body = mib(limits.body_bytes_max),
        items = limits.batch_items_max,
        payload = mib(limits.payload_bytes_max),
        headers = kib(limits.headers_bytes_max),
        depth = limits.json_depth_max,
        wait = limits.wait_seconds_max,
        schedule = limits.schedule_seconds_max / 86_400,
        pending = limits.pending_messages_max,
        pending_bytes = mib(limits.pending_bytes_max),
        history = limits.history_messages_max,
        history_bytes = mib(limits.history_bytes_max),
    )
}

#[cfg(test)]
mod tests;
