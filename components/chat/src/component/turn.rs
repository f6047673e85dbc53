//! `POST /chat`: one question and its answer. In a task of its own, which goes on when the client has
//! left: what was said until then is stored.

use std::cell::Cell;
use std::rc::Rc;

use axum::http::StatusCode;
use axum::response::Response;
use futures::channel::oneshot;
use guest::idempotency::{self, Claim, Key};
use guest::identity::User;
use guest::{Problem, log, quota, timestamp};
use serde_json::json;

use super::answer::{self, Answer};
use super::listener::Listener;
use super::store::{self, Question};
use crate::prompt::Speaker;
use crate::request::Request;

pub(super) const ROUTE: &str = "/chat";

/// A question, whose it is, and where it belongs.
pub(super) struct Turn {
    pub(super) request: Request,
    pub(super) user: User,
    pub(super) session: String,
    /// The question's, the same where a request is repeated.
    pub(super) message_id: String,
    /// Whether the client reads the answer while it is written.
    pub(super) streamed: bool,
    /// The request's fingerprint.
    pub(super) asked: String,
}

/// What a request asks.
pub(super) fn fingerprint(request: &Request) -> String {
    let (documents, told) = (request.documents().join("\n"), told(request));
    let alone = [u8::from(request.only_documents())];
    let mut parts = vec![
        request.message.as_bytes(),
        request.session_id.as_deref().unwrap_or_default().as_bytes(),
        documents.as_bytes(),
        request.text().unwrap_or_default().as_bytes(),
        &alone,
    ];
    // Without one it is what it was before there were any.
    parts.extend(told.as_deref().map(str::as_bytes));
    idempotency::fingerprint(&parts)
}

/// The conversation that came along.
fn told(request: &Request) -> Option<String> {
    let said = request.said();
    let told = said
        .iter()
        .map(|said| (said.by == Speaker::User, &said.content));
    (!said.is_empty()).then(|| json!(told.collect::<Vec<_>>()).to_string())
}

/// The response's first sender has it.
type First = Rc<Cell<Option<oneshot::Sender<Result<Response, Problem>>>>>;

impl Turn {
    /// Answers: a stream at once, anything else when it is done. Of an earlier request with that key its
    /// answer, which is never a stream.
    pub(super) async fn take(self, key: Key) -> Result<Response, Problem> {
        let (sender, first) = oneshot::channel();
        let task = async move {
            let first: First = Rc::new(Cell::new(Some(sender)));
            let done = self.once(key, first.clone()).await;
            if let Some(sender) = first.take() {
                // A client that has left wants no answer.
                let _ = sender.send(done);
            }
        };
        drop(wit_bindgen::spawn_local(log::about(log::subject(), task)));
        first.await.unwrap_or_else(|_| Err(Problem::internal()))
    }

    async fn once(&self, key: Key, first: First) -> Result<Response, Problem> {
        if !self.request.stores() {
            return self.pass(first).await;
        }
        idempotency::once(
            key,
            &self.user,
            ROUTE,
            &self.asked,
            async |claim: &Claim| self.answer(claim, first).await,
        )
        .await
    }

    /// Whoever reads along, where somebody does.
    fn listener(&self, first: &First) -> Listener {
        if self.streamed
            && let Some(sender) = first.take()
        {
            let (listener, response) = Listener::streaming();
            // Whoever has left already is noticed like one who leaves later.
            let _ = sender.send(Ok(response));
            return listener;
        }
        Listener::none()
    }

    /// Answers, and keeps nothing: with a key too, as there would be something kept.
    async fn pass(&self, first: First) -> Result<Response, Problem> {
        let asked = answer::find(&self.request, &self.user).await?;
        let mut listener = self.listener(&first);
        let answer = answer::answer(&asked, &self.request.said(), &mut listener).await;
        let timestamp = timestamp::now();
        close(&mut listener, &answer, None, &timestamp).await;
        let body = store::body(None, &answer, &timestamp);
        Ok(idempotency::respond(StatusCode::OK, None, &body))
    }

    async fn answer(&self, claim: &Claim, first: First) -> Result<Response, Problem> {
        // Before anything is said or kept.
        quota::check(quota::Kind::LlmTokens, 1).await?;
        // Before the session is touched: a question about somebody else's document leaves no trace.
        let asked = answer::find(&self.request, &self.user).await?;
        let message = &self.request.message;
        let question = Question {
            id: &self.message_id,
            session: &self.session,
            user: &self.user,
            sources: &asked.sources,
        };
        let mut earlier = store::ask(&question, message).await?;
        // Of a session that is there the request says nothing.
        earlier.said.splice(..0, self.request.said());
        let mut listener = self.listener(&first);
        listener
            .say("session", &json!({ "session_id": self.session }))
            .await;
        let answer = answer::answer(&asked, &earlier.said, &mut listener).await;
        let stored = store::answered(claim, &question, &earlier, &answer);
        match stored.await {
            Ok(stored) => {
                let message = Some(stored.message_id.as_str());
                close(&mut listener, &answer, message, &stored.timestamp).await;
                Ok(stored.response)
            }
            Err(problem) => {
                fail(&mut listener, problem.code(), problem.message()).await;
                Err(problem)
            }
        }
    }
}

async fn close(
    listener: &mut Listener,
    answer: &Answer,
    message_id: Option<&str>,
    timestamp: &str,
) {
    listener
        .say("citations", &json!({ "citations": answer.citations }))
        .await;
    if answer.partial() {
        let why = "the language model broke off; what it said is stored";
        return fail(listener, "ANSWER_INTERRUPTED", why).await;
    }
    let done = json!({
        "message_id": message_id,
        "engine": answer.engine,
        "finish": answer.finish,
        "grounded": answer.grounded,
        "omitted": answer.omitted,
        "timestamp": timestamp,
    });
    listener.say("done", &done).await;
}

async fn fail(listener: &mut Listener, code: &str, message: &str) {
    listener
        .say("error", &json!({ "error": message, "code": code }))
        .await;
}
