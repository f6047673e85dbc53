//! `/webhooks`: make, list, delete and try out one's own.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use backend::webhooks::{Delivery, Error, Owner, Webhook};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{EVENTS, Webhooks, message};
use crate::gateway::problem::rfc3339;
use crate::token::{Claims, Role};

/// Where they are.
pub(super) const ROUTE: &str = "/webhooks";
/// Of one user.
const MOST: i64 = 10;
/// Bytes of a body: a URL and four words.
const MAX_BODY: usize = 16 << 10;
/// It must be there by then.
const PATIENCE: Duration = Duration::from_secs(30);
/// Whoever names no user in development mode, as for components.
const ANONYMOUS: &str = "anonymous";
/// What tells a webhook that it works.
const PING: &str = "webhook.ping";

/// Why a request is not answered as asked.
#[derive(Debug)]
pub(crate) enum Refusal {
    NoSuchPath,
    /// The path has these.
    NoSuchMethod(&'static str),
    NoSuchWebhook,
    Malformed,
    Invalid(String),
    TooLarge,
    /// The body does not come.
    Stalled,
    /// It is told nothing any more.
    Disabled,
    /// As many messages wait for it as may.
    Backlog,
    /// The user has as many as there may be.
    TooMany,
    /// That `Idempotency-Key` was another webhook's.
    KeyReused,
    /// It would be another user's.
    Foreign,
    Unavailable,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        tracing::error!("{error}");
        Self::Unavailable
    }
}

#[derive(Deserialize)]
struct Wanted {
    url: String,
    events: Vec<String>,
    user_id: Option<String>,
}

pub(super) async fn answer(
    webhooks: &Webhooks,
    claims: Option<&Claims>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let rest = parts.uri.path().strip_prefix(ROUTE).unwrap_or_default();
    let segments: Vec<&str> = rest.split('/').skip(1).collect();
    let query = parts.uri.query().unwrap_or_default();
    let asked = reqwest::Url::parse(&format!("http://x/?{query}")).ok();
    let mut pairs = asked.iter().flat_map(|url| url.query_pairs());
    let claimed = pairs.find_map(|(name, value)| (name == "user_id").then(|| value.into_owned()));
    match (&parts.method, &segments[..]) {
        (&Method::POST, []) => {
            let key = key(&parts.headers)?;
            create(webhooks, claims, claimed, key, body).await
        }
        (&Method::GET, []) => {
            let owner = owner(claims, claimed)?;
            let all = webhooks.store.list(&owner).await?;
            let all: Vec<_> = all.iter().map(shown).collect();
            Ok(axum::Json(json!({ "webhooks": all })).into_response())
        }
        (method, [id, rest @ ..]) => {
            let owner = owner(claims, claimed)?;
            let id = Uuid::parse_str(id).map_err(|_| Refusal::NoSuchWebhook)?;
            let found = webhooks.store.find(&owner, id).await?;
            let found = found.ok_or(Refusal::NoSuchWebhook)?;
            one(webhooks, &owner, &found, method, rest).await
        }
        _ => Err(Refusal::NoSuchMethod("GET, POST")),
    }
}

/// What is asked of one that there is.
async fn one(
    webhooks: &Webhooks,
    owner: &Owner,
    webhook: &Webhook,
    method: &Method,
    rest: &[&str],
) -> Result<Response, Refusal> {
    match (method, rest) {
        (&Method::GET, []) => Ok(axum::Json(shown(webhook)).into_response()),
        (&Method::DELETE, []) => {
            webhooks.store.delete(owner, webhook.id).await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        (&Method::POST, ["ping"]) if webhook.disabled.is_some() => Err(Refusal::Disabled),
        (&Method::POST, ["ping"]) => {
            let id = Uuid::now_v7();
            let now = OffsetDateTime::now_utc().unix_timestamp();
            let now = u64::try_from(now).unwrap_or_default() * 1_000;
            let about = json!({ "webhook_id": webhook.id });
            let body = message::body(PING, now, &about);
            if !webhooks.store.tell_one(webhook.id, id, PING, &body).await? {
                return Err(Refusal::Backlog);
            }
            webhooks.due.notify_one();
            let told = json!({ "message_id": id });
            Ok((StatusCode::ACCEPTED, axum::Json(told)).into_response())
        }
        (&Method::GET, ["deliveries"]) => {
            let all = webhooks.store.deliveries(webhook.id).await?;
            let all: Vec<_> = all.iter().map(delivery).collect();
            Ok(axum::Json(json!({ "deliveries": all })).into_response())
        }
        (_, []) => Err(Refusal::NoSuchMethod("GET, DELETE")),
        (_, ["ping"]) => Err(Refusal::NoSuchMethod("POST")),
        (_, ["deliveries"]) => Err(Refusal::NoSuchMethod("GET")),
        _ => Err(Refusal::NoSuchPath),
    }
}

async fn create(
    webhooks: &Webhooks,
    claims: Option<&Claims>,
    claimed: Option<String>,
    key: Option<String>,
    body: Body,
) -> Result<Response, Refusal> {
    let body = tokio::time::timeout(PATIENCE, Limited::new(body, MAX_BODY).collect()).await;
    let body = body.map_err(|_| Refusal::Stalled)?;
    let body = body.map_err(|_| Refusal::TooLarge)?.to_bytes();
    let value: Value = serde_json::from_slice(&body).map_err(|_| Refusal::Malformed)?;
    let wanted: Wanted = serde_json::from_value(value)
        .map_err(|_| invalid("a webhook is {\"url\": \"https://…\", \"events\": […]}"))?;
    let owner = owner(claims, wanted.user_id.or(claimed))?;
    webhooks
        .targets
        .check(&wanted.url)
        .map_err(|unfit| invalid(&unfit.to_string()))?;
    // Of a key it is the same each time, and so is the secret, which is made of it.
    let id = key.map_or_else(Uuid::new_v4, |key| message::id(&owner, &key));
    let secret = webhooks.key.secret(id);
    let mut webhook = Webhook {
        id,
        url: wanted.url,
        events: events(wanted.events)?,
        fingerprint: message::fingerprint(&secret),
        created_at: OffsetDateTime::now_utc(),
        disabled: None,
    };
    if !webhooks.store.create(&owner, &webhook, MOST).await? {
        // As many as may be, or this one already.
        let made = webhooks.store.find(&owner, id).await?;
        let made = made.ok_or(Refusal::TooMany)?;
        if (&made.url, &made.events) != (&webhook.url, &webhook.events) {
            return Err(Refusal::KeyReused);
        }
        webhook = made;
    }
    let mut body = shown(&webhook);
    // This once: it is not stored.
    body["secret"] = json!(message::shown(&secret));
    let place = HeaderValue::try_from(format!("{ROUTE}/{id}"));
    let place = place.map(|place| [(header::LOCATION, place)]).ok();
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    let created = (StatusCode::CREATED, no_store, axum::Json(body));
    Ok(match place {
        Some(place) => (place, created).into_response(),
        None => created.into_response(),
    })
}

/// `Idempotency-Key`, as the components take it.
fn key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = key
        .to_str()
        .ok()
        .filter(|key| (1..=255).contains(&key.len()));
    let key = key.ok_or_else(|| invalid("`Idempotency-Key` has 1 to 255 characters of ASCII"))?;
    Ok(Some(key.to_owned()))
}

fn invalid(why: &str) -> Refusal {
    Refusal::Invalid(why.to_owned())
}

/// Each once, in the order of the contract.
fn events(wanted: Vec<String>) -> Result<Vec<String>, Refusal> {
    let unknown = wanted
        .iter()
        .find(|event| !EVENTS.contains(&event.as_str()));
    if wanted.is_empty() || unknown.is_some() {
        let known = EVENTS.join(", ");
        return Err(invalid(&format!("`events` names one or more of: {known}")));
    }
    let chosen = EVENTS
        .into_iter()
        .filter(|event| wanted.iter().any(|w| w == event));
    Ok(chosen.map(ToOwned::to_owned).collect())
}

/// Whose they are: the token's subject; an administrator may act for others of the tenant, and in
/// development mode requests say who they are.
fn owner(claims: Option<&Claims>, claimed: Option<String>) -> Result<Owner, Refusal> {
    let is_fit =
        |user: &String| (1..=255).contains(&user.len()) && !user.chars().any(char::is_control);
    if !claimed.iter().all(is_fit) {
        return Err(invalid(
            "`user_id` has 1 to 255 bytes without control characters",
        ));
    }
    let user = match (claims, claimed) {
        (None, claimed) => claimed.unwrap_or_else(|| ANONYMOUS.to_owned()),
        (Some(claims), None) => claims.sub.clone(),
        (Some(claims), Some(claimed)) if claimed == claims.sub || claims.role == Role::Admin => {
            claimed
        }
        (Some(_), Some(_)) => return Err(Refusal::Foreign),
    };
    let tenant = claims.and_then(|claims| claims.tenant.clone());
    Ok(Owner {
        tenant: tenant.unwrap_or_default(),
        user,
    })
}

fn shown(webhook: &Webhook) -> Value {
    let disabled = webhook.disabled.as_ref();
    let disabled = disabled.map(|(at, why)| json!({ "at": rfc3339(*at), "reason": why }));
    json!({
        "webhook_id": webhook.id,
        "url": webhook.url,
        "events": webhook.events,
        "created_at": rfc3339(webhook.created_at),
        "disabled": disabled,
    })
}

fn delivery(delivery: &Delivery) -> Value {
    let state = match (delivery.delivered_at, delivery.due_at) {
        (Some(_), _) => "delivered",
        (None, Some(_)) => "waiting",
        (None, None) => "failed",
    };
    json!({
        "message_id": delivery.message,
        "event": delivery.event,
        "state": state,
        "attempts": delivery.attempts,
        "status": delivery.status,
        "error": delivery.error,
        "created_at": rfc3339(delivery.created_at),
        "delivered_at": delivery.delivered_at.map(rfc3339),
        "next_attempt_at": delivery.due_at.map(rfc3339),
    })
}
