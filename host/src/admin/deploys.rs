//! `POST /admin/v1/components/{name}/revisions`: a form becomes a revision.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::extract::{Extension, Multipart, Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use backend::revisions::MigrationFile;

use super::Operator;
use super::api::{self, DeployForm};
use super::handlers::{component_name, detached};
use super::problem::Refusal;
use crate::assemble::Platform;
use crate::deploy::{Activate, Check, Deploy};

/// Of a component, in bytes.
const MAX_WASM: usize = 64 << 20;
/// Of a manifest or a migration, in bytes.
const MAX_TEXT: usize = 1 << 20;
/// Of any other field, in bytes.
const MAX_FIELD: usize = 1 << 10;
/// Parts of the form: a component has at most so many migrations.
const MAX_PARTS: usize = 1_000;

/// The form as it was read.
#[derive(Default)]
struct Form {
    component: Option<Vec<u8>>,
    manifest: Option<String>,
    migrations: Vec<MigrationFile>,
    activate: Option<bool>,
    weight: Option<u8>,
    header: Option<String>,
}

/// Takes a new revision through every check, then gives it the traffic. A failure at any of them
/// leaves what runs untouched, and says what to change.
#[utoipa::path(post, path = "/admin/v1/components/{name}/revisions", tag = "revisions",
    params(("name" = String, Path)),
    request_body(content = DeployForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, body = api::Deployed, description = "stored, and serving where that was asked"),
        (status = 400, body = api::Error, description = "the form is not as described"),
        (status = 409, body = api::Error, description = "another change of the component is under way, or a route is taken"),
        (status = 413, body = api::Error, description = "more than 64 MiB"),
        (status = 422, body = api::Error, description = "a check was not passed; `check` names it"),
    ))]
pub(super) async fn deploy(
    State(platform): State<Arc<Platform>>,
    Extension(Operator(who)): Extension<Operator>,
    Path(name): Path<String>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<impl IntoResponse, Refusal> {
    let name = component_name(&name)?;
    let form = form.map_err(|e| Refusal::Invalid(e.body_text()))?;
    let form = read(form).await?;
    let began = Instant::now();
    let deploy = Deploy {
        activate: form.activation()?,
        wasm: form
            .component
            .ok_or_else(|| Refusal::Invalid("the form has no part `component`".into()))?,
        manifest: form.manifest,
        migrations: (!form.migrations.is_empty()).then_some(form.migrations),
    };
    let (deployer, of) = (platform.deployer().clone(), name.clone());
    let deployed = detached(async move { deployer.deploy(&of, deploy, &who).await }).await?;
    let location = format!(
        "/admin/v1/components/{name}/revisions/{}",
        deployed.revision
    );
    let body = api::Deployed {
        component: name.to_string(),
        revision: deployed.revision,
        former: deployed.former,
        checks: shown(deployed.checks),
        ms: (began.elapsed().as_secs_f64() * 1e6).round() / 1e3,
    };
    let location = [(header::LOCATION, location)];
    Ok((StatusCode::CREATED, location, Json(body)))
}

/// How far the deploy under way has come, for who waits for it.
#[utoipa::path(get, path = "/admin/v1/components/{name}/progress", tag = "revisions",
    params(("name" = String, Path)),
    responses((status = 200, body = api::Progress), (status = 404, body = api::Error)))]
pub(super) async fn progress(
    State(platform): State<Arc<Platform>>,
    Path(name): Path<String>,
) -> Result<Json<api::Progress>, Refusal> {
    let passed = platform.deployer().progress(&component_name(&name)?);
    Ok(Json(api::Progress {
        deploying: passed.is_some(),
        checks: shown(passed.unwrap_or_default()),
    }))
}

fn shown(passed: Vec<Check>) -> Vec<api::Check> {
    let check = |passed: Check| api::Check {
        check: passed.check.to_owned(),
        ms: passed.ms,
    };
    passed.into_iter().map(check).collect()
}

impl Form {
    fn activation(&self) -> Result<Activate, Refusal> {
        let trial = self.weight.is_some() || self.header.is_some();
        match self.activate {
            Some(false) if trial => Err(Refusal::Invalid(
                "`activate=false` goes with neither `weight` nor `header`".into(),
            )),
            Some(false) => Ok(Activate::No),
            _ if trial => Ok(Activate::Canary {
                weight: self.weight.unwrap_or(0),
                header: self.header.clone(),
            }),
            _ => Ok(Activate::Stable),
        }
    }
}

async fn read(mut form: Multipart) -> Result<Form, Refusal> {
    let mut read = Form::default();
    for _ in 0..MAX_PARTS {
        let Some(field) = form.next_field().await.map_err(|e| broken(&e))? else {
            read.migrations.sort_by(|a, b| a.name.cmp(&b.name));
            return Ok(read);
        };
        match field.name().unwrap_or_default() {
            "component" => read.component = Some(bytes(field, MAX_WASM).await?),
            "manifest" => read.manifest = Some(text(field, MAX_TEXT).await?),
            "migration" => {
                let name = field.file_name().unwrap_or_default().to_owned();
                let sql = text(field, MAX_TEXT).await?;
                read.migrations.push(MigrationFile { name, sql });
            }
            "activate" => read.activate = Some(parsed(field, "activate", "true or false").await?),
            "weight" => {
                read.weight = Some(parsed(field, "weight", "a number from 0 to 100").await?)
            }
            "header" => read.header = Some(text(field, MAX_FIELD).await?),
            other => {
                let why = format!("the form has a part `{other}`, which is not known");
                return Err(Refusal::Invalid(why));
            }
        }
    }
    Err(Refusal::Invalid("the form has too many parts".into()))
}

async fn bytes(mut field: Field<'_>, limit: usize) -> Result<Vec<u8>, Refusal> {
    let mut all = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|e| broken(&e))? {
        if all.len() + chunk.len() > limit {
            return Err(Refusal::TooLarge);
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

async fn text(field: Field<'_>, limit: usize) -> Result<String, Refusal> {
    String::from_utf8(bytes(field, limit).await?)
        .map_err(|_| Refusal::Invalid("a part of the form is not UTF-8".into()))
}

async fn parsed<T: std::str::FromStr>(
    field: Field<'_>,
    name: &str,
    form: &str,
) -> Result<T, Refusal> {
    let text = text(field, MAX_FIELD).await?;
    text.trim()
        .parse()
        .map_err(|_| Refusal::Invalid(format!("`{name}` is {form}")))
}

fn broken(error: &MultipartError) -> Refusal {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Refusal::TooLarge
    } else {
        Refusal::Invalid(format!("the form cannot be read: {}", error.body_text()))
    }
}
