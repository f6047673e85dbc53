//! Which revisions a host begins with: what the database says, and what its own folder brings.

use std::sync::Arc;
use std::time::Instant;

use backend::revisions::{Action, Origin, Traffic};
use capability::ComponentName;
use runtime::Haste;
use serde_json::json;

use crate::assemble::StartError;
use crate::bundle::Bundle;
use crate::deploy::{Checks, DeployError, Deployer, HOST, moved};
use crate::live::Ready;

/// Stores the folder's components as revisions, decides who serves, and puts them in service.
/// `alone`: no other host can be on this database.
pub async fn boot(
    deployer: &Arc<Deployer>,
    bundles: Vec<Bundle>,
    alone: bool,
) -> Result<(), StartError> {
    let alone = alone || !deployer.store.hosts().await?.iter().any(|host| host.alive);
    let names: Vec<_> = bundles.iter().map(|b| b.manifest.name.clone()).collect();
    if alone {
        remove_missing(deployer, &names).await?;
    }
    let mut ready = Vec::new();
    for bundle in bundles {
        ready.extend(bring(deployer, bundle, alone).await?);
    }
    for wanted in deployer.store.traffic().await? {
        begin(deployer, &wanted, &ready).await;
    }
    Ok(())
}

/// A built-in component that the folder has no more is not run; a deployed one is.
async fn remove_missing(deployer: &Deployer, names: &[ComponentName]) -> Result<(), StartError> {
    for traffic in deployer.store.traffic().await? {
        let name = &traffic.component;
        let stable = deployer.find(name, &traffic.stable).await?;
        if stable.origin == Origin::BuiltIn && !names.contains(name) {
            let action = Action {
                who: HOST.to_owned(),
                action: "remove",
                detail: json!({ "why": "the folder of components has it no more" }),
            };
            deployer.store.remove_traffic(name, &action).await?;
        }
    }
    Ok(())
}

/// Gives the traffic to a built-in revision where none has it, or where another built-in one has and
/// this one is new to the database, or nobody but hosts has decided yet and no other host is there: so
/// that an old host that joins others does not take them back, and what somebody has deployed or
/// rolled back stays. It passes all checks before.
async fn bring(
    deployer: &Deployer,
    bundle: Bundle,
    alone: bool,
) -> Result<Option<Ready>, StartError> {
    let (name, revision) = (&bundle.manifest.name, bundle.content.revision());
    let store = &deployer.store;
    let content = Arc::new(bundle.content);
    let is_new = store.put(name, &content, Origin::BuiltIn, HOST).await?;
    let now = store.traffic_of(name).await?;
    let mut run = vec![];
    if let Some(now) = &now {
        let stable = deployer.find(name, &now.stable).await?;
        let undecided = alone && now.changed_by == HOST;
        if now.stable != revision && (stable.origin == Origin::Deployed || !(is_new || undecided)) {
            let (theirs, ours) = (&now.stable[..12], &revision[..12]);
            tracing::info!(service = %name, "runs revision={theirs}, not this host's built-in {ours}");
            return Ok(None);
        }
        if !alone {
            run = stable.migrations;
        }
    }
    let prepared = deployer
        .prepare(name, content, &run, Haste::Start, &mut Checks::default())
        .await;
    let ready = match (prepared, &now) {
        (Ok(ready), _) => ready,
        (Err(unfit), None) => return Err(DeployError::from(unfit).into()),
        (Err(unfit), Some(_)) => {
            tracing::error!(service = %name, "the built-in {} is not taken: {unfit}", &revision[..12]);
            return Ok(None);
        }
    };
    let wanted = match now {
        Some(now) if now.stable == revision => return Ok(Some(ready)),
        Some(now) => Traffic {
            draining: now.draining,
            ..moved(now, revision.clone(), None)
        },
        None => Traffic {
            component: name.clone(),
            generation: 0,
            stable: revision.clone(),
            canary: None,
            previous: vec![],
            draining: false,
            changed_by: HOST.to_owned(),
        },
    };
    let action = Action {
        who: HOST.to_owned(),
        action: "built-in",
        detail: json!({ "revision": revision }),
    };
    match store.set_traffic(&wanted, &action).await {
        // Another host starts at the same moment, and was first.
        Ok(_) | Err(backend::revisions::Error::Conflict) => Ok(Some(ready)),
        Err(error) => Err(error.into()),
    }
}

/// Puts in service what the database says, or the latest former revision that this host can run: one
/// that cannot be run holds up no other. What is left out is tried again, and told to all.
async fn begin(deployer: &Arc<Deployer>, wanted: &Traffic, ready: &[Ready]) {
    let (name, began) = (&wanted.component, Instant::now());
    let mut applied = wanted.clone();
    let mut held_back = None;
    let mut found = Vec::new();
    if let Some(canary) = applied.canary.take() {
        match get(deployer, name, &canary.revision, ready).await {
            Ok(trial) => {
                found.push(trial);
                applied.canary = Some(canary);
            }
            Err(error) => held_back = Some(format!("the canary: {error}")),
        }
    }
    for revision in std::iter::once(&wanted.stable).chain(&wanted.previous) {
        match get(deployer, name, revision, ready).await {
            Ok(stable) => {
                applied.stable = revision.clone();
                found.push(stable);
                break;
            }
            Err(error) => {
                tracing::error!(service = %name, "revision={} cannot be run: {error}", &revision[..12]);
                held_back.get_or_insert(error.to_string());
            }
        }
    }
    if held_back.is_some() {
        // The database's own is still to come.
        applied.generation = 0;
    }
    let part = deployer.live.part(name);
    let mut part = part.lock().await;
    match deployer.live.apply(&mut part, &applied, &found).await {
        Ok(_) => {
            let (revision, ms) = (&applied.stable[..12], began.elapsed().as_millis());
            tracing::info!(service = %name, "ready revision={revision} in {ms} ms");
        }
        Err(error) => {
            tracing::error!(service = %name, %error, "does not serve");
            held_back.get_or_insert(error.to_string());
        }
    }
    if let Some(why) = held_back {
        part.hold_back(wanted.generation, why);
    }
}

async fn get(
    deployer: &Deployer,
    name: &ComponentName,
    revision: &str,
    ready: &[Ready],
) -> Result<Ready, DeployError> {
    if let Some(ready) = ready.iter().find(|ready| ready.revision == revision) {
        return Ok(ready.clone());
    }
    let stored = deployer.find(name, revision).await?;
    deployer.ready(&stored, &[], Haste::Start).await
}
