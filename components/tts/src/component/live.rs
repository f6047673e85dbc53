//! `POST /synthesize` of somebody who listens: the audio itself, as it is spoken. Its row is there from the
//! first byte on, and the work is a task of its own, which ends when all of it is stored, whoever listens.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::channel::oneshot;
use guest::idempotency::{self, Claim as KeyClaim, Key};
use guest::identity::{Owner, User};
use guest::postgres;
use guest::uuid::Uuid;
use guest::{Problem, log};
use serde_json::json;

use super::engine::Speaker;
use super::failure::Failure;
use super::library::{self, New};
use super::rendition::{self, Claim, Rendition, Turn};
use super::speaking::Speaking;
use super::synthesize::{self, ATTEMPTS, Attempt, ROUTE, attach, deleted};
use super::waiting::{self, Maker};
use super::{content, listening};
use crate::format::Format;
use crate::request::Order;
use crate::wav;

/// Who listens to what.
struct Hearing {
    audio_id: String,
    user: User,
    order: Order,
}

/// The audio. A repeated request has the same one, once it is there.
pub(super) async fn heard(
    key: Key,
    user: User,
    order: Order,
    fingerprint: &str,
) -> Result<Response, Problem> {
    let hearing = Hearing {
        audio_id: Uuid::new_v4().to_string(),
        user: user.clone(),
        order,
    };
    let answer = idempotency::once(key, &user, ROUTE, fingerprint, async move |claim| {
        hearing.begin(claim).await.map_err(Failure::problem)
    });
    let answer = answer.await?;
    match idempotency::is_replayed(&answer) {
        true => replayed(answer.headers().clone(), user).await,
        false => Ok(answer),
    }
}

/// What the first request made.
async fn replayed(first: HeaderMap, user: User) -> Result<Response, Problem> {
    let location = first.get(header::LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    let id = location.and_then(|location| location.rsplit('/').next());
    let owner = Owner {
        tenant: user.tenant,
        user: Some(user.id),
    };
    let (audio, rendition) = library::completed(id.unwrap_or_default(), &owner).await?;
    let mut answer = content::whole(&audio.id, audio.format, &rendition).await?;
    idempotency::mark_replayed(&mut answer);
    Ok(located(answer, &audio.id))
}

fn located(mut answer: Response, audio_id: &str) -> Response {
    if let Ok(location) = HeaderValue::from_str(&format!("/audio/{audio_id}")) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}

impl Hearing {
    async fn begin(self, key: &KeyClaim) -> Result<Response, Failure> {
        let speaker = synthesize::speaker(&self.order).await?;
        let content_key = rendition::content_key(&self.user.tenant, &self.order, &speaker);
        for _ in 0..ATTEMPTS {
            match rendition::turn(&content_key, &self.order, &speaker).await? {
                Turn::Make(claim) => return self.made_now(key, claim, &speaker).await,
                Turn::Ready(rendition) => match self.stored(key, rendition).await? {
                    Some(answer) => return Ok(answer),
                    None => continue,
                },
            }
        }
        Err(deleted())
    }

    fn row(&self, is_waiting: bool) -> New<'_> {
        New {
            audio_id: &self.audio_id,
            user: &self.user,
            order: &self.order,
            request_id: None,
            is_waiting,
        }
    }

    fn location(&self) -> String {
        format!("/audio/{}", self.audio_id)
    }

    /// Bytes that are there; [`None`] where they have gone.
    async fn stored(
        &self,
        key: &KeyClaim,
        rendition: Rendition,
    ) -> Result<Option<Response>, Failure> {
        let new = self.row(false);
        let Attempt::Done(attached) = attach(&new, rendition, true).await? else {
            return Ok(None);
        };
        let (tx, done) = *attached;
        let body = synthesize::body(&new, &done).await?;
        let location = self.location();
        let stored = key.answer_in(&tx, StatusCode::OK, Some(&location), &body);
        stored.await?;
        postgres::commit(tx).await?;
        let format = self.order.format;
        let answer = content::whole(&self.audio_id, format, &done.rendition).await?;
        Ok(Some(located(answer, &self.audio_id)))
    }

    async fn made_now(
        self,
        key: &KeyClaim,
        claim: Claim,
        speaker: &Speaker,
    ) -> Result<Response, Failure> {
        let (listener, heard) = listening::pair();
        let speaking = claim.begin(&self.order, speaker, Some(listener)).await?;
        if let Err(problem) = self.wait_for(key).await {
            claim.give_up().await;
            return Err(problem.into());
        }
        let (format, audio_id) = (self.order.format, self.audio_id.clone());
        let header = match format {
            Format::Wav => Bytes::copy_from_slice(&wav::header(speaking.rate(), None)),
            Format::Mp3 | Format::Ogg => Bytes::new(),
        };
        let (tell, told) = oneshot::channel();
        let work = async move {
            // Nobody may listen any more.
            let _ = tell.send(self.work(claim, speaking).await);
        };
        drop(wit_bindgen::spawn_local(log::about(log::subject(), work)));
        let answer = (
            [(header::CONTENT_TYPE, format.content_type())],
            Body::from_stream(listening::all(header, heard, told)),
        );
        Ok(located(answer.into_response(), &audio_id))
    }

    /// The row, and the key's answer, before there is a byte.
    async fn wait_for(&self, key: &KeyClaim) -> Result<(), Problem> {
        let tx = postgres::begin().await?;
        let row = [(self.audio_id.clone(), &self.order)];
        waiting::insert_in(&tx, &self.user, Maker::Listened, &row).await?;
        let body = json!({ "audio_id": self.audio_id, "status": "processing" });
        let location = self.location();
        let stored = key.answer_in(&tx, StatusCode::OK, Some(&location), &body);
        stored.await?;
        postgres::commit(tx).await
    }

    /// [`None`] where there are no bytes in the end.
    async fn work(self, claim: Claim, speaking: Speaking) -> Option<Rendition> {
        let made = async {
            let rendition = claim.finish(speaking, self.order.format).await?;
            match attach(&self.row(true), rendition.clone(), false).await? {
                Attempt::Done(attached) => postgres::commit(attached.0).await?,
                // Deleted meanwhile: who has heard all of it has heard it.
                Attempt::NoRow => {}
                Attempt::NoBytes => return Err(deleted()),
            }
            Ok(rendition)
        };
        match made.await {
            Ok(rendition) => Some(rendition),
            Err(failure) => {
                self.fail(failure).await;
                None
            }
        }
    }

    /// Where this fails too, the clock asks for the audio again.
    async fn fail(&self, failure: Failure) {
        let failed = async {
            let tx = postgres::begin().await?;
            let (id, user) = (&self.audio_id, &self.user);
            waiting::fail_in(&tx, id, user, None, &failure.problem()).await?;
            postgres::commit(tx).await
        };
        if let Err(problem) = failed.await {
            log::warn(&format!("a failure was not stored: {}", problem.code()));
        }
    }
}
