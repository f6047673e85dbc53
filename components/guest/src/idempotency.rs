//! `Idempotency-Key`: a POST that is repeated answers as it did at first and does nothing more, for a
//! day (draft-ietf-httpapi-idempotency-key-header). Wants the table `idempotency` (see the service's
//! migrations).

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Problem;

const HEADER: &str = "idempotency-key";
/// Says that the answer is an earlier one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Between two tries of a client whose first request is still being answered, in seconds.
const PAUSE: u32 = 5;
/// As the table holds it.
const MAX_KEY: usize = 255;

/// The request's key, where it has one: 1 to 255 visible ASCII characters.
pub struct Key(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(key) = parts.headers.get(HEADER) else {
            return Ok(Self(None));
        };
        let key = key.as_bytes();
        if key.is_empty() || key.len() > MAX_KEY || !key.iter().all(u8::is_ascii_graphic) {
            return Err(Problem::validation(
                "`Idempotency-Key` has 1 to 255 visible ASCII characters",
            ));
        }
        Ok(Self(Some(String::from_utf8_lossy(key).into_owned())))
    }
}

/// What a request asks for, so that another one with its key is told from its repetition: SHA-256 over
/// the parts, each with its length.
pub fn fingerprint(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    let digest = digest.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a key's row says to whoever comes second.
pub struct Earlier {
    /// Of the first request.
    pub fingerprint: String,
    /// `None` while the first is at work.
    pub status: Option<StatusCode>,
    /// Where the thing is that was made.
    pub location: Option<String>,
    /// What was answered.
    pub body: Value,
    /// While the first is at work: until somebody else could take over, in seconds, unless it goes on.
    pub lease: u32,
}

impl Earlier {
    /// The same answer to the same request, or why not.
    pub fn answer(self, fingerprint: &str) -> Result<Response, Problem> {
        if self.fingerprint != fingerprint {
            let why = "this `Idempotency-Key` was used for another request";
            return Err(Problem::unprocessable("IDEMPOTENCY_KEY_REUSED", why));
        }
        let Some(status) = self.status else {
            return Err(in_use(self.lease));
        };
        let mut response = respond(status, self.location.as_deref(), &self.body);
        mark_replayed(&mut response);
        Ok(response)
    }
}

/// Says of an answer that it is an earlier one.
pub fn mark_replayed(response: &mut Response) {
    let yes = HeaderValue::from_static("true");
    response.headers_mut().insert(REPLAYED, yes);
}

/// Whether it is, for whoever answers with more than JSON.
pub fn is_replayed(response: &Response) -> bool {
    response.headers().contains_key(REPLAYED)
}

/// The first is asked after again when it may be done, and no later than its lease ends.
fn in_use(lease: u32) -> Problem {
    let why = "a request with this `Idempotency-Key` is being answered";
    Problem::conflict("IDEMPOTENCY_KEY_IN_USE", why).retry_after(lease.clamp(1, PAUSE))
}

/// A JSON answer, with where the thing is that was made.
pub fn respond(status: StatusCode, location: Option<&str>, body: &Value) -> Response {
    let mut response = (status, Json(body)).into_response();
    if let Some(Ok(location)) = location.map(HeaderValue::from_str) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

#[cfg(target_family = "wasm")]
pub use claim::{Claim, once};

#[cfg(target_family = "wasm")]
mod claim {
    use std::convert::Infallible;
    use std::pin::pin;

    use axum::response::Response;
    use futures::future::{Either, select};
    use http::StatusCode;
    use serde_json::Value;
    use uuid::Uuid;
    use wasip3::clocks::monotonic_clock::wait_for;

    use super::{Earlier, Key, PAUSE, in_use, respond};
    use crate::identity::User;
    use crate::postgres::{self, Row, Transaction};
    use crate::{Problem, params};

    /// Whoever has neither answered nor renewed its lease by then has died.
    const LEASE_SECONDS: u32 = 30;
    /// Between two renewals, in nanoseconds: a third of the lease.
    const RENEWAL: u64 = 10_000_000_000;

    /// The right to answer; without a key there is nothing to claim, and nothing is stored.
    pub struct Claim(Option<Claimed>);

    struct Claimed {
        tenant: String,
        user: String,
        route: &'static str,
        key: String,
        id: String,
    }

    /// Does `work` once for a key, and answers what it answered. `route` is the path's pattern. Where `work`
    /// fails, the key is free again.
    pub async fn once(
        key: Key,
        user: &User,
        route: &'static str,
        fingerprint: &str,
        work: impl AsyncFnOnce(&Claim) -> Result<Response, Problem>,
    ) -> Result<Response, Problem> {
        let Some(key) = key.0 else {
            return work(&Claim(None)).await;
        };
        let claimed = Claimed {
            tenant: user.tenant.clone(),
            user: user.id.clone(),
            route,
            key,
            id: Uuid::new_v4().to_string(),
        };
        if let Some(earlier) = claimed.take(fingerprint).await? {
            return earlier.answer(fingerprint);
        }
        let claim = Claim(Some(claimed));
        let done = {
            let (work, renewal) = (pin!(work(&claim)), pin!(claim.renew()));
            match select(work, renewal).await {
                Either::Left((done, _)) => done,
                Either::Right((never, _)) => match never {},
            }
        };
        if done.is_err() {
            claim.give_up().await;
        }
        done
    }

    impl Claim {
        /// The answer, stored with what it tells of. Another one may have taken over from a request that took
        /// too long: then this fails, and nothing is committed.
        pub async fn answer_in(
            &self,
            tx: &Transaction,
            status: StatusCode,
            location: Option<&str>,
            body: &Value,
        ) -> Result<Response, Problem> {
            if let Some(claimed) = &self.0 {
                claimed.store(tx, status, location, body).await?;
            }
            Ok(respond(status, location, body))
        }

        /// As long as the work goes on, so does the lease.
        async fn renew(&self) -> Infallible {
            loop {
                wait_for(RENEWAL).await;
                if let Some(claimed) = &self.0 {
                    claimed.renew().await;
                }
            }
        }

        async fn give_up(&self) {
            if let Some(claimed) = &self.0 {
                claimed.free().await;
            }
        }
    }

    impl Claimed {
        /// Claims the key, or answers what is known of it.
        async fn take(&self, fingerprint: &str) -> Result<Option<Earlier>, Problem> {
            let claimed = postgres::execute(
                "insert into idempotency as i (tenant, user_id, route, key, fingerprint, claim) \
                 values ($1, $2, $3, $4, $5, $6) \
                 on conflict (tenant, user_id, route, key) do update set fingerprint = excluded.fingerprint, \
                 claim = excluded.claim, claimed_at = now(), status = null, location = null, body = null \
                 where i.claimed_at < now() - interval '1 day' \
                 or i.status is null and i.claimed_at < now() - $7 * interval '1 second'",
                params![
                    &self.tenant,
                    &self.user,
                    self.route,
                    &self.key,
                    fingerprint,
                    &self.id,
                    LEASE_SECONDS
                ],
            );
            if claimed.await? == 1 {
                return Ok(None);
            }
            let row = postgres::fetch_optional(
                "select fingerprint, status, location, body, \
                 ceil(extract(epoch from claimed_at - now()))::bigint + $5::bigint from idempotency \
                 where tenant = $1 and user_id = $2 and route = $3 and key = $4",
                params![
                    &self.tenant,
                    &self.user,
                    self.route,
                    &self.key,
                    LEASE_SECONDS
                ],
            );
            // Given up a moment ago: the next try has it.
            row.await?.map(earlier).ok_or_else(|| in_use(1)).map(Some)
        }

        async fn store(
            &self,
            tx: &Transaction,
            status: StatusCode,
            location: Option<&str>,
            body: &Value,
        ) -> Result<(), Problem> {
            let stored = postgres::execute_in(
                tx,
                "update idempotency set status = $6, location = $7, body = $8 where tenant = $1 and user_id = $2 \
                 and route = $3 and key = $4 and claim = $5 and status is null",
                params![
                    &self.tenant,
                    &self.user,
                    self.route,
                    &self.key,
                    &self.id,
                    u32::from(status.as_u16()),
                    location.map(ToOwned::to_owned),
                    body.clone()
                ],
            );
            if stored.await? == 1 {
                Ok(())
            } else {
                Err(in_use(PAUSE))
            }
        }

        /// Where this fails, the next renewal may do.
        async fn renew(&self) {
            let _ = postgres::execute(
                "update idempotency set claimed_at = now() where tenant = $1 and user_id = $2 and route = $3 \
                 and key = $4 and claim = $5 and status is null",
                params![&self.tenant, &self.user, self.route, &self.key, &self.id],
            )
            .await;
        }

        /// Where this fails, the lease ends it.
        async fn free(&self) {
            let _ = postgres::execute(
                "delete from idempotency where tenant = $1 and user_id = $2 and route = $3 and key = $4 \
                 and claim = $5 and status is null",
                params![&self.tenant, &self.user, self.route, &self.key, &self.id],
            )
            .await;
        }
    }

    fn earlier(mut row: Row) -> Earlier {
        let status = u16::try_from(row.count(1)).unwrap_or_default();
        Earlier {
            fingerprint: row.text(0),
            status: StatusCode::from_u16(status).ok(),
            location: row.opt_text(2),
            body: serde_json::from_str(&row.text(3)).unwrap_or_default(),
            lease: row.count(4),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn earlier(status: Option<StatusCode>) -> Earlier {
        Earlier {
            fingerprint: fingerprint(&[b"a"]),
            status,
            location: Some("/quiz/7".into()),
            body: json!({ "quiz_id": "7" }),
            lease: 27,
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(fingerprint(&[b"ab", b"c"]), fingerprint(&[b"a", b"bc"]));
        assert_eq!(fingerprint(&[b"ab"]), fingerprint(&[b"ab"]));
        assert_eq!(fingerprint(&[]).len(), 64);
    }

    #[test]
    fn a_repetition_is_answered_as_the_first() {
        let done = earlier(Some(StatusCode::CREATED)).answer(&fingerprint(&[b"a"]));
        let response = done.unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()["location"], "/quiz/7");
        assert_eq!(response.headers()[REPLAYED], "true");
    }

    #[test]
    fn a_repetition_comes_again_when_the_first_may_be_done() {
        for (lease, told) in [(27, "5"), (3, "3"), (0, "1")] {
            let early = Earlier {
                lease,
                ..earlier(None)
            };
            let problem = early.answer(&fingerprint(&[b"a"])).unwrap_err();
            let response = problem.render(None);
            assert_eq!(response.headers()["retry-after"], told, "{lease}");
        }
    }

    #[test]
    fn another_request_and_one_too_early_are_refused() {
        let other = earlier(Some(StatusCode::CREATED)).answer(&fingerprint(&[b"b"]));
        assert_eq!(other.unwrap_err().code(), "IDEMPOTENCY_KEY_REUSED");
        let early = earlier(None).answer(&fingerprint(&[b"a"]));
        assert_eq!(early.unwrap_err().code(), "IDEMPOTENCY_KEY_IN_USE");
    }
}
