//! From a question to an answer: passages, then the model where there is one, else quotes alone.

use corpus::answer::{Shown, answer_among};
use corpus::search::{Index, Searched};
use corpus::{Document, Page, overview};
use guest::identity::User;
use guest::uuid::Uuid;
use guest::{Problem, llm, log, shelf};
use serde_json::json;

use super::library::{self, Found};
use super::listener::Listener;
use crate::citation::{self, Citation, Source};
use crate::draft::{Draft, Written};
use crate::prompt::{self, Prompt, Said, Speaker};
use crate::request::Request;

/// Tokens that the model takes together with its answer, where the manifest's `config.LLM_WINDOW` does
/// not say: what the smallest models of today have.
const WINDOW: usize = 8_192;
/// Of those the answer's, as the manifest's `llm.max_tokens`.
const ANSWER: usize = 2_000;

/// Who answered a question whose asker left before anybody did.
const NOBODY: &str = "none";

/// A question with what it is about.
pub(super) struct Asked {
    question: String,
    pub(super) sources: Vec<Source>,
    found: Option<Found>,
    only_documents: bool,
}

/// An answer, and what it rests on.
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) engine: String,
    pub(super) citations: Vec<Citation>,
    /// Why it ended: `stop`, `length`, `filtered`, `not_found`, `error`, `cancelled`.
    pub(super) finish: &'static str,
    pub(super) grounded: Option<bool>,
    /// Statements of the model's that were left out, as they stand in no document.
    pub(super) omitted: usize,
}

impl Answer {
    /// Whether it was broken off.
    pub(super) fn partial(&self) -> bool {
        matches!(self.finish, "error" | "cancelled")
    }
}

/// Finds the documents, or takes the text that came along.
pub(super) async fn find(request: &Request, user: &User) -> Result<Asked, Problem> {
    let (question, documents) = (request.message.clone(), request.documents());
    let (mut sources, mut found) = (vec![], None);
    for id in &documents {
        sources.push(Source {
            id: Some(id.clone()),
            name: shelf::find(id, &user.into()).await?.filename,
        });
    }
    if !documents.is_empty() {
        found = Some(library::search(&documents, &question).await?);
    } else if let Some(text) = request.text() {
        sources.push(Source {
            id: None,
            name: "given text".into(),
        });
        found = Some(in_text(text, &question));
    }
    Ok(Asked {
        question,
        sources,
        found,
        only_documents: request.only_documents(),
    })
}

fn in_text(text: &str, question: &str) -> Found {
    let pages = vec![Page {
        number: 1,
        text: text.to_owned(),
    }];
    let passages = Document { pages }.passages();
    let index = Index::over(vec![Searched::of(&passages, question)]);
    library::choose(index, &passages, overview::wants(question))
}

/// Answers by the model where there is one and it answers, else from the documents alone.
pub(super) async fn answer(asked: &Asked, said: &[Said], listener: &mut Listener) -> Answer {
    let nonce = Uuid::new_v4().simple().to_string();
    match by_model(asked, said, &nonce, listener).await {
        Ok(answer) => answer,
        Err(error) => {
            if !matches!(error, llm::Error::NotConfigured) {
                log::warn(&format!(
                    "the language model gave no answer ({error}); it is quoted"
                ));
            }
            quoted(asked, listener).await
        }
    }
}

/// An error where nothing has been said yet; else an answer that is broken off.
async fn by_model(
    asked: &Asked,
    said: &[Said],
    nonce: &str,
    listener: &mut Listener,
) -> Result<Answer, llm::Error> {
    let passages: &[Shown] = asked.found.as_ref().map_or(&[], |found| &found.around);
    let shown = (asked.sources.as_slice(), passages);
    let prompt = prompt::fit(window(), ANSWER, &asked.question, shown, said, nonce);
    let passages = passages[..prompt.shown].to_vec();
    let request = request(prompt, &asked.question);
    let mut draft = Draft::new(passages, asked.found.is_some(), asked.only_documents, nonce);
    let Some(started) = listener.unless_left(llm::start(request)).await else {
        return Ok(cancelled(asked, draft, NOBODY.to_owned()));
    };
    let mut stream = started?;
    let model = std::mem::take(&mut stream.model);
    match listen(&mut stream, &mut draft, listener).await {
        Ok(true) => match stream.finish().await {
            Ok(reason) => finish(asked, draft, model, reason, listener).await,
            Err(error) => broken_off(asked, draft, model, error, listener).await,
        },
        Ok(false) => {
            // In this order: the request upstream ends before anything is waited for.
            drop(stream);
            Ok(cancelled(asked, draft, model))
        }
        Err(error) => broken_off(asked, draft, model, error, listener).await,
    }
}

/// Passes on what the model says; false where nobody listens any more.
async fn listen(
    stream: &mut llm::Stream,
    draft: &mut Draft,
    listener: &mut Listener,
) -> Result<bool, llm::Error> {
    loop {
        match listener.unless_left(stream.next()).await {
            Some(Some(words)) => {
                let told = draft.push(&words?);
                tell(listener, &told).await;
            }
            Some(None) => return Ok(true),
            None => return Ok(false),
        }
    }
}

async fn tell(listener: &mut Listener, text: &str) {
    if !text.is_empty() {
        listener.say("token", &json!({ "text": text })).await;
    }
}

async fn finish(
    asked: &Asked,
    draft: Draft,
    model: String,
    reason: llm::FinishReason,
    listener: &mut Listener,
) -> Result<Answer, llm::Error> {
    let (cut_short, reason) = match reason {
        llm::FinishReason::Stop => (false, "stop"),
        llm::FinishReason::Length => (true, "length"),
        llm::FinishReason::Filtered => (false, "filtered"),
    };
    let written = draft.end(cut_short);
    if written.invented {
        let text = prompt::not_found(&asked.sources, &asked.question);
        tell(listener, &text).await;
        return Ok(Answer {
            text,
            engine: model,
            citations: vec![],
            finish: "not_found",
            grounded: Some(false),
            omitted: written.omitted,
        });
    }
    if written.text.trim().is_empty() {
        return Err(llm::Error::Unavailable);
    }
    tell(listener, &written.rest).await;
    Ok(of(asked, written, model, reason))
}

fn of(asked: &Asked, written: Written, engine: String, finish: &'static str) -> Answer {
    Answer {
        text: written.text.trim().to_owned(),
        engine,
        citations: citation::of(&asked.sources, written.quotes),
        finish,
        grounded: written.grounded,
        omitted: written.omitted,
    }
}

/// Where nothing was said yet, it is as if the model had said nothing.
async fn broken_off(
    asked: &Asked,
    draft: Draft,
    model: String,
    error: llm::Error,
    listener: &mut Listener,
) -> Result<Answer, llm::Error> {
    if !listener.streams() || !draft.has_spoken() {
        return Err(error);
    }
    log::warn(&format!("the language model broke off ({error})"));
    let written = draft.end(true);
    tell(listener, &written.rest).await;
    Ok(of(asked, written, model, "error"))
}

/// What was said until the client left, which may be nothing.
fn cancelled(asked: &Asked, draft: Draft, model: String) -> Answer {
    let mut written = draft.end(true);
    if written.invented {
        written.text.clear();
    }
    of(asked, written, model, "cancelled")
}

fn window() -> usize {
    let configured = std::env::var("LLM_WINDOW").ok();
    configured
        .and_then(|window| window.parse().ok())
        .unwrap_or(WINDOW)
}

fn request(prompt: Prompt<'_>, question: &str) -> llm::Request {
    let message = |role, content| llm::Message { role, content };
    let said = prompt.history.iter().map(|said| {
        let role = match said.by {
            Speaker::User => llm::Role::User,
            Speaker::Assistant => llm::Role::Assistant,
        };
        message(role, said.content.clone())
    });
    llm::Request {
        messages: [message(llm::Role::System, prompt.system)]
            .into_iter()
            .chain(said)
            .chain([message(llm::Role::User, question.to_owned())])
            .collect(),
        max_tokens: u32::try_from(ANSWER).ok(),
        temperature: Some(0.2),
        schema: None,
    }
}

/// The documents' own sentences, one after the other.
async fn quoted(asked: &Asked, listener: &mut Listener) -> Answer {
    let answer = quotes(asked);
    for (at, sentence) in answer.sentences.iter().enumerate() {
        let space = if at == 0 { "" } else { " " };
        tell(listener, &format!("{space}{sentence}")).await;
    }
    Answer {
        text: answer.sentences.join(" "),
        engine: llm::LOCAL_ENGINE.to_owned(),
        citations: answer.citations,
        finish: if listener.has_left() {
            "cancelled"
        } else {
            answer.finish
        },
        grounded: answer.grounded,
        omitted: 0,
    }
}

struct Quoted {
    sentences: Vec<String>,
    citations: Vec<Citation>,
    finish: &'static str,
    grounded: Option<bool>,
}

fn quotes(asked: &Asked) -> Quoted {
    let without = |text: String, finish, grounded| Quoted {
        sentences: vec![text],
        citations: vec![],
        finish,
        grounded,
    };
    let Some(found) = &asked.found else {
        return without(prompt::NO_MODEL.to_owned(), "stop", None);
    };
    match answer_among(&asked.question, &found.index, &found.best) {
        Some(quotes) => Quoted {
            sentences: prompt::quoted(&quotes, &asked.sources),
            citations: citation::of(&asked.sources, quotes),
            finish: "stop",
            grounded: Some(true),
        },
        None => without(
            prompt::not_found(&asked.sources, &asked.question),
            "not_found",
            Some(false),
        ),
    }
}
