//! A file's password: never stored as it is, and gone when its run ends.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use guest::uuid::Uuid;
use guest::{Json, Problem, blobs};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::seal::{KEY, MAX_PASSWORD, open, seal};

/// A run has its own: what ends one takes nothing from the next.
pub(super) fn key_blob(id: &str, run: u32) -> String {
    format!("keys/{id}-{run}")
}

/// Sealed for the row, with a key of its own beside it; fine without a password.
pub(super) async fn keep(
    id: &str,
    run: u32,
    password: Option<&str>,
) -> Result<Option<String>, Problem> {
    let Some(password) = checked(password)? else {
        return Ok(None);
    };
    let mut digest = Sha256::new();
    // 122 random bits each.
    for _ in 0..4 {
        digest.update(Uuid::new_v4().as_bytes());
    }
    let key: [u8; KEY] = digest.finalize().into();
    let sealed = seal(&key, password).ok_or_else(Problem::internal)?;
    blobs::put_bytes(&key_blob(id, run), key.to_vec()).await?;
    Ok(Some(sealed))
}

/// An empty one is none.
pub(super) fn checked(password: Option<&str>) -> Result<Option<&str>, Problem> {
    match password {
        Some(password) if password.chars().count() > MAX_PASSWORD => {
            let why = format!("`password` has {MAX_PASSWORD} characters at most");
            Err(Problem::validation(why))
        }
        password => Ok(password.filter(|password| !password.is_empty())),
    }
}

/// What was kept.
pub(super) async fn recall(
    id: &str,
    run: u32,
    sealed: Option<&str>,
) -> Result<Option<String>, Problem> {
    let Some(sealed) = sealed else {
        return Ok(None);
    };
    match blobs::read(&key_blob(id, run), KEY as u64).await {
        Ok(key) => Ok(open(&key, sealed)),
        // Without its key it opens nothing; the file will say that it wants one.
        Err(blobs::Error::NotFound | blobs::Error::TooLarge(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Also fine when there is none.
pub(super) async fn forget(id: &str, run: u32) -> Result<(), Problem> {
    blobs::delete(&key_blob(id, run)).await
}

/// How a document is to be processed again: a JSON body, which may be left out.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = ProcessAgain)]
pub(super) struct Asked {
    /// Of a file that is encrypted.
    #[schema(max_length = 255)]
    pub(super) password: Option<String>,
    /// Notes that somebody has edited stay, unless this is true.
    #[serde(default)]
    pub(super) replace_notes: bool,
}

impl<S: Send + Sync> FromRequest<S> for Asked {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let whole = Request::from_parts(parts.clone(), body);
        let bytes = Bytes::from_request(whole, state).await;
        let bytes = bytes.map_err(|e| Problem::validation(e.body_text()))?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let request = Request::from_parts(parts, bytes.into());
        let Json(asked) = Json::from_request(request, state).await?;
        Ok(asked)
    }
}
