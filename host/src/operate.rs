//! The operator's commands: each asks the admin API of a running host, and prints what it answers.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use secrecy::SecretString;
use serde::Serialize;

use crate::admin::api;
use crate::admin_key;
use crate::bundle;
use crate::client::{Client, ClientError, Upload};
use crate::config::configured_identity;
use crate::token::{self, Claims, Role};

/// How often a deploy is asked how far it has come.
const PROGRESS: Duration = Duration::from_millis(200);

/// Why a command came to nothing.
#[derive(Debug)]
pub enum Failed {
    /// For a person.
    Said(String),
    /// The API's own words, as they were asked for.
    Json(String),
}

impl From<String> for Failed {
    fn from(said: String) -> Self {
        Self::Said(said)
    }
}

/// Whom a command asks, and how it prints.
#[derive(Args)]
pub struct Ask {
    /// Where the admin API is.
    #[arg(
        long,
        global = true,
        env = "LECTERN_ADMIN",
        default_value = "http://127.0.0.1:8081"
    )]
    admin: String,
    /// An operator's token; made from JWT_SECRET_KEY or the data directory's key when not given.
    #[arg(long, global = true, env = "LECTERN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Where that key is.
    #[arg(
        long,
        global = true,
        env = "LECTERN_DATA_DIR",
        default_value = "./.lectern"
    )]
    data_dir: PathBuf,
    /// How the answer is printed.
    #[arg(short, long, global = true, value_enum, default_value = "text")]
    output: Output,
}

/// How an answer is printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For a person.
    Text,
    /// As the API gives it.
    Json,
}

/// What an operator does.
#[derive(Subcommand)]
pub enum Operation {
    /// Uploads a component as a new revision, and gives it the traffic once it has passed all checks.
    Deploy {
        #[command(flatten)]
        deploy: Deploy,
        #[command(flatten)]
        ask: Ask,
    },
    /// Shows components, their revisions and what they do; drains them; deletes revisions.
    Component {
        #[command(subcommand)]
        which: Component,
        #[command(flatten)]
        ask: Ask,
    },
    /// Says which revision serves a component, and which is tried beside it.
    Traffic {
        #[command(flatten)]
        traffic: Traffic,
        #[command(flatten)]
        ask: Ask,
    },
    /// Ends a canary's trial, or goes back to the stable revision before this one.
    Rollback {
        /// The component.
        name: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Shows the hosts on this database, and what each of them runs.
    Hosts {
        #[command(flatten)]
        ask: Ask,
    },
    /// Shows who did what, and when.
    Audit {
        /// At most so many entries.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        #[command(flatten)]
        ask: Ask,
    },
}

impl Operation {
    fn ask(&self) -> &Ask {
        match self {
            Self::Deploy { ask, .. }
            | Self::Component { ask, .. }
            | Self::Traffic { ask, .. }
            | Self::Rollback { ask, .. }
            | Self::Hosts { ask }
            | Self::Audit { ask, .. } => ask,
        }
    }
}

/// A deploy.
#[derive(Args)]
pub struct Deploy {
    /// The component; `NAME.toml` beside it is its manifest.
    file: PathBuf,
    /// Its manifest, where it is another file.
    #[arg(long)]
    manifest: Option<PathBuf>,
    /// The component's name, where neither manifest nor file says it.
    #[arg(long)]
    component: Option<String>,
    /// Only store it.
    #[arg(long, conflicts_with_all = ["canary", "header"])]
    no_activate: bool,
    /// Try it as a canary: so many of 100 users.
    #[arg(long, value_name = "WEIGHT", value_parser = clap::value_parser!(u8).range(0..=100))]
    canary: Option<u8>,
    /// Try it as a canary: requests with this header, `name` or `name: value`.
    #[arg(long)]
    header: Option<String>,
}

/// What of a component.
#[derive(Subcommand)]
pub enum Component {
    /// All of them, and who serves.
    List,
    /// One of them.
    Show {
        /// Which.
        name: String,
    },
    /// Its revisions, latest first.
    Revisions {
        /// Whose.
        name: String,
    },
    /// One revision's manifest.
    Manifest {
        /// Whose.
        name: String,
        /// Its name, or the beginning of it.
        revision: String,
    },
    /// What its revisions did since they serve.
    Stats {
        /// Whose.
        name: String,
    },
    /// Takes it out of service until its traffic is set again.
    Drain {
        /// Which.
        name: String,
    },
    /// Deletes a revision that nobody uses.
    Delete {
        /// Whose.
        name: String,
        /// Its name, or the beginning of it.
        revision: String,
    },
}

/// Who serves.
#[derive(Args)]
pub struct Traffic {
    /// The component.
    name: String,
    /// The revision that serves; the present one when not given. Naming the canary promotes it.
    #[arg(long)]
    stable: Option<String>,
    /// The revision that is tried.
    #[arg(long)]
    canary: Option<String>,
    /// Of 100 users, so many try it.
    #[arg(long, requires = "canary", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=100))]
    weight: u8,
    /// Requests with this header try it.
    #[arg(long, requires = "canary")]
    header: Option<String>,
}

impl Ask {
    /// The API, with a token.
    pub fn client(&self) -> Result<Client, String> {
        let token = match &self.token {
            Some(token) => token.clone(),
            None => {
                let identity = configured_identity().map_err(|e| e.to_string())?;
                let key =
                    admin_key::find(identity.secret.as_ref(), &self.data_dir).map_err(|e| {
                        format!(
                            "{e}. Give an operator's token with --token, or the host's --data-dir"
                        )
                    })?;
                let user = std::env::var("USER").unwrap_or_else(|_| "operator".into());
                let claims = Claims::new(&user, Role::Admin, Duration::from_secs(300));
                let signed = token::encode(&key, &claims.of(&identity));
                signed.map_err(|e| e.to_string())?
            }
        };
        Ok(Client::new(&self.admin, SecretString::from(token)))
    }

    fn print<T: Serialize>(
        &self,
        answer: Result<T, ClientError>,
        text: impl FnOnce(&T) -> String,
    ) -> Result<String, Failed> {
        let answer = match (answer, self.output) {
            // What the API refuses is JSON too.
            (Err(ClientError::Refused(refused)), Output::Json) => {
                let json = serde_json::to_string_pretty(&refused).unwrap_or_default();
                return Err(Failed::Json(json + "\n"));
            }
            (answer, _) => answer.map_err(|e| e.to_string())?,
        };
        Ok(match self.output {
            Output::Json => serde_json::to_string_pretty(&answer).unwrap_or_default() + "\n",
            Output::Text => text(&answer),
        })
    }
}

/// Does it; answers what to print.
pub async fn run(operation: Operation) -> Result<String, Failed> {
    let client = operation.ask().client()?;
    match operation {
        Operation::Deploy { deploy, ask } => {
            let (name, upload) = upload(deploy)?;
            eprintln!("deploying {name}: {} KiB", upload.wasm.len() >> 10);
            let deployed = deploy_with_progress(&client, &name, upload).await;
            ask.print(deployed, deployed_text)
        }
        Operation::Component { which, ask } => component(which, &client, &ask).await,
        Operation::Traffic { traffic, ask } => {
            let canary = traffic.canary.map(|revision| api::Canary {
                revision,
                weight: traffic.weight,
                header: traffic.header,
            });
            let wanted = api::SetTraffic {
                stable: traffic.stable,
                canary,
            };
            ask.print(
                client.set_traffic(&traffic.name, &wanted).await,
                component_text,
            )
        }
        Operation::Rollback { name, ask } => {
            ask.print(client.rollback(&name).await, component_text)
        }
        Operation::Hosts { ask } => ask.print(client.hosts().await, hosts_text),
        Operation::Audit { limit, ask } => ask.print(client.audit(limit).await, audit_text),
    }
}

async fn component(which: Component, client: &Client, ask: &Ask) -> Result<String, Failed> {
    match which {
        Component::List => ask.print(client.components().await, |all| {
            all.components.iter().map(component_text).collect()
        }),
        Component::Show { name } => ask.print(client.component(&name).await, component_text),
        Component::Revisions { name } => ask.print(client.revisions(&name).await, revisions_text),
        Component::Manifest { name, revision } => ask
            .print(client.revision(&name, &revision).await, |found| {
                found.manifest.clone().unwrap_or_default()
            }),
        Component::Stats { name } => ask.print(client.stats(&name).await, stats_text),
        Component::Drain { name } => ask.print(client.drain(&name).await, component_text),
        Component::Delete { name, revision } => {
            let deleted = client.delete(&name, &revision).await;
            ask.print(deleted.map(|_| ()), |()| String::new())
        }
    }
}

/// Each check is told as it is passed: compiling takes a second, or a minute.
async fn deploy_with_progress(
    client: &Client,
    name: &str,
    upload: Upload,
) -> Result<api::Deployed, ClientError> {
    let mut deploy = pin!(client.deploy(name, upload));
    let mut told = 0;
    loop {
        if let Ok(deployed) = tokio::time::timeout(PROGRESS, &mut deploy).await {
            return deployed;
        }
        // An older host has no such path, and is waited for in silence.
        let Ok(progress) = client.progress(name).await else {
            continue;
        };
        for passed in progress.checks.iter().skip(told) {
            eprintln!("  {:<11} {:>9.3} ms", passed.check, passed.ms);
        }
        told = told.max(progress.checks.len());
    }
}

/// What a file, and what lies beside it, make of a deploy.
fn upload(deploy: Deploy) -> Result<(String, Upload), String> {
    let beside = deploy.file.with_extension("toml");
    let manifest = deploy
        .manifest
        .or_else(|| beside.is_file().then_some(beside));
    let read = |path: &Path| {
        std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
    };
    let mut upload = Upload {
        wasm: read(&deploy.file)?,
        store_only: deploy.no_activate,
        weight: deploy.canary,
        header: deploy.header,
        ..Upload::default()
    };
    let stem = deploy
        .file
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    let mut name = deploy.component.or(stem).unwrap_or_default();
    if let Some(path) = manifest {
        let found = bundle::manifest(&path).map_err(|e| e.to_string())?;
        name = found.manifest.name.to_string();
        upload.manifest = Some(found.text);
        let files = found.migrations.into_iter();
        upload.migrations = files.map(|file| (file.name, file.sql)).collect();
    }
    Ok((name, upload))
}

/// The beginning of a revision's name that a person reads.
pub fn short(revision: &str) -> &str {
    revision.get(..12).unwrap_or(revision)
}

fn deployed_text(deployed: &api::Deployed) -> String {
    let mut text = String::new();
    for passed in &deployed.checks {
        let _ = writeln!(text, "  {:<11} {:>9.3} ms", passed.check, passed.ms);
    }
    let former = deployed.former.as_deref().map_or("none", short);
    let _ = writeln!(
        text,
        "{} {former} -> {} in {:.0} ms",
        deployed.component,
        short(&deployed.revision),
        deployed.ms
    );
    text
}

fn component_text(component: &api::Component) -> String {
    let mut text = format!(
        "{:<12} stable {}",
        component.component,
        short(&component.stable)
    );
    if let Some(canary) = &component.canary {
        let _ = write!(
            text,
            "  canary {} weight {}",
            short(&canary.revision),
            canary.weight
        );
        if let Some(header) = &canary.header {
            let _ = write!(text, " header `{header}`");
        }
    }
    if component.draining {
        text.push_str("  DRAINING");
    }
    if let Some(why) = &component.held_back {
        let _ = write!(text, "  HELD BACK: {why}");
    }
    text + "\n"
}

fn revisions_text(found: &api::Revisions) -> String {
    let line = |one: &api::Revision| {
        format!(
            "{}  {:<8}  {:<9}  {:>8} KiB  {}  {}\n",
            short(&one.revision),
            one.role,
            one.origin,
            one.size >> 10,
            one.created_at,
            one.created_by
        )
    };
    found.revisions.iter().map(line).collect()
}

fn stats_text(stats: &api::Stats) -> String {
    let ms = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
    let line = |one: &api::RevisionStats| {
        format!(
            "{}  {:<6}  {} requests, {} errors, {} traps, {} refused, {} events; {} running, {} waiting; p50 {}, p99 {}\n",
            short(&one.revision),
            one.role,
            one.requests,
            one.errors,
            one.traps,
            one.refused,
            one.events,
            one.running,
            one.waiting,
            ms(one.p50_ms),
            ms(one.p99_ms)
        )
    };
    stats.revisions.iter().map(line).collect()
}

fn hosts_text(hosts: &api::Hosts) -> String {
    let mut text = String::new();
    for host in &hosts.hosts {
        let state = if host.alive { "alive" } else { "silent" };
        let _ = writeln!(
            text,
            "{}  {}  {}  {state} since {}",
            host.host, host.listen, host.version, host.started_at
        );
        for (name, component) in host.components.as_object().into_iter().flatten() {
            let stable = component["stable"].as_str().map_or("none", short);
            let _ = write!(text, "  {name:<12} {stable}");
            if let Some(canary) = component["canary"].as_str() {
                let _ = write!(text, "  canary {}", short(canary));
            }
            if let Some(why) = component["held_back"].as_str() {
                let _ = write!(text, "  HELD BACK: {why}");
            }
            text.push('\n');
        }
    }
    text
}

fn audit_text(audit: &api::Audit) -> String {
    let line = |entry: &api::AuditEntry| {
        format!(
            "{}  {}  {} {}  {}\n",
            entry.at, entry.who, entry.action, entry.component, entry.detail
        )
    };
    audit.entries.iter().map(line).collect()
}
