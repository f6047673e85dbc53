//! `POST /quiz/generate` and `POST /quiz/submit`: what they say, checked.

use guest::Problem;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::question::{Difficulty, Kind};

/// Questions of a quiz at most.
pub const MAX_QUESTIONS: u32 = 50;
const DEFAULT_QUESTIONS: u32 = 10;

/// The contract's body. Unknown members are ignored.
#[derive(Debug, Deserialize)]
pub struct Generate {
    /// A document of the learner's.
    pub document_id: String,
    /// See `guest::identity`.
    pub user_id: Option<String>,
    /// 1 to 50; 10 when absent.
    pub num_questions: Option<u32>,
    /// `easy`, `medium`, `hard`; `medium` when absent.
    pub difficulty: Option<Difficulty>,
    /// `multiple_choice` or `true_false`; the first when absent.
    pub quiz_type: Option<String>,
}

/// The contract's body. Unknown members are ignored.
#[derive(Debug, Deserialize)]
pub struct Submit {
    /// A quiz of the learner's.
    pub quiz_id: String,
    /// See `guest::identity`.
    pub user_id: Option<String>,
    /// By question id; what is missing is wrong.
    pub answers: Map<String, Value>,
}

impl Generate {
    /// How many questions of which kind.
    pub fn check(&self) -> Result<(usize, Kind), Problem> {
        let count = self.num_questions.unwrap_or(DEFAULT_QUESTIONS);
        if !(1..=MAX_QUESTIONS).contains(&count) {
            return Err(Problem::validation(format!(
                "`num_questions` is from 1 to {MAX_QUESTIONS}"
            )));
        }
        if self.document_id.is_empty()
            || self.document_id.len() > 255
            || self.document_id.contains('\0')
        {
            return Err(Problem::validation("`document_id` has 1 to 255 bytes"));
        }
        let word = self.quiz_type.as_deref().unwrap_or("multiple_choice");
        let kind = Kind::parse(word).ok_or_else(|| {
            Problem::validation("`quiz_type` is `multiple_choice` or `true_false` in this version")
        })?;
        Ok((count as usize, kind))
    }
}

impl Submit {
    /// Refuses an answer to a question that the quiz does not have: a typing mistake would cost
    /// the learner a point without a word.
    pub fn check(&self, known: &[String]) -> Result<(), Problem> {
        match self.answers.keys().find(|id| !known.contains(id)) {
            Some(id) => {
                let id: String = id.chars().take(40).collect();
                Err(Problem::validation(format!(
                    "the quiz has no question `{id}`"
                )))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generate(body: &str) -> Result<(usize, Kind), Problem> {
        serde_json::from_str::<Generate>(body).unwrap().check()
    }

    #[test]
    fn a_request_has_defaults_and_bounds() {
        assert_eq!(
            generate(r#"{"document_id":"d"}"#).unwrap(),
            (10, Kind::MultipleChoice)
        );
        assert_eq!(
            generate(r#"{"document_id":"d","num_questions":3,"quiz_type":"true_false","difficulty":"hard"}"#).unwrap(),
            (3, Kind::TrueFalse)
        );
        for bad in [
            r#"{"document_id":"d","num_questions":0}"#,
            r#"{"document_id":"d","num_questions":51}"#,
            r#"{"document_id":""}"#,
            r#"{"document_id":"d","quiz_type":"short_answer"}"#,
        ] {
            assert_eq!(
                generate(bad).unwrap_err().code(),
                "VALIDATION_ERROR",
                "{bad}"
            );
        }
    }

    #[test]
    fn an_unknown_question_is_refused() {
        let submit: Submit =
            serde_json::from_str(r#"{"quiz_id":"z","answers":{"q1":"A","q9":"B"}}"#).unwrap();
        assert!(submit.check(&["q1".into(), "q2".into()]).is_err());
        assert!(submit.check(&["q1".into(), "q9".into()]).is_ok());
    }
}
