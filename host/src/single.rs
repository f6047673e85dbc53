//! `lectern serve-component`: one `wasi:http` component, of WASI 0.2 or 0.3, without a manifest: for
//! other people's components, and for suites that bring their own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use backend::outbound::HttpClient;
use runtime::manifest::HttpGrant;
use runtime::{Capabilities, Component, Engine, Haste, Manifest, Refused, Revision};
use tokio::net::TcpListener;

use crate::dispatch::{Kind, dispatch};
use crate::gateway::{self, Answer, complete};
use crate::serve::interrupted;

/// How long requests in hand may take to end.
const DRAIN: Duration = Duration::from_secs(10);

/// Within what a component lives that says nothing of itself.
const MANIFEST: &str = "\
name = \"component\"\n\
[http]\nroutes = [\"/\"]\n\
[limits]\nmemory_mib = 1024\ncpu_ms = 60_000\ndeadline_ms = 60_000\nbody_mib = 1024\n";

/// What is served, and with what.
#[derive(clap::Args)]
pub struct Single {
    /// The component.
    file: PathBuf,
    /// Where to listen; loopback, on a free port, when not given.
    #[arg(long, default_value = "127.0.0.1:0")]
    addr: SocketAddr,
    /// An environment variable for it, as `KEY=VALUE`; may be repeated.
    #[arg(long = "env", value_name = "KEY=VALUE", value_parser = pair)]
    environment: Vec<(String, String)>,
    /// A host that it may call, or `*`; may be repeated.
    #[arg(long, value_name = "HOST")]
    allow_http: Vec<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it is `KEY=VALUE`")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Why it is not served.
#[derive(Debug, thiserror::Error)]
pub enum SingleError {
    /// The file.
    #[error("cannot read {0}: {1}")]
    Read(String, std::io::Error),
    /// The address.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The component.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It wants to call others.
    #[error(
        "the component imports `{0}`: say which hosts it may call with --allow-http HOST, or `*`"
    )]
    Outbound(String),
    /// No sandbox.
    #[error("the WebAssembly engine cannot be set up: {0}")]
    Engine(String),
}

/// Answers with one component, at every path.
struct Only(Arc<Revision>);

impl Answer for Only {
    async fn answer(self: &Arc<Self>, mut request: Request) -> Response {
        complete(&mut request);
        match dispatch(&self.0, request, Kind::Request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::warn!("no answer: {error:?}");
                (StatusCode::INTERNAL_SERVER_ERROR, Body::empty()).into_response()
            }
        }
    }
}

/// Serves until SIGTERM or SIGINT; `started` is told where.
pub async fn run(single: Single, started: impl FnOnce(SocketAddr)) -> Result<(), SingleError> {
    let wasm = std::fs::read(&single.file)
        .map_err(|e| SingleError::Read(single.file.display().to_string(), e))?;
    let engine_failed = |e: &dyn std::fmt::Display| SingleError::Engine(e.to_string());
    let mut manifest = Manifest::parse(MANIFEST).map_err(|e| engine_failed(&e))?;
    manifest.config = single.environment.into_iter().collect();
    let granted = !single.allow_http.is_empty();
    manifest.grants.http = granted.then_some(HttpGrant {
        hosts: single.allow_http,
        connections: 64,
    });
    let engine = Engine::new(None).map_err(|e| engine_failed(&e))?;
    let outbound = HttpClient::new(crate::config::outbound_private());
    let capabilities = Capabilities {
        outbound: Some(Arc::new(outbound)),
        ..Capabilities::default()
    };
    let component = Component::new(&engine, manifest, &wasm, capabilities, Haste::Start);
    let component = component.map_err(|refused| match refused {
        Refused::NotGranted { import, .. } if import.starts_with("wasi:http/") => {
            SingleError::Outbound(import)
        }
        refused => refused.into(),
    })?;
    let listening = TcpListener::bind(single.addr).await;
    let listener = listening.map_err(|e| SingleError::Listen(single.addr, e))?;
    let address = listener.local_addr().unwrap_or(single.addr);
    started(address);
    let revision = Arc::new(Revision::new(Arc::new(component), "component".into()));
    let only = Arc::new(Only(revision.clone()));
    gateway::serve(listener, only, interrupted(), DRAIN).await;
    revision.drain(Duration::ZERO).await;
    Ok(())
}
