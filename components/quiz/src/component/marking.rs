//! Marks: by rule where that is sure, by the language model where it is not, by a person where both
//! are not.

use futures::future::join;
use guest::uuid::Uuid;
use guest::{llm, log};
use serde_json::Value;

use super::generate::request;
use crate::grade::{Asked, Mark, Outcome};
use crate::grader::{Item, Opinion, Sheet, schema, settle};

/// A mark and who gave it.
#[derive(Clone)]
pub(super) struct Marked {
    pub(super) mark: Mark,
    /// `local-extractive`, or the model's name.
    pub(super) by: String,
}

/// A mark for each, in their order. All that is unsure goes to the model at once; a model that fails
/// leaves it to a person.
pub(super) async fn marks(answers: &[(&Asked, Option<&Value>)]) -> Vec<Marked> {
    let outcomes = answers.iter().map(|(asked, given)| asked.mark(*given));
    let outcomes: Vec<Outcome> = outcomes.collect();
    let items: Vec<Item> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Unsure(item) => Some(item.clone()),
            Outcome::Marked(_) => None,
        })
        .collect();
    let mut by_model = by_model(&items).await.into_iter();
    let local = |mark| Marked {
        mark,
        by: llm::LOCAL_ENGINE.to_owned(),
    };
    let marked = outcomes.into_iter().map(|outcome| match outcome {
        Outcome::Marked(mark) => local(mark),
        Outcome::Unsure(_) => by_model.next().unwrap_or_else(|| local(Mark::REVIEW)),
    });
    marked.collect()
}

/// Two calls at the same time; none where there is nothing to mark.
async fn by_model(items: &[Item]) -> Vec<Marked> {
    if items.is_empty() {
        return vec![];
    }
    let (first, second) = join(pass(items), pass(items)).await;
    let Some(((first, model), (second, _))) = first.zip(second) else {
        return vec![];
    };
    let opinions = first.iter().zip(&second);
    let settled = items.iter().zip(opinions).map(|(item, (first, second))| {
        let mark = settle(item, first.as_ref(), second.as_ref());
        Marked {
            mark,
            by: model.clone(),
        }
    });
    settled.collect()
}

async fn pass(items: &[Item]) -> Option<(Vec<Option<Opinion>>, String)> {
    let sheet = Sheet::new(items.len(), &Uuid::new_v4().simple().to_string());
    let (system, user) = sheet.prompt(items);
    let schema = llm::AnswerSchema {
        name: "grades".into(),
        schema: schema().to_string(),
    };
    match llm::ask(request(system, user, 0.0, schema)).await {
        Ok(answer) => Some((sheet.opinions(&answer.text, items.len()), answer.model)),
        Err(llm::Error::NotConfigured) => None,
        Err(error) => {
            log::warn(&format!(
                "the language model marked nothing ({error}); a person has to"
            ));
            None
        }
    }
}
