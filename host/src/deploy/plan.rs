//! What a change makes of a component's traffic. Pure.

use backend::revisions::{Canary, Traffic};
use capability::ComponentName;

use super::{Activate, DeployError};
use crate::canary::Marker;

pub(super) fn check_activation(activate: &Activate) -> Result<(), DeployError> {
    match activate {
        Activate::Canary { weight, .. } if *weight > 100 => Err(DeployError::Weight),
        Activate::Canary {
            header: Some(header),
            ..
        } if Marker::parse(header).is_none() => Err(DeployError::Header(header.clone())),
        _ => Ok(()),
    }
}

/// The traffic after a deploy; `None` where it stays as it is. A first revision has nobody to be
/// tried beside.
pub(super) fn next(
    now: Option<Traffic>,
    name: &ComponentName,
    revision: &str,
    activate: &Activate,
) -> Option<Traffic> {
    match (now, activate) {
        (_, Activate::No) => None,
        (None, _) => Some(Traffic {
            component: name.clone(),
            generation: 0,
            stable: revision.to_owned(),
            canary: None,
            previous: vec![],
            draining: false,
            changed_by: String::new(),
        }),
        (Some(now), Activate::Stable) => Some(moved(now, revision.to_owned(), None)),
        (Some(now), Activate::Canary { weight, header }) => {
            let canary = (now.stable != revision).then(|| Canary {
                revision: revision.to_owned(),
                weight: *weight,
                header: header.clone(),
            });
            let stable = now.stable.clone();
            Some(moved(now, stable, canary))
        }
    }
}

/// The traffic with another stable revision, and the former one remembered.
pub fn moved(now: Traffic, stable: String, canary: Option<Canary>) -> Traffic {
    let mut previous = now.previous;
    if now.stable != stable {
        previous.insert(0, now.stable);
    }
    previous.retain(|former| *former != stable);
    Traffic {
        stable,
        canary,
        previous,
        draining: false,
        ..now
    }
}
