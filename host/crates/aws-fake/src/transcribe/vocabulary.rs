//! Custom vocabularies, which take a while to be ready.
//! <https://docs.aws.amazon.com/transcribe/latest/dg/custom-vocabulary-create-list.html>

use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{bad, check_language, check_name};
use crate::knobs::{Clock, Stage};
use crate::refusal::Refusal;
use crate::{World, locked, serve};

/// Bytes of all phrases.
const MAX_SIZE: usize = 50 << 10;

pub(super) struct Vocabulary {
    language: String,
    valid: bool,
    clock: Clock,
    stage: Stage,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    vocabulary_name: String,
    language_code: String,
    #[serde(default)]
    phrases: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    vocabulary_name: String,
}

impl Vocabulary {
    fn look(&mut self, world: &World) {
        if self.stage != Stage::Ended {
            self.stage = self.clock.look(world.knobs.settings().pace);
        }
    }

    fn state(&self) -> &'static str {
        match (self.stage, self.valid) {
            (Stage::Ended, true) => "READY",
            (Stage::Ended, false) => "FAILED",
            _ => "PENDING",
        }
    }

    fn json(&self, name: &str) -> Value {
        let failed = self.state() == "FAILED";
        let reason = "The vocabulary that you're trying to create contains invalid characters or \
                      incorrectly formatted terms. See the developer guide for more information.";
        json!({
            "VocabularyName": name,
            "LanguageCode": self.language,
            "VocabularyState": self.state(),
            "FailureReason": failed.then_some(reason),
        })
    }
}

/// Words are joined by hyphens; digits and blanks are none of theirs.
fn is_valid(phrase: &str) -> bool {
    let fine = |c: char| c.is_alphabetic() || "-.'".contains(c);
    phrase.starts_with(char::is_alphabetic) && !phrase.ends_with('-') && phrase.chars().all(fine)
}

pub(crate) fn create(world: &World, body: &[u8]) -> Result<Response, Refusal> {
    let request: Create = serve::parsed(body)?;
    check_name(&request.vocabulary_name, "vocabularyName")?;
    check_language(&request.language_code)?;
    let size: usize = request.phrases.iter().map(String::len).sum();
    let too_long = request.phrases.iter().any(|phrase| phrase.len() > 256);
    if request.phrases.is_empty() || size > MAX_SIZE || too_long {
        return Err(bad("The vocabulary is empty or too large."));
    }
    let vocabularies = &mut locked(&world.transcribe).vocabularies;
    if vocabularies.contains_key(&request.vocabulary_name) {
        let message = "The requested vocabulary name already exists. Use a different name.";
        return Err(Refusal::caller("ConflictException", message));
    }
    let vocabulary = Vocabulary {
        language: request.language_code,
        valid: request.phrases.iter().all(|phrase| is_valid(phrase)),
        clock: Clock::start(),
        stage: Stage::Queued,
    };
    let told = vocabulary.json(&request.vocabulary_name);
    vocabularies.insert(request.vocabulary_name, vocabulary);
    Ok(serve::json(&told))
}

fn not_found() -> Refusal {
    let message = "The requested vocabulary couldn't be found. Check the vocabulary name and try \
                   your request again.";
    Refusal::caller("NotFoundException", message)
}

pub(crate) fn get(world: &World, body: &[u8]) -> Result<Response, Refusal> {
    let named: Named = serve::parsed(body)?;
    let vocabularies = &mut locked(&world.transcribe).vocabularies;
    let vocabulary = vocabularies.get_mut(&named.vocabulary_name);
    let vocabulary = vocabulary.ok_or_else(not_found)?;
    vocabulary.look(world);
    Ok(serve::json(&vocabulary.json(&named.vocabulary_name)))
}

pub(crate) fn delete(world: &World, body: &[u8]) -> Result<Response, Refusal> {
    let named: Named = serve::parsed(body)?;
    let vocabularies = &mut locked(&world.transcribe).vocabularies;
    let vocabulary = vocabularies.get_mut(&named.vocabulary_name);
    let vocabulary = vocabulary.ok_or_else(not_found)?;
    vocabulary.look(world);
    if vocabulary.state() == "PENDING" {
        return Err(bad("The requested vocabulary couldn't be deleted."));
    }
    vocabularies.remove(&named.vocabulary_name);
    Ok(serve::json(&json!({})))
}

/// Whether a job in that language may use it.
pub(super) fn check_ready(
    vocabulary: Option<&Vocabulary>,
    language: Option<&str>,
) -> Result<(), Refusal> {
    match vocabulary {
        Some(ready) if ready.state() == "READY" => {
            if language == Some(ready.language.as_str()) {
                Ok(())
            } else {
                Err(bad("The vocabulary is of another language."))
            }
        }
        _ => Err(bad(
            "The requested vocabulary couldn't be found or isn't ready.",
        )),
    }
}
