//! Which revisions a host begins with: what the database says, and what its own folder brings.

use std::sync::Arc;

use backend::revisions::{Action, Origin, Traffic};
use capability::ComponentName;
use runtime::Haste;
use serde_json::json;

use crate::assemble::StartError;
use crate::bundle::Bundle;
use crate::deploy::{DeployError, Deployer, HOST, moved};

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
    for bundle in bundles {
        bring(deployer, bundle, alone).await?;
    }
    for wanted in deployer.store.traffic().await? {
        begin(deployer, &wanted).await?;
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

/// A built-in revision serves where none does, or where a built-in one does: on a host that is alone
/// always, beside others only when it is new to all of them, so that an old host that joins does not
/// take them back. What somebody has deployed stays.
async fn bring(deployer: &Deployer, bundle: Bundle, alone: bool) -> Result<(), StartError> {
    let (name, revision) = (&bundle.manifest.name, bundle.content.revision());
    let store = &deployer.store;
    let is_new = store
        .put(name, &bundle.content, Origin::BuiltIn, HOST)
        .await?;
    let wanted = match store.traffic_of(name).await? {
        None => Traffic {
            component: name.clone(),
            generation: 0,
            stable: revision.clone(),
            canary: None,
            previous: vec![],
            draining: false,
        },
        Some(now) if now.stable == revision => return Ok(()),
        Some(now) => {
            let stable = deployer.find(name, &now.stable).await?;
            if stable.origin == Origin::Deployed || !(alone || is_new) {
                tracing::info!(
                    service = %name,
                    "runs the {} revision {}, not this host's built-in {}",
                    if stable.origin == Origin::Deployed { "deployed" } else { "other hosts'" },
                    &now.stable[..12], &revision[..12]
                );
                return Ok(());
            }
            moved(now, revision.clone(), None)
        }
    };
    let action = Action {
        who: HOST.to_owned(),
        action: "built-in",
        detail: json!({ "revision": revision }),
    };
    match store.set_traffic(&wanted, &action).await {
        // Another host starts at the same moment, and was first.
        Ok(_) | Err(backend::revisions::Error::Conflict) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Puts in service what the database says. A canary that cannot be run is left out: its trial goes on
/// where it can be.
async fn begin(deployer: &Arc<Deployer>, wanted: &Traffic) -> Result<(), StartError> {
    let name = &wanted.component;
    let part = deployer.live.part(name);
    let mut part = part.lock().await;
    let stable = deployer.find(name, &wanted.stable).await?;
    let began = std::time::Instant::now();
    let mut ready = vec![deployer.ready(&part, &stable, &[], Haste::Start).await?];
    let mut applied = wanted.clone();
    if let Some(canary) = &wanted.canary {
        let found = deployer.find(name, &canary.revision).await;
        let trial = match found {
            Ok(found) => deployer.ready(&part, &found, &[], Haste::Start).await,
            Err(error) => Err(error),
        };
        match trial {
            Ok(trial) => ready.push(trial),
            Err(error) => {
                tracing::error!(service = %name, %error, "the canary is left out");
                applied.canary = None;
            }
        }
    }
    let applying = deployer.live.apply(&mut part, &applied, &ready).await;
    applying.map_err(DeployError::from)?;
    let (revision, ms) = (&wanted.stable[..12], began.elapsed().as_millis());
    tracing::info!(service = %name, "ready revision={revision} in {ms} ms");
    Ok(())
}
