//! The calls that read, and those that move traffic.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use backend::revisions as store;
use capability::ComponentName;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Operator;
use super::api;
use super::problem::Refusal;
use crate::assemble::Platform;
use crate::deploy::{DeployError, Deployer};
use crate::factory::Unfit;
use crate::gateway::problem::rfc3339;

type Shared = State<Arc<Platform>>;

pub(super) fn component_name(name: &str) -> Result<ComponentName, Refusal> {
    ComponentName::parse(name).map_err(|e| Refusal::Invalid(e.to_string()))
}

/// A change goes on when its client has left: half of one must not be.
pub(super) async fn detached<T: Send + 'static>(
    change: impl Future<Output = Result<T, DeployError>> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::spawn(change).await {
        Ok(changed) => changed.map_err(Refusal::Deploy),
        Err(error) => Err(Refusal::Deploy(Unfit::Host(error.to_string()).into())),
    }
}

fn failed(error: store::Error) -> Refusal {
    Refusal::Deploy(DeployError::Store(error))
}

async fn shown(platform: &Platform, traffic: store::Traffic) -> api::Component {
    let name = traffic.component;
    let part = platform.live().part(&name);
    let held_back = part.try_lock().ok().and_then(|part| part.held_back.clone());
    let table = platform.live().table();
    let service = table.service(name.as_str());
    api::Component {
        component: name.to_string(),
        generation: traffic.generation,
        stable: traffic.stable,
        canary: traffic.canary.map(|canary| api::Canary {
            revision: canary.revision,
            weight: canary.weight,
            header: canary.header,
        }),
        previous: traffic.previous,
        draining: traffic.draining,
        routes: service
            .map(|service| service.stable.manifest().http.routes.clone())
            .unwrap_or_default(),
        held_back,
    }
}

/// Makes the change, and shows the component as it is then.
async fn changed<T, C>(
    platform: &Platform,
    name: &str,
    change: impl FnOnce(Arc<Deployer>, ComponentName) -> C,
) -> Result<Json<api::Component>, Refusal>
where
    T: Send + 'static,
    C: Future<Output = Result<T, DeployError>> + Send + 'static,
{
    let name = component_name(name)?;
    detached(change(platform.deployer().clone(), name.clone())).await?;
    let traffic = platform.deployer().traffic(&name).await?;
    Ok(Json(shown(platform, traffic).await))
}

/// All components, and who serves them.
#[utoipa::path(get, path = "/admin/v1/components", tag = "components",
    responses((status = 200, body = api::Components)))]
pub(super) async fn components(State(platform): Shared) -> Result<Json<api::Components>, Refusal> {
    let mut components = Vec::new();
    for traffic in platform.deployer().store.traffic().await.map_err(failed)? {
        components.push(shown(&platform, traffic).await);
    }
    Ok(Json(api::Components { components }))
}

/// One component, and who serves it.
#[utoipa::path(get, path = "/admin/v1/components/{name}", tag = "components",
    params(("name" = String, Path)),
    responses((status = 200, body = api::Component), (status = 404, body = api::Error)))]
pub(super) async fn component(
    State(platform): Shared,
    Path(name): Path<String>,
) -> Result<Json<api::Component>, Refusal> {
    let traffic = platform.deployer().traffic(&component_name(&name)?).await?;
    Ok(Json(shown(&platform, traffic).await))
}

fn role(traffic: Option<&store::Traffic>, revision: &str) -> &'static str {
    let Some(traffic) = traffic else {
        return "idle";
    };
    if traffic.stable == revision {
        "stable"
    } else if traffic
        .canary
        .as_ref()
        .is_some_and(|canary| canary.revision == revision)
    {
        "canary"
    } else if traffic.previous.iter().any(|previous| previous == revision) {
        "previous"
    } else {
        "idle"
    }
}

fn listed(traffic: Option<&store::Traffic>, revision: store::Revision) -> api::Revision {
    api::Revision {
        role: role(traffic, &revision.revision).to_owned(),
        revision: revision.revision,
        digest: revision.wasm_digest,
        size: revision.wasm_size,
        origin: match revision.origin {
            store::Origin::BuiltIn => "built-in".to_owned(),
            store::Origin::Deployed => "deployed".to_owned(),
        },
        created_by: revision.created_by,
        created_at: rfc3339(revision.created_at),
        manifest: None,
    }
}

/// A component's revisions, latest first.
#[utoipa::path(get, path = "/admin/v1/components/{name}/revisions", tag = "revisions",
    params(("name" = String, Path)),
    responses((status = 200, body = api::Revisions), (status = 404, body = api::Error)))]
pub(super) async fn revisions(
    State(platform): Shared,
    Path(name): Path<String>,
) -> Result<Json<api::Revisions>, Refusal> {
    let (name, store) = (component_name(&name)?, &platform.deployer().store);
    let traffic = store.traffic_of(&name).await.map_err(failed)?;
    let found = store.list(&name).await.map_err(failed)?;
    if found.is_empty() {
        return Err(DeployError::NoComponent(name).into());
    }
    let revisions = found.into_iter().map(|one| listed(traffic.as_ref(), one));
    Ok(Json(api::Revisions {
        revisions: revisions.collect(),
    }))
}

/// One revision, with its manifest. The beginning of its name suffices.
#[utoipa::path(get, path = "/admin/v1/components/{name}/revisions/{revision}", tag = "revisions",
    params(("name" = String, Path), ("revision" = String, Path)),
    responses((status = 200, body = api::Revision), (status = 404, body = api::Error)))]
pub(super) async fn revision(
    State(platform): Shared,
    Path((name, revision)): Path<(String, String)>,
) -> Result<Json<api::Revision>, Refusal> {
    let (name, deployer) = (component_name(&name)?, platform.deployer());
    let found = deployer.find(&name, &revision).await?;
    let traffic = deployer.store.traffic_of(&name).await.map_err(failed)?;
    let manifest = Some(found.manifest.clone());
    Ok(Json(api::Revision {
        manifest,
        ..listed(traffic.as_ref(), found)
    }))
}

/// Forgets a revision that nobody uses.
#[utoipa::path(delete, path = "/admin/v1/components/{name}/revisions/{revision}", tag = "revisions",
    params(("name" = String, Path), ("revision" = String, Path)),
    responses((status = 204), (status = 404, body = api::Error),
        (status = 409, body = api::Error, description = "it serves")))]
pub(super) async fn delete(
    State(platform): Shared,
    Extension(Operator(who)): Extension<Operator>,
    Path((name, revision)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let name = component_name(&name)?;
    let deployer = platform.deployer().clone();
    detached(async move { deployer.delete(&name, &revision, &who).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says who serves, and who is tried beside. Ends a drain; promotes a canary that it names as stable.
#[utoipa::path(put, path = "/admin/v1/components/{name}/traffic", tag = "traffic",
    params(("name" = String, Path)), request_body = api::SetTraffic,
    responses((status = 200, body = api::Component), (status = 400, body = api::Error),
        (status = 404, body = api::Error), (status = 409, body = api::Error), (status = 422, body = api::Error)))]
pub(super) async fn traffic(
    State(platform): Shared,
    Extension(Operator(who)): Extension<Operator>,
    Path(name): Path<String>,
    body: Result<Json<api::SetTraffic>, JsonRejection>,
) -> Result<Json<api::Component>, Refusal> {
    let Json(wanted) = body.map_err(|e| Refusal::Invalid(e.body_text()))?;
    let canary = wanted.canary.map(|canary| store::Canary {
        revision: canary.revision,
        weight: canary.weight,
        header: canary.header,
    });
    changed(&platform, &name, |deployer, name| async move {
        let stable = wanted.stable.as_deref();
        deployer.set_traffic(&name, stable, canary, &who).await
    })
    .await
}

/// Ends the trial where there is one, else goes back to the stable revision before this one.
#[utoipa::path(post, path = "/admin/v1/components/{name}/rollback", tag = "traffic",
    params(("name" = String, Path)),
    responses((status = 200, body = api::Component), (status = 404, body = api::Error),
        (status = 409, body = api::Error, description = "there is nothing to go back to")))]
pub(super) async fn rollback(
    State(platform): Shared,
    Extension(Operator(who)): Extension<Operator>,
    Path(name): Path<String>,
) -> Result<Json<api::Component>, Refusal> {
    changed(&platform, &name, |deployer, name| async move {
        deployer.rollback(&name, &who).await
    })
    .await
}

/// Takes no requests (503 with `retry-after`) and no events for the component, until its traffic is
/// set again.
#[utoipa::path(post, path = "/admin/v1/components/{name}/drain", tag = "traffic",
    params(("name" = String, Path)),
    responses((status = 200, body = api::Component), (status = 404, body = api::Error)))]
pub(super) async fn drain(
    State(platform): Shared,
    Extension(Operator(who)): Extension<Operator>,
    Path(name): Path<String>,
) -> Result<Json<api::Component>, Refusal> {
    changed(&platform, &name, |deployer, name| async move {
        deployer.drain(&name, &who).await
    })
    .await
}

/// What the component's revisions did on this host since they serve.
#[utoipa::path(get, path = "/admin/v1/components/{name}/stats", tag = "components",
    params(("name" = String, Path)),
    responses((status = 200, body = api::Stats), (status = 404, body = api::Error)))]
pub(super) async fn stats(
    State(platform): Shared,
    Path(name): Path<String>,
) -> Result<Json<api::Stats>, Refusal> {
    let name = component_name(&name)?;
    let table = platform.live().table();
    let service = table
        .service(name.as_str())
        .ok_or_else(|| DeployError::NoComponent(name.clone()))?;
    let of = |(at, revision): (usize, &Arc<runtime::Revision>)| {
        let counted = revision.stats().snapshot();
        let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        api::RevisionStats {
            revision: revision.name().to_owned(),
            role: if at == 0 { "stable" } else { "canary" }.to_owned(),
            requests: counted.requests,
            errors: counted.errors,
            error_rate: counted.error_rate(),
            traps: counted.traps,
            refused: counted.refused,
            events: counted.events,
            running: revision.running(),
            waiting: revision.waiting(),
            p50_ms: counted.quantile(0.5).map(ms),
            p99_ms: counted.quantile(0.99).map(ms),
        }
    };
    Ok(Json(api::Stats {
        component: name.to_string(),
        revisions: service.revisions().enumerate().map(of).collect(),
    }))
}

/// The hosts on this database, and what each of them runs.
#[utoipa::path(get, path = "/admin/v1/hosts", tag = "hosts",
    responses((status = 200, body = api::Hosts)))]
pub(super) async fn hosts(State(platform): Shared) -> Result<Json<api::Hosts>, Refusal> {
    let found = platform.deployer().store.hosts().await.map_err(failed)?;
    let host = |state: store::HostState| api::Host {
        host: state.report.host,
        version: state.report.version,
        listen: state.report.listen,
        started_at: rfc3339(state.report.started_at),
        seen_at: rfc3339(state.seen_at),
        alive: state.alive,
        components: state.report.components,
    };
    Ok(Json(api::Hosts {
        hosts: found.into_iter().map(host).collect(),
    }))
}

/// Which part of the record.
#[derive(Deserialize, IntoParams)]
pub(super) struct Page {
    /// Entries before that one.
    before: Option<i64>,
    /// At most so many: 1 to 200, default 50.
    limit: Option<u32>,
}

/// Who did what, and when; latest first.
#[utoipa::path(get, path = "/admin/v1/audit", tag = "hosts", params(Page),
    responses((status = 200, body = api::Audit)))]
pub(super) async fn audit(
    State(platform): Shared,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<api::Audit>, Refusal> {
    let Query(page) = page.map_err(|e| Refusal::Invalid(e.body_text()))?;
    let limit = i64::from(page.limit.unwrap_or(50).clamp(1, 200));
    let store = &platform.deployer().store;
    let found = store.audit(page.before.unwrap_or(i64::MAX), limit).await;
    let entries: Vec<_> = found
        .map_err(failed)?
        .into_iter()
        .map(|entry| api::AuditEntry {
            id: entry.id,
            at: rfc3339(entry.at),
            who: entry.who,
            action: entry.action,
            component: entry.component,
            detail: entry.detail,
        })
        .collect();
    let full = i64::try_from(entries.len()).unwrap_or(i64::MAX) == limit;
    let next = entries.last().map(|entry| entry.id).filter(|_| full);
    Ok(Json(api::Audit { entries, next }))
}
