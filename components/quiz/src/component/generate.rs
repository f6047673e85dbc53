//! A quiz from a document: by the language model where there is one, topped up from the document.

use corpus::Passage;
use guest::shelf::{self, Shelved};
use guest::uuid::Uuid;
use guest::{Problem, llm, log};
use serde_json::json;

use crate::compose::{Wanted, compose};
use crate::question::{Difficulty, Kind, Question};
use crate::reply;

/// What a model is shown of a document, in characters.
const EXCERPT: usize = 20_000;

/// A quiz that is not stored yet.
pub(super) struct Quiz {
    pub(super) id: String,
    pub(super) document_id: String,
    pub(super) kind: Kind,
    pub(super) difficulty: Difficulty,
    pub(super) questions: Vec<Question>,
    pub(super) engine: String,
}

pub(super) async fn quiz(
    id: Uuid,
    document: &Shelved,
    kind: Kind,
    difficulty: Difficulty,
    count: usize,
) -> Result<Quiz, Problem> {
    let passages = shelf::read(&document.document_id).await?;
    let wanted = Wanted {
        kind,
        difficulty,
        count,
        seed: id.as_u64_pair().1,
    };
    let (candidates, model) = by_model(&wanted, &passages).await;
    let offered = candidates.clone();
    let questions = compose(&wanted, &passages, &document.terms, candidates);
    if questions.is_empty() {
        return Err(Problem::unprocessable(
            "NOT_ENOUGH_MATERIAL",
            "the document has too little text to ask about",
        ));
    }
    let by_model = questions
        .iter()
        .filter(|question| offered.iter().any(|other| other.stem == question.stem))
        .count();
    Ok(Quiz {
        id: id.to_string(),
        document_id: document.document_id.clone(),
        kind,
        difficulty,
        engine: engine(model, by_model, questions.len()),
        questions,
    })
}

/// Who wrote the questions, honestly.
fn engine(model: Option<String>, by_model: usize, all: usize) -> String {
    match model {
        Some(model) if by_model == all => model,
        Some(model) if by_model > 0 => format!("{model}, {}", llm::LOCAL_ENGINE),
        _ => llm::LOCAL_ENGINE.to_owned(),
    }
}

async fn by_model(wanted: &Wanted, passages: &[Passage]) -> (Vec<Question>, Option<String>) {
    let shown = excerpt(passages);
    let nonce = Uuid::new_v4().simple().to_string();
    let (system, user) =
        reply::prompt(wanted.kind, wanted.difficulty, wanted.count, &shown, &nonce);
    let message = |role, content| llm::Message { role, content };
    let schema = reply::schema(wanted.kind, wanted.count).to_string();
    let request = llm::Request {
        messages: vec![
            message(llm::Role::System, system),
            message(llm::Role::User, user),
        ],
        max_tokens: None,
        temperature: Some(0.4),
        schema: Some(llm::AnswerSchema {
            name: "quiz".into(),
            schema,
        }),
    };
    match llm::ask(request).await {
        Ok(answer) => {
            let questions = reply::questions(&answer.text, wanted.kind, &shown);
            log::info(&json!({ "asked": wanted.count, "understood": questions.len() }).to_string());
            (questions, Some(answer.model))
        }
        Err(llm::Error::NotConfigured) => (vec![], None),
        Err(error) => {
            log::warn(&format!(
                "the language model wrote no quiz ({error}); it is made from the document"
            ));
            (vec![], None)
        }
    }
}

/// Passages from all over the document, as many as a model is shown.
fn excerpt(passages: &[Passage]) -> Vec<Passage> {
    let all: usize = passages.iter().map(|passage| passage.text.len()).sum();
    let step = all.div_ceil(EXCERPT).max(1);
    passages.iter().step_by(step).cloned().collect()
}
