//! The contract's routes.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use guest::uuid::Uuid;
use guest::{Caller, Path, Problem, Query, health, shelf, timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{generate, store};
use crate::grade::{grade, score};
use crate::request::{Generate, Submit};

pub(super) fn router() -> Router {
    Router::new()
        .route("/quiz/generate", post(create))
        .route("/quiz/submit", post(submit))
        .route("/quiz/history", get(history))
        .route("/quiz/{id}", get(quiz))
        .route("/health", get(|| health::check("quiz")))
}

#[derive(Deserialize)]
struct ByUser {
    user_id: Option<String>,
}

async fn create(
    caller: Caller,
    guest::Json(request): guest::Json<Generate>,
) -> Result<impl IntoResponse, Problem> {
    let (count, kind) = request.check()?;
    let user = caller.acts_as(request.user_id.as_deref())?;
    let document = shelf::find(&request.document_id, &(&user).into()).await?;
    let id = Uuid::new_v4();
    let quiz = generate::quiz(
        id,
        &document,
        kind,
        request.difficulty.unwrap_or_default(),
        count,
    )
    .await?;
    store::insert(&quiz, &user).await?;
    let questions: Vec<_> = quiz
        .questions
        .iter()
        .enumerate()
        .map(|(at, question)| question.public(at))
        .collect();
    let body = json!({
        "quiz_id": quiz.id,
        "document_id": quiz.document_id,
        "questions": questions,
        "total_questions": questions.len(),
        "created_at": timestamp::now(),
        "engine": quiz.engine,
    });
    Ok((StatusCode::CREATED, Json(body)))
}

async fn quiz(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
) -> Result<Json<Value>, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    store::public(&id, &owner).await.map(Json)
}

async fn submit(
    caller: Caller,
    guest::Json(request): guest::Json<Submit>,
) -> Result<impl IntoResponse, Problem> {
    // Without a `user_id` in development mode, the quiz's own owner submits.
    let owner = caller.sees(request.user_id.as_deref())?;
    let keyed = store::keyed(&request.quiz_id, &owner).await?;
    let ids: Vec<String> = keyed
        .questions
        .iter()
        .map(|question| question.id.clone())
        .collect();
    request.check(&ids)?;
    let (mut results, mut points) = (Vec::new(), Vec::new());
    for question in &keyed.questions {
        let given = request.answers.get(&question.id);
        let mark = grade(question.kind, &question.options, &question.answer, given);
        points.push(mark.points);
        results.push(json!({
            "question_id": question.id,
            "correct": mark.correct,
            "user_answer": given,
            "correct_answer": question.answer,
            "explanation": question.explanation,
            "source": question.source,
        }));
    }
    let submission = store::Submission {
        id: Uuid::new_v4().to_string(),
        quiz_id: request.quiz_id,
        tenant: owner.tenant,
        user_id: keyed.user_id,
        answers: Value::Object(request.answers),
        score: score(&points),
    };
    store::submit(&submission).await?;
    let body = json!({
        "submission_id": submission.id,
        "quiz_id": submission.quiz_id,
        "score": submission.score,
        "total_questions": results.len(),
        "correct_answers": results.iter().filter(|result| result["correct"] == true).count(),
        "results": results,
        "submitted_at": timestamp::now(),
    });
    Ok((StatusCode::CREATED, Json(body)))
}

async fn history(caller: Caller, Query(by): Query<ByUser>) -> Result<Json<Value>, Problem> {
    let user = caller.acts_as(by.user_id.as_deref())?;
    Ok(Json(json!({ "quizzes": store::history(&user).await? })))
}
