//! The admin API from the other side: what the operator's commands and `lectern dev` call.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use crate::admin::api;

/// A deploy compiles, migrates and probes before it answers.
const PATIENCE: Duration = Duration::from_secs(300);

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer.
    #[error(
        "the admin API at {base} gives no answer: {why}. Is `lectern serve` running there? See --admin"
    )]
    Unreachable {
        /// Where.
        base: String,
        /// The innermost reason.
        why: String,
    },
    /// The API's own refusal.
    #[error("{}{} ({}, request {})", check(.0), .0.error, .0.code, .0.request_id)]
    Refused(Box<api::Error>),
    /// Something else answers there.
    #[error("the answer is not the admin API's: status {0}")]
    Foreign(u16),
}

fn check(error: &api::Error) -> String {
    let check = error.check.as_ref();
    check.map_or_else(String::new, |check| format!("the check `{check}` failed: "))
}

/// The admin API at one address, with one token.
pub struct Client {
    base: String,
    token: SecretString,
    http: reqwest::Client,
}

/// A new revision, as it is sent.
#[derive(Default)]
pub struct Upload {
    /// The component's bytes.
    pub wasm: Vec<u8>,
    /// `component.toml`.
    pub manifest: Option<String>,
    /// Name and SQL.
    pub migrations: Vec<(String, String)>,
    /// Only store it.
    pub store_only: bool,
    /// As a canary, for so many of 100 users.
    pub weight: Option<u8>,
    /// As a canary, for requests with that header.
    pub header: Option<String>,
}

impl Client {
    /// For `base`, as in `http://127.0.0.1:8081`.
    pub fn new(base: &str, token: SecretString) -> Self {
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy();
        Self {
            base: base.trim_end_matches('/').to_owned(),
            token,
            http: http.build().unwrap_or_default(),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}/admin/v1/{path}", self.base))
            .bearer_auth(self.token.expose_secret())
    }

    async fn send(&self, request: RequestBuilder) -> Result<String, ClientError> {
        let unreachable = |error: reqwest::Error| {
            let mut why: &dyn std::error::Error = &error;
            while let Some(deeper) = why.source() {
                why = deeper;
            }
            ClientError::Unreachable {
                base: self.base.clone(),
                why: why.to_string(),
            }
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.text().await.map_err(unreachable)?;
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_str(&body) {
            Ok(refused) => Err(ClientError::Refused(Box::new(refused))),
            Err(_) => Err(ClientError::Foreign(status.as_u16())),
        }
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let body = self.send(request).await?;
        serde_json::from_str(&body).map_err(|_| ClientError::Foreign(200))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.read(self.request(Method::GET, path)).await
    }

    /// All components.
    pub async fn components(&self) -> Result<api::Components, ClientError> {
        self.get("components").await
    }

    /// One component.
    pub async fn component(&self, name: &str) -> Result<api::Component, ClientError> {
        self.get(&format!("components/{name}")).await
    }

    /// Its revisions.
    pub async fn revisions(&self, name: &str) -> Result<api::Revisions, ClientError> {
        self.get(&format!("components/{name}/revisions")).await
    }

    /// One of them.
    pub async fn revision(&self, name: &str, rev: &str) -> Result<api::Revision, ClientError> {
        self.get(&format!("components/{name}/revisions/{rev}"))
            .await
    }

    /// What they did.
    pub async fn stats(&self, name: &str) -> Result<api::Stats, ClientError> {
        self.get(&format!("components/{name}/stats")).await
    }

    /// The hosts.
    pub async fn hosts(&self) -> Result<api::Hosts, ClientError> {
        self.get("hosts").await
    }

    /// The record.
    pub async fn audit(&self, limit: u32) -> Result<api::Audit, ClientError> {
        self.get(&format!("audit?limit={limit}")).await
    }

    /// A new revision.
    pub async fn deploy(&self, name: &str, upload: Upload) -> Result<api::Deployed, ClientError> {
        let wasm = Part::bytes(upload.wasm).file_name(format!("{name}.wasm"));
        let mut form = Form::new().part("component", wasm);
        if let Some(manifest) = upload.manifest {
            form = form.text("manifest", manifest);
        }
        for (name, sql) in upload.migrations {
            form = form.part("migration", Part::text(sql).file_name(name));
        }
        if upload.store_only {
            form = form.text("activate", "false");
        }
        if let Some(weight) = upload.weight {
            form = form.text("weight", weight.to_string());
        }
        if let Some(header) = upload.header {
            form = form.text("header", header);
        }
        let path = format!("components/{name}/revisions");
        self.read(self.request(Method::POST, &path).multipart(form))
            .await
    }

    /// How far the deploy under way has come.
    pub async fn progress(&self, name: &str) -> Result<api::Progress, ClientError> {
        self.get(&format!("components/{name}/progress")).await
    }

    /// Who serves.
    pub async fn set_traffic(
        &self,
        name: &str,
        wanted: &api::SetTraffic,
    ) -> Result<api::Component, ClientError> {
        let path = format!("components/{name}/traffic");
        self.read(self.request(Method::PUT, &path).json(wanted))
            .await
    }

    /// Back.
    pub async fn rollback(&self, name: &str) -> Result<api::Component, ClientError> {
        let path = format!("components/{name}/rollback");
        self.read(self.request(Method::POST, &path)).await
    }

    /// Out of service.
    pub async fn drain(&self, name: &str) -> Result<api::Component, ClientError> {
        let path = format!("components/{name}/drain");
        self.read(self.request(Method::POST, &path)).await
    }

    /// Forgets a revision.
    pub async fn delete(&self, name: &str, revision: &str) -> Result<(), ClientError> {
        let path = format!("components/{name}/revisions/{revision}");
        self.send(self.request(Method::DELETE, &path)).await?;
        Ok(())
    }
}
