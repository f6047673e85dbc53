//! A file's password: never stored as it is, and gone when its run ends. What tells it from another password of
//! a repeated request stays a day longer.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use guest::idempotency::Key;
use guest::uuid::Uuid;
use guest::{Json, Problem, blobs, postgres};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::seal::{KEY, MAX_PASSWORD, open, print, seal};

/// The key by which passwords are told apart.
const PRINT_KEY: &str = "keys/prints";

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
    let key = random_key();
    let sealed = seal(&key, password).ok_or_else(Problem::internal)?;
    blobs::put_bytes(&key_blob(id, run), key.to_vec()).await?;
    Ok(Some(sealed))
}

fn random_key() -> [u8; KEY] {
    let mut digest = Sha256::new();
    // 122 random bits each.
    for _ in 0..4 {
        digest.update(Uuid::new_v4().as_bytes());
    }
    digest.finalize().into()
}

/// Of the password of a request that may be repeated, what tells it from another. Not the password itself: the
/// request's fingerprint is kept for a day, and could be guessed from.
pub(super) async fn told_apart(
    key: &Key,
    password: Option<&str>,
) -> Result<Option<Vec<u8>>, Problem> {
    match (checked(password)?, &key.0) {
        (Some(password), Some(_)) => {
            let key = print_key().await?;
            print(&key, password)
                .map(Some)
                .ok_or_else(Problem::internal)
        }
        _ => Ok(None),
    }
}

/// Made when it is wanted first. Of two that make it at once, the second finds the first one's.
async fn print_key() -> Result<Vec<u8>, Problem> {
    if let Some(key) = read_key(PRINT_KEY).await? {
        return Ok(key);
    }
    let tx = postgres::begin().await?;
    postgres::lock_in(&tx, PRINT_KEY).await?;
    if let Some(key) = read_key(PRINT_KEY).await? {
        return Ok(key);
    }
    let key = random_key().to_vec();
    blobs::put_bytes(PRINT_KEY, key.clone()).await?;
    postgres::commit(tx).await?;
    Ok(key)
}

async fn read_key(blob: &str) -> Result<Option<Vec<u8>>, Problem> {
    match blobs::read(blob, KEY as u64).await {
        Ok(key) => Ok(Some(key)),
        Err(blobs::Error::NotFound | blobs::Error::TooLarge(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
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
    let key = read_key(&key_blob(id, run)).await?;
    // Without its key it opens nothing; the file will say that it wants one.
    Ok(key.and_then(|key| open(&key, sealed)))
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
    /// `false` leaves the notes as they are. When absent, a document that has been read gets notes; one that has
    /// not, as its upload said.
    pub(super) generate_notes: Option<bool>,
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
