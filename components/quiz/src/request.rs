//! What requests say, checked.

use guest::Problem;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::memory::Rating;
use crate::question::{Difficulty, QuizType};

/// Questions of a quiz at most.
pub const MAX_QUESTIONS: u32 = 50;
const DEFAULT_QUESTIONS: u32 = 10;
/// Documents of a quiz at most.
pub const MAX_DOCUMENTS: usize = 20;
/// Characters of an answer at most.
const MAX_ANSWER: usize = 4_000;

/// Of which documents, and how. Unknown members are ignored.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = QuizOrder)]
pub struct Generate {
    /// A document of the learner's.
    #[schema(min_length = 1, max_length = 255)]
    pub document_id: Option<String>,
    /// Several, instead or besides: each once, at most 20.
    #[serde(default)]
    #[schema(required = false, max_items = 21)]
    pub document_ids: Vec<String>,
    /// Whose; the token's subject when absent.
    pub user_id: Option<String>,
    /// 1 to 50; 10 when absent.
    #[schema(minimum = 1, maximum = 50)]
    pub num_questions: Option<u32>,
    /// `easy`, `medium`, `hard`; `medium` when absent.
    pub difficulty: Option<Difficulty>,
    /// `multiple_choice`, `true_false`, `short_answer` or `mixed`; the first when absent.
    #[schema(pattern = "^(multiple_choice|true_false|short_answer|mixed)$")]
    pub quiz_type: Option<String>,
}

/// What is wanted, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// 1 to 20, each once.
    pub documents: Vec<String>,
    /// 1 to 50.
    pub count: usize,
    /// Of one level.
    pub difficulty: Difficulty,
    /// Of which kinds.
    pub quiz_type: QuizType,
}

/// Answers to a quiz. Unknown members are ignored.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Answers)]
pub struct Submit {
    /// A quiz of the learner's.
    pub quiz_id: String,
    /// Whose; the quiz's own learner when absent.
    pub user_id: Option<String>,
    /// By question id; what is missing is wrong.
    #[schema(value_type = Object)]
    pub answers: Map<String, Value>,
}

/// How well the learner knew the card, or what they answered: one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CardAnswer)]
pub struct Answer {
    /// A card of the learner's.
    pub card_id: String,
    /// Whose; the card's own learner when absent.
    pub user_id: Option<String>,
    /// The learner's own judgement.
    pub rating: Option<Rating>,
    /// To be graded.
    pub answer: Option<Value>,
}

/// What a learner should know of a quiz with so many questions where so many were asked for: empty, or
/// `[{"code": "FEWER_QUESTIONS", "message": …}]`.
pub fn warnings(made: usize, requested: usize) -> Vec<Value> {
    if made >= requested {
        return vec![];
    }
    let message = format!(
        "{made} of {requested} questions could be made: the documents have no more to ask about"
    );
    vec![json!({ "code": "FEWER_QUESTIONS", "message": message })]
}

fn is_id(id: &str) -> bool {
    (1..=255).contains(&id.len()) && !id.chars().any(char::is_control)
}

impl Generate {
    /// What is wanted, where it can be had.
    pub fn check(&self) -> Result<Order, Problem> {
        let count = self.num_questions.unwrap_or(DEFAULT_QUESTIONS);
        if !(1..=MAX_QUESTIONS).contains(&count) {
            return Err(Problem::validation(format!(
                "`num_questions` is from 1 to {MAX_QUESTIONS}"
            )));
        }
        let word = self.quiz_type.as_deref().unwrap_or("multiple_choice");
        let quiz_type = QuizType::parse(word).ok_or_else(|| {
            Problem::validation(
                "`quiz_type` is `multiple_choice`, `true_false`, `short_answer` or `mixed`",
            )
        })?;
        Ok(Order {
            documents: self.documents()?,
            count: count as usize,
            difficulty: self.difficulty.unwrap_or_default(),
            quiz_type,
        })
    }

    /// Each once, in the order they are named.
    fn documents(&self) -> Result<Vec<String>, Problem> {
        let mut documents: Vec<String> = Vec::new();
        for id in self.document_id.iter().chain(&self.document_ids) {
            if !is_id(id) {
                return Err(Problem::validation(
                    "a document's id has 1 to 255 bytes without control characters",
                ));
            }
            if !documents.contains(id) {
                documents.push(id.clone());
            }
            if documents.len() > MAX_DOCUMENTS {
                return Err(Problem::validation(format!(
                    "`document_ids` names {MAX_DOCUMENTS} documents at most"
                )));
            }
        }
        if documents.is_empty() {
            return Err(Problem::validation("`document_id` is missing"));
        }
        Ok(documents)
    }
}

impl Submit {
    /// Refuses a submission that answers nothing, which would only ask for the key, and an answer to a
    /// question that the quiz does not have: a typing mistake would cost the learner a point without a
    /// word.
    pub fn check(&self, known: &[String]) -> Result<(), Problem> {
        if !self.answers.values().any(says_something) {
            let why = "`answers` has no answer: there is nothing to grade";
            return Err(Problem::refused("NO_ANSWERS", why));
        }
        if let Some(id) = self.answers.keys().find(|id| !known.contains(id)) {
            let id: String = id.chars().take(40).collect();
            return Err(Problem::validation(format!(
                "the quiz has no question `{id}`"
            )));
        }
        self.answers.values().try_for_each(is_short)
    }
}

impl Answer {
    /// Refuses an answer that says how it was known in two ways, or in none.
    pub fn check(&self) -> Result<(), Problem> {
        match (&self.rating, &self.answer) {
            (Some(_), None) => Ok(()),
            (None, Some(answer)) => is_short(answer),
            _ => Err(Problem::validation("either `rating` or `answer` is given")),
        }
    }
}

fn says_something(answer: &Value) -> bool {
    match answer {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => items.iter().any(says_something),
        Value::Object(members) => members.values().any(says_something),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn is_short(answer: &Value) -> Result<(), Problem> {
    let length = match answer {
        Value::String(text) => text.chars().count(),
        // Wrong, whatever it says; but it is stored.
        other => other.to_string().len(),
    };
    if length <= MAX_ANSWER {
        Ok(())
    } else {
        let why = format!("an answer has {MAX_ANSWER} characters at most");
        Err(Problem::validation(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generate(body: &str) -> Result<Order, Problem> {
        serde_json::from_str::<Generate>(body).unwrap().check()
    }

    #[test]
    fn a_request_has_defaults_and_bounds() {
        let order = generate(r#"{"document_id":"d"}"#).unwrap();
        assert_eq!(
            (order.count, order.quiz_type),
            (10, QuizType::MultipleChoice)
        );
        let order = generate(
            r#"{"document_id":"d","num_questions":3,"quiz_type":"short_answer","difficulty":"hard"}"#,
        );
        let order = order.unwrap();
        assert_eq!((order.count, order.quiz_type), (3, QuizType::ShortAnswer));
        for bad in [
            r#"{"document_id":"d","num_questions":0}"#,
            r#"{"document_id":"d","num_questions":51}"#,
            r#"{"document_id":""}"#,
            r#"{"document_ids":[]}"#,
            r#"{"document_ids":["a\nb"]}"#,
            r#"{"document_id":"d","quiz_type":"essay"}"#,
        ] {
            let code = generate(bad).unwrap_err();
            assert_eq!(code.code(), "VALIDATION_ERROR", "{bad}");
        }
    }

    #[test]
    fn documents_are_named_once_and_twenty_at_most() {
        let order = generate(r#"{"document_id":"a","document_ids":["b","a","b"]}"#).unwrap();
        assert_eq!(order.documents, ["a", "b"]);
        let ids = |count: usize| {
            let ids: Vec<String> = (0..count).map(|id| format!("\"{id}\"")).collect();
            generate(&format!("{{\"document_ids\":[{}]}}", ids.join(",")))
        };
        assert_eq!(ids(20).unwrap().documents.len(), 20);
        assert!(ids(21).is_err());
    }

    #[test]
    fn an_unknown_question_and_an_essay_are_refused() {
        let submit: Submit =
            serde_json::from_str(r#"{"quiz_id":"z","answers":{"q1":"A","q9":"B"}}"#).unwrap();
        assert!(submit.check(&["q1".into(), "q2".into()]).is_err());
        assert!(submit.check(&["q1".into(), "q9".into()]).is_ok());
        for answer in [Value::from("x".repeat(4_001)), Value::from(vec![1; 4_000])] {
            let answers = Map::from_iter([("q1".to_owned(), answer)]);
            let submit = Submit {
                answers,
                quiz_id: "z".into(),
                user_id: None,
            };
            assert!(submit.check(&["q1".into()]).is_err());
        }
    }

    #[test]
    fn a_submission_that_answers_nothing_is_refused() {
        let check = |answers: &str| {
            let body = format!(r#"{{"quiz_id":"z","answers":{answers}}}"#);
            let submit: Submit = serde_json::from_str(&body).unwrap();
            submit.check(&["q1".into(), "q2".into()])
        };
        for nothing in [
            "{}",
            r#"{"q1":null}"#,
            r#"{"q1":" ","q2":""}"#,
            r#"{"q1":[],"q2":{"a":""}}"#,
            r#"{"q9":""}"#,
        ] {
            assert_eq!(
                check(nothing).unwrap_err().code(),
                "NO_ANSWERS",
                "{nothing}"
            );
        }
        for something in [r#"{"q1":"","q2":"x"}"#, r#"{"q1":false}"#, r#"{"q2":0}"#] {
            assert!(check(something).is_ok(), "{something}");
        }
    }

    #[test]
    fn a_card_is_rated_or_answered() {
        let check = |body: &str| serde_json::from_str::<Answer>(body).unwrap().check();
        assert!(check(r#"{"card_id":"c","rating":"good"}"#).is_ok());
        assert!(check(r#"{"card_id":"c","answer":"x"}"#).is_ok());
        assert!(check(r#"{"card_id":"c"}"#).is_err());
        assert!(check(r#"{"card_id":"c","rating":"easy","answer":"x"}"#).is_err());
    }
}
