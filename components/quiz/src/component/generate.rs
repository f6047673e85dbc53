//! A quiz from documents: by the language model where there is one, topped up from the documents.

use std::collections::HashMap;

use guest::identity::Owner;
use guest::shelf;
use guest::uuid::Uuid;
use guest::{Problem, llm, log, timestamp};
use serde_json::json;

use crate::asking::{Call, Writer, ask_for_all};
use crate::compose::{Wanted, compose};
use crate::question::{Difficulty, Question};
use crate::reply;
use crate::request::Order;
use crate::text::{Text, topic};

/// What is held of all documents, in bytes: as much as the largest one has.
const HELD: usize = 12 << 20;

/// A quiz that is not stored yet.
pub(super) struct Quiz {
    pub(super) id: String,
    pub(super) order: Order,
    /// Each with the term that it is about.
    pub(super) questions: Vec<(Question, String)>,
    pub(super) engine: String,
}

/// The quiz with that id, of documents that the owner has.
pub(super) async fn quiz(id: String, order: Order, owner: &Owner) -> Result<Quiz, Problem> {
    let texts = texts(&order, owner).await?;
    let wanted = Wanted {
        quiz_type: order.quiz_type,
        difficulty: order.difficulty,
        count: order.count,
        seed: Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes())
            .as_u64_pair()
            .1,
    };
    let (candidates, model) = ask_for_all(&wanted, &texts, Model(wanted.difficulty)).await;
    let offered = candidates.clone();
    let questions = compose(&wanted, &texts, candidates);
    if questions.is_empty() {
        return Err(Problem::unprocessable(
            "NOT_ENOUGH_MATERIAL",
            "the documents have too little text to ask about",
        ));
    }
    let by_model = questions
        .iter()
        .filter(|question| offered.iter().any(|other| other.stem == question.stem))
        .count();
    Ok(Quiz {
        id,
        order,
        engine: engine(model, by_model, questions.len()),
        questions: with_topics(questions, &texts),
    })
}

async fn texts(order: &Order, owner: &Owner) -> Result<Vec<Text>, Problem> {
    let mut texts = Vec::new();
    for id in &order.documents {
        let document = shelf::find(id, owner).await?;
        let text = Text {
            passages: shelf::read(id).await?,
            document_id: document.document_id,
            terms: document.terms,
        };
        texts.push(text.thinned(HELD / order.documents.len().max(1)));
    }
    Ok(texts)
}

fn with_topics(questions: Vec<Question>, texts: &[Text]) -> Vec<(Question, String)> {
    let topics: HashMap<&str, Vec<String>> = texts
        .iter()
        .map(|text| (text.document_id.as_str(), text.topics()))
        .collect();
    let about = |question: Question| {
        let topics = topics.get(question.source.document_id.as_str());
        let about = topic(&question, topics.map_or(&[], Vec::as_slice));
        (question, about)
    };
    questions.into_iter().map(about).collect()
}

/// Who wrote the questions, honestly.
fn engine(model: Option<String>, by_model: usize, all: usize) -> String {
    match model {
        Some(model) if by_model == all => model,
        Some(model) if by_model > 0 => format!("{model}, {}", llm::LOCAL_ENGINE),
        _ => llm::LOCAL_ENGINE.to_owned(),
    }
}

/// The language model, asked for questions of that difficulty.
struct Model(Difficulty);

impl Writer for Model {
    fn now(&self) -> i64 {
        timestamp::microseconds()
    }

    async fn ask(&mut self, call: Call<'_>) -> Option<(Vec<Question>, String)> {
        let Call {
            kind, count, shown, ..
        } = call;
        let asked = call.found.iter().map(|question| question.stem.clone());
        let asked: Vec<String> = asked.collect();
        let order = reply::Order {
            kind,
            difficulty: self.0,
            count,
            asked: &asked,
        };
        let nonce = Uuid::new_v4().simple().to_string();
        let (system, user) = reply::prompt(&order, shown, &nonce);
        let schema = llm::AnswerSchema {
            name: "quiz".into(),
            schema: reply::schema(kind, count).to_string(),
        };
        match llm::ask(request(system, user, 0.4, schema)).await {
            Ok(answer) => {
                let questions = reply::questions(&answer.text, kind, shown);
                log::info(&json!({ "asked": count, "understood": questions.len() }).to_string());
                Some((questions, answer.model))
            }
            Err(llm::Error::NotConfigured) => None,
            Err(error) => {
                log::warn(&format!(
                    "the language model wrote no quiz ({error}); it is made from the document"
                ));
                None
            }
        }
    }
}

/// A request with instructions, data, and the reply's schema.
pub(super) fn request(
    system: String,
    user: String,
    temperature: f32,
    schema: llm::AnswerSchema,
) -> llm::Request {
    let message = |role, content| llm::Message { role, content };
    llm::Request {
        messages: vec![
            message(llm::Role::System, system),
            message(llm::Role::User, user),
        ],
        max_tokens: None,
        temperature: Some(temperature),
        schema: Some(schema),
    }
}
