//! What the endpoints of webhooks take and answer, for the document.

use serde_json::Value;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, ResponseBuilder, Schema};
use utoipa::{IntoParams, IntoResponses, ToSchema};

use super::super::problem::Code;
use super::super::webhooks::delivery_json::DeliveryJson;
use super::super::webhooks::webhook_json::WebhookJson;
use super::acting::NOT_CHANGED;
use super::errors::errors;
use super::examples::{accepted_at, id};
use super::responses::{ANY, BODY, Responses, header, told};
use crate::domain::webhook::Secret;
use crate::domain::{Caller, Status};
use crate::store::{DeliveryId, DeliveryStatus, LoggedDelivery, Tried, WantedEvents, Webhook};

/// A webhook that shall be.
#[derive(ToSchema)]
#[schema(example = json!({
    "url": "https://hooks.example/amqpost",
    "events": ["message.returned", "message.failed"],
    "filter": {"exchange": "log.exchange"}
}))]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(in crate::http) struct WebhookRequest {
    /// Where outcomes are posted to: an absolute `http` or `https` URL without user name and fragment,
    /// whose address is public or allowed by the gateway's configuration.
    #[schema(
        format = "uri",
        max_length = 2048,
        pattern = r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s\x00-\x1f\x7f-\x9f\\@#/?]+([/?][^\s\x00-\x1f\x7f-\x9f\\#]*)?$"
    )]
    url: String,
    /// Which outcomes; all, when it is absent or null.
    #[schema(schema_with = events)]
    events: Option<()>,
    /// Of which messages; all, when it is absent or null.
    #[schema(inline)]
    filter: Option<WebhookFilterRequest>,
    /// Whether outcomes are delivered from the beginning.
    #[schema(default = true)]
    enabled: Option<bool>,
}

/// What is to change of a webhook.
#[derive(ToSchema)]
#[schema(example = json!({"filter": {"group": null}, "enabled": true}))]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(in crate::http) struct WebhookPatchRequest {
    /// As when it was made.
    #[schema(
        nullable = false,
        required = false,
        format = "uri",
        max_length = 2048,
        pattern = r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s\x00-\x1f\x7f-\x9f\\@#/?]+([/?][^\s\x00-\x1f\x7f-\x9f\\#]*)?$"
    )]
    url: Option<String>,
    /// Which outcomes; null for all.
    #[schema(schema_with = events)]
    events: Option<()>,
    /// Of which messages; null for all. A member that is absent stays.
    #[schema(inline)]
    filter: Option<WebhookFilterRequest>,
    /// Whether outcomes are delivered. True also forgets why the gateway has disabled it.
    #[schema(nullable = false, required = false)]
    enabled: Option<bool>,
}

/// Which messages a webhook is about: those that match every member.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(in crate::http) struct WebhookFilterRequest {
    /// To this exchange, at most 255 bytes; empty or `amq.default` is the default exchange, null any.
    #[schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    exchange: Option<String>,
    /// With this label, 1 to 255 bytes; null for any and none.
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"
    )]
    group: Option<String>,
}

fn events() -> RefOr<Schema> {
    let event = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(r"^message\.(confirmed|returned|failed)$"));
    ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .description(Some(
            "`message.confirmed`, `message.returned`, `message.failed`; at least one, each once. Null for all.",
        ))
        .items(event)
        .min_items(Some(1))
        .unique_items(true)
        .into()
}

/// Which webhook.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct WebhookIdPath {
    /// The id that making it answered.
    #[param(format = "uuid")]
    id: String,
}

/// Which of its deliveries.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct DeliveryIdPath {
    /// The id in the list of deliveries.
    #[param(format = "uuid")]
    delivery: String,
}

/// Which part of the deliveries.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct DeliveriesQuery {
    /// Deliveries of one page at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u16>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^Ag[A-Za-z0-9_-]{9}[AEIMQUYcgkosw048]$")]
    cursor: Option<String>,
}

/// What else a body with a webhook may be answered.
const WEBHOOK: [Code; 5] = [
    Code::Forbidden,
    Code::MalformedJson,
    Code::UnsupportedMediaType,
    Code::InvalidRequest,
    Code::StoreFull,
];

/// What else a wish without a body may be answered.
const WISH: [Code; 4] = [
    Code::Forbidden,
    Code::NotFound,
    Code::InvalidRequest,
    Code::StoreFull,
];

/// What else a question may be answered.
const QUESTION: [Code; 2] = [Code::InvalidRequest, Code::StoreUnavailable];

/// What `POST /v1/webhooks` answers.
pub(in crate::http) struct CreateWebhookResponses;

impl IntoResponses for CreateWebhookResponses {
    fn responses() -> Responses {
        let own = [Code::TooManyWebhooks];
        let responses = errors(&[&ANY, &BODY, &NOT_CHANGED, &WEBHOOK, &own]);
        let mut made = told(
            "It is kept. This is the only time that its secret is told.",
            "Webhook",
            webhook(true),
        );
        if let RefOr::T(response) = &mut made {
            let location = header("Where to ask for the webhook.", Type::String);
            response
                .headers
                .insert("Location".to_owned(), location.into());
        }
        with(responses, "201", made)
    }
}

/// What `GET /v1/webhooks` answers.
pub(in crate::http) struct ListWebhooksResponses;

impl IntoResponses for ListWebhooksResponses {
    fn responses() -> Responses {
        let example = serde_json::json!({"webhooks": [webhook(false)]});
        let list = told("The webhooks.", "WebhookList", Some(example));
        with(errors(&[&ANY, &QUESTION]), "200", list)
    }
}

/// What `GET /v1/webhooks/{id}` answers.
pub(in crate::http) struct GetWebhookResponses;

impl IntoResponses for GetWebhookResponses {
    fn responses() -> Responses {
        let responses = errors(&[&ANY, &QUESTION, &[Code::NotFound]]);
        with(
            responses,
            "200",
            told("The webhook.", "Webhook", webhook(false)),
        )
    }
}

/// What `PATCH /v1/webhooks/{id}` answers.
pub(in crate::http) struct UpdateWebhookResponses;

impl IntoResponses for UpdateWebhookResponses {
    fn responses() -> Responses {
        let own = [Code::NotFound];
        let responses = errors(&[&ANY, &BODY, &NOT_CHANGED, &WEBHOOK, &own]);
        let changed = told("The webhook as it is now.", "Webhook", webhook(false));
        with(responses, "200", changed)
    }
}

/// What `DELETE /v1/webhooks/{id}` answers.
pub(in crate::http) struct DeleteWebhookResponses;

impl IntoResponses for DeleteWebhookResponses {
    fn responses() -> Responses {
        let responses = errors(&[&ANY, &BODY, &NOT_CHANGED, &WISH]);
        let gone = ResponseBuilder::new().description("It is gone.").build();
        with(responses, "204", RefOr::T(gone))
    }
}

/// What `POST /v1/webhooks/{id}/rotate-secret` answers.
pub(in crate::http) struct RotateSecretResponses;

impl IntoResponses for RotateSecretResponses {
    fn responses() -> Responses {
        let responses = errors(&[&ANY, &BODY, &NOT_CHANGED, &WISH]);
        let rotated = told(
            "The webhook with its new secret, which is told this once.",
            "Webhook",
            webhook(true),
        );
        with(responses, "200", rotated)
    }
}

/// What `GET /v1/webhooks/{id}/deliveries` answers.
pub(in crate::http) struct DeliveriesResponses;

impl IntoResponses for DeliveriesResponses {
    fn responses() -> Responses {
        let own = [Code::NotFound, Code::InvalidCursor];
        let example = serde_json::json!({"deliveries": [delivery()], "next_cursor": null});
        let page = told("A page of the deliveries.", "DeliveryList", Some(example));
        with(errors(&[&ANY, &QUESTION, &own]), "200", page)
    }
}

/// What `POST /v1/webhooks/{id}/deliveries/{delivery}/resend` answers.
pub(in crate::http) struct ResendResponses;

impl IntoResponses for ResendResponses {
    fn responses() -> Responses {
        let responses = errors(&[&ANY, &BODY, &NOT_CHANGED, &WISH]);
        let waiting = told("It waits to be tried now.", "Delivery", delivery());
        with(responses, "202", waiting)
    }
}

fn with(
    mut responses: Responses,
    status: &str,
    answer: RefOr<utoipa::openapi::Response>,
) -> Responses {
    responses.insert(status.to_owned(), answer);
    responses
}

/// A webhook as the gateway itself would tell it.
fn webhook(is_new: bool) -> Option<Value> {
    // Nobody's secret: its bytes are those of an example.
    let secret = Secret::from_bytes(b"a secret for examples only").ok()?;
    let webhook = Webhook {
        id: id(),
        caller: Caller::default(),
        url: "https://hooks.example/amqpost".into(),
        events: WantedEvents {
            confirmed: false,
            ..WantedEvents::ALL
        },
        exchange: Some("log.exchange".into()),
        group: None,
        enabled: true,
        disabled_for: None,
        failing_since: None,
        secret: Box::default(),
        old_secret: None,
        created_at: accepted_at(),
    };
    let told = WebhookJson::of(&webhook, accepted_at());
    let told = if is_new {
        told.with_secret(&secret)
    } else {
        told
    };
    serde_json::to_value(told).ok()
}

/// A delivery that waits for its second try.
fn delivery() -> Option<Value> {
    let delivery = LoggedDelivery {
        id: DeliveryId(1),
        message: id(),
        revision: 2,
        outcome: Status::Returned,
        status: DeliveryStatus::Waiting {
            next_at: accepted_at().plus_ms(5_160),
        },
        attempts: 1,
        last: Some(Tried {
            at: accepted_at().plus_ms(160),
            status_code: Some(503),
            error: None,
        }),
    };
    serde_json::to_value(DeliveryJson::of(&delivery)).ok()
}
