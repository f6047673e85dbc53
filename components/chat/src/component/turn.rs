//! `POST /chat`: one question and its answer. In a task of its own, which goes on when the client has
//! left: what was said until then is stored.

use std::cell::Cell;
use std::rc::Rc;

use axum::response::Response;
use futures::channel::oneshot;
use guest::idempotency::{self, Claim, Key, fingerprint};
use guest::identity::User;
use guest::{Problem, log};
use serde_json::json;

use super::answer::{self, Answer};
use super::listener::Listener;
use super::store::{self, Question, Stored};
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
        let asked = self.fingerprint();
        idempotency::once(key, &self.user, ROUTE, &asked, async |claim: &Claim| {
            self.answer(claim, first).await
        })
        .await
    }

    fn fingerprint(&self) -> String {
        let documents = self.request.documents().join("\n");
        fingerprint(&[
            self.request.message.as_bytes(),
            self.request
                .session_id
                .as_deref()
                .unwrap_or_default()
                .as_bytes(),
            documents.as_bytes(),
            self.request.text().unwrap_or_default().as_bytes(),
            &[u8::from(self.request.only_documents())],
        ])
    }

    async fn answer(&self, claim: &Claim, first: First) -> Result<Response, Problem> {
        // Before the session is touched: a question about somebody else's document leaves no trace.
        let asked = answer::find(&self.request, &self.user).await?;
        let message = &self.request.message;
        let question = Question {
            id: &self.message_id,
            session: &self.session,
            user: &self.user,
            sources: &asked.sources,
        };
        let earlier = store::ask(&question, message).await?;
        let mut listener = Listener::none();
        if self.streamed
            && let Some(sender) = first.take()
        {
            let (streaming, response) = Listener::streaming();
            listener = streaming;
            // Whoever has left already is noticed like one who leaves later.
            let _ = sender.send(Ok(response));
        }
        listener
            .say("session", &json!({ "session_id": self.session }))
            .await;
        let answer = answer::answer(&asked, &earlier.said, &mut listener).await;
        let stored = store::answered(claim, &question, &earlier, &answer);
        match stored.await {
            Ok(stored) => {
                close(&mut listener, &answer, &stored).await;
                Ok(stored.response)
            }
            Err(problem) => {
                fail(&mut listener, problem.code(), problem.message()).await;
                Err(problem)
            }
        }
    }
}

async fn close(listener: &mut Listener, answer: &Answer, stored: &Stored) {
    listener
        .say("citations", &json!({ "citations": answer.citations }))
        .await;
    if answer.partial() {
        let why = "the language model broke off; what it said is stored";
        return fail(listener, "ANSWER_INTERRUPTED", why).await;
    }
    let done = json!({
        "message_id": stored.message_id,
        "engine": answer.engine,
        "finish": answer.finish,
        "grounded": answer.grounded,
        "omitted": answer.omitted,
        "timestamp": stored.timestamp,
    });
    listener.say("done", &done).await;
}

async fn fail(listener: &mut Listener, code: &str, message: &str) {
    listener
        .say("error", &json!({ "error": message, "code": code }))
        .await;
}
