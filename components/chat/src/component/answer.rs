//! From a question to an answer: passages, then the model where there is one, else quotes alone.

use corpus::search::Index;
use corpus::{Document, Page, Passage};
use guest::identity::User;
use guest::uuid::Uuid;
use guest::{Problem, llm, log, shelf};

use crate::citation::{self, Citation};
use crate::prompt::{self, Said, Speaker};
use crate::request::Request;

/// Passages that a model is shown.
const SHOWN: usize = 6;

/// What the question is about.
pub(super) struct Source {
    /// `None` for a text that came with the question.
    document_id: Option<String>,
    name: String,
    passages: Vec<Passage>,
}

/// An answer, and what it rests on.
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) engine: String,
    pub(super) citations: Vec<Citation>,
}

/// Finds the document, or takes the text that came along; `None` where the question names neither.
pub(super) async fn source(request: &Request, user: &User) -> Result<Option<Source>, Problem> {
    let Some(context) = &request.document_context else {
        return Ok(None);
    };
    if let Some(id) = context.document_id.as_deref().filter(|id| !id.is_empty()) {
        let shelved = shelf::find(id, &user.into()).await?;
        let passages = shelf::read(id).await?;
        return Ok(Some(Source {
            document_id: Some(id.to_owned()),
            name: shelved.filename,
            passages,
        }));
    }
    let text = context
        .relevant_text
        .as_deref()
        .filter(|text| !text.trim().is_empty());
    Ok(text.map(|text| {
        let document = Document {
            pages: vec![Page {
                number: 1,
                text: text.to_owned(),
            }],
        };
        Source {
            document_id: None,
            name: "given text".into(),
            passages: document.passages(),
        }
    }))
}

/// Answers by the model where there is one and it answers, else from the document alone.
pub(super) async fn answer(
    question: &str,
    said: &[Said],
    source: &Option<Source>,
) -> Result<Answer, Problem> {
    let shown = source
        .as_ref()
        .map(|source| best(question, &source.passages))
        .unwrap_or_default();
    match by_model(question, said, source, &shown).await {
        Ok(answer) => Ok(answer),
        Err(error) => {
            if !matches!(error, llm::Error::NotConfigured) {
                log::warn(&format!(
                    "the language model gave no answer ({error}); it is quoted"
                ));
            }
            Ok(quoted(question, source))
        }
    }
}

/// The passages that speak of the question, and their neighbours where there is room, in the
/// document's order.
fn best(question: &str, passages: &[Passage]) -> Vec<Passage> {
    let hits = Index::new(passages, question).search(SHOWN / 2);
    let mut chosen: Vec<usize> = Vec::new();
    for at in hits
        .iter()
        .map(|hit| hit.passage)
        .chain(hits.iter().map(|hit| hit.passage + 1))
    {
        if at < passages.len() && !chosen.contains(&at) && chosen.len() < SHOWN {
            chosen.push(at);
        }
    }
    chosen.sort_unstable();
    chosen.into_iter().map(|at| passages[at].clone()).collect()
}

async fn by_model(
    question: &str,
    said: &[Said],
    source: &Option<Source>,
    shown: &[Passage],
) -> Result<Answer, llm::Error> {
    let nonce = Uuid::new_v4().simple().to_string();
    let mut messages = vec![message(llm::Role::System, prompt::system(shown, &nonce))];
    messages.extend(prompt::history(said).iter().map(|said| {
        let role = if said.by == Speaker::User {
            llm::Role::User
        } else {
            llm::Role::Assistant
        };
        message(role, said.content.clone())
    }));
    messages.push(message(llm::Role::User, question.to_owned()));
    let request = llm::Request {
        messages,
        max_tokens: None,
        temperature: Some(0.2),
        schema: None,
    };
    let answer = llm::ask(request).await?;
    if answer.text.trim().is_empty() {
        return Err(llm::Error::Unavailable);
    }
    let (text, named) = citation::marks(&answer.text, shown.len());
    let text = prompt::shown(&text, matches!(answer.finish, llm::FinishReason::Length));
    if text.is_empty() {
        return Err(llm::Error::Unavailable);
    }
    let quotes = citation::behind(&text, &named, shown);
    let document_id = source
        .as_ref()
        .and_then(|source| source.document_id.as_deref());
    Ok(Answer {
        text,
        engine: answer.model,
        citations: citation::of(document_id, quotes),
    })
}

fn message(role: llm::Role, content: String) -> llm::Message {
    llm::Message { role, content }
}

fn quoted(question: &str, source: &Option<Source>) -> Answer {
    let engine = llm::LOCAL_ENGINE.to_owned();
    let Some(source) = source else {
        return Answer {
            text: prompt::NO_MODEL.to_owned(),
            engine,
            citations: vec![],
        };
    };
    let document_id = source.document_id.as_deref();
    match corpus::answer::answer(question, &source.passages) {
        Some(quotes) => {
            let text = prompt::quoted(&quotes, document_id.is_some());
            Answer {
                text,
                engine,
                citations: citation::of(document_id, quotes),
            }
        }
        None => Answer {
            text: prompt::not_found(&source.name),
            engine,
            citations: vec![],
        },
    }
}
