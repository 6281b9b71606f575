//! `POST /v1/webhooks`: a caller wants to be told of outcomes.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use super::webhook_json::WebhookJson;
use crate::domain::{Caller, MessageId, WallTime};
use crate::http::amqp_headers::NoAmqpHeaders;
use crate::http::authentication::MayUseWebhooks;
use crate::http::parse::webhook::{Purpose, webhook};
use crate::http::problem::{Code, Problem};
use crate::http::query::NoQuery;
use crate::http::state::Gateway;
use crate::http::{answer, body, media_type, openapi};
use crate::store::{OutboxChange, WantedEvents, Webhook, WebhookPatch};
use crate::{chance, clock};

/// Make a webhook
///
/// From now on, outcomes of the caller's messages are posted to the URL, as the Standard Webhooks
/// specification says, signed with the `secret` of the answer, which is told this once. Everything but the
/// URL is optional: without `events` all are told, without `filter` those of all messages. Addresses that
/// are not public are refused, unless the gateway's configuration allows them.
#[utoipa::path(
    post,
    path = "/v1/webhooks",
    operation_id = "createWebhook",
    tag = "webhooks",
    request_body = inline(openapi::WebhookRequest),
    responses(openapi::CreateWebhookResponses)
)]
pub(in crate::http) async fn create(
    State(gateway): State<Gateway>,
    MayUseWebhooks(access): MayUseWebhooks,
    _: (NoQuery, NoAmqpHeaders),
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    media_type::require_json(&head.headers)?;
    let mut body = body::read(body, &gateway).await?;
    let rules = gateway.clone();
    let parsed = body.parse(move |bytes| webhook(bytes, Purpose::Make, &rules.rules.webhook_allow));
    let wanted = parsed
        .await?
        .map_err(|refusal| refusal.problem(Code::InvalidRequest))?;
    drop(body);
    let secret = super::new_secret();
    let now = clock::wall();
    let mut making = gateway.webhooks.making.lock().await;
    let max = gateway.settings.webhooks_per_caller_max;
    if gateway.webhooks.of(&access.caller).await?.len() >= max {
        return Err(Problem::new(
            Code::TooManyWebhooks,
            format!("a caller may have {max} webhooks at most; nothing was made"),
        ));
    }
    let id = making.mint(now, chance::bits());
    let mut webhook = made(id, access.caller, &wanted, now);
    webhook.secret = secret.reveal().into();
    let put = OutboxChange::Put(Box::new(webhook.clone()));
    gateway.webhooks.write(put).await?;
    drop(making);
    let told = WebhookJson::of(&webhook, now).with_secret(&secret);
    let mut response = answer::json(StatusCode::CREATED, &told);
    // A path of letters, digits and hyphens is always a header value.
    if let Ok(location) = HeaderValue::from_maybe_shared(format!("/v1/webhooks/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

fn made(id: MessageId, caller: Caller, wanted: &WebhookPatch, now: WallTime) -> Webhook {
    let mut webhook = Webhook {
        id,
        caller,
        url: Box::default(),
        events: WantedEvents::ALL,
        exchange: None,
        group: None,
        enabled: true,
        disabled_for: None,
        failing_since: None,
        secret: Box::default(),
        old_secret: None,
        created_at: now,
    };
    webhook.patch(wanted);
    webhook
}
