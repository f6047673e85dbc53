//! The contract's routes, and ours.

use axum::Json;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use guest::idempotency::{Claim, Key, fingerprint, once};
use guest::identity::User;
use guest::openapi::Error;
use guest::page::Page;
use guest::uuid::Uuid;
use guest::{Caller, Path, Problem, Query, Router, health, postgres, quota, routes, timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::openapi::{Analytics, History, Quiz, Quizzes, Submission};
use super::{analytics, cards, generate, marking, review, store, submissions};
use crate::grade::Mark;
use crate::request::{Generate, Order, Submit, warnings};

pub(super) fn router() -> Router {
    Router::new()
        .routes(routes!(create))
        .routes(routes!(submit))
        .routes(routes!(history))
        .routes(routes!(analytics))
        .routes(routes!(submission))
        .routes(routes!(mark))
        .routes(routes!(quiz))
        .routes(routes!(quizzes))
        .routes(routes!(review::due))
        .routes(routes!(review::answer))
        .routes(routes!(review::export))
        .route("/health", get(|| health::check("quiz")))
}

#[derive(Deserialize, IntoParams)]
pub(super) struct ByUser {
    /// Whose; the token's subject when absent.
    #[param(nullable = false)]
    pub(super) user_id: Option<String>,
}

/// Makes a quiz from documents.
#[utoipa::path(
    post,
    path = "/quiz/generate",
    params(Key),
    responses(
        (status = 201, description = "The quiz, without its key", body = Quiz, headers(("Location" = String, description = "Where the quiz is"))),
        (status = 404, description = "`DOCUMENT_NOT_FOUND`", body = Error),
        (status = 409, description = "`DOCUMENT_PROCESSING`, `IDEMPOTENCY_KEY_IN_USE`", body = Error),
        (status = 422, description = "`NOT_ENOUGH_MATERIAL`, `DOCUMENT_UNREADABLE`, `IDEMPOTENCY_KEY_REUSED`", body = Error),
    ),
)]
async fn create(
    caller: Caller,
    key: Key,
    guest::Json(request): guest::Json<Generate>,
) -> Result<Response, Problem> {
    let order = request.check()?;
    let user = caller.acts_as(request.user_id.as_deref())?;
    let said = json!([
        order.documents,
        order.count,
        order.difficulty,
        order.quiz_type
    ]);
    let print = fingerprint(&[said.to_string().as_bytes()]);
    once(key, &user, "/quiz/generate", &print, async |claim| {
        created(order, &user, claim).await
    })
    .await
}

async fn created(order: Order, user: &User, claim: &Claim) -> Result<Response, Problem> {
    quota::check(quota::Kind::LlmTokens, 1).await?;
    let quiz = generate::quiz(Uuid::new_v4().to_string(), order, &user.into()).await?;
    let questions: Vec<_> = quiz
        .questions
        .iter()
        .enumerate()
        .map(|(at, (question, _))| question.public(at))
        .collect();
    let body = json!({
        "quiz_id": quiz.id,
        "document_id": quiz.order.documents.first(),
        "document_ids": quiz.order.documents,
        "questions": questions,
        "total_questions": questions.len(),
        "requested": quiz.order.count,
        "warnings": warnings(questions.len(), quiz.order.count),
        "created_at": timestamp::now(),
        "engine": quiz.engine,
        "difficulty": quiz.order.difficulty,
        "quiz_type": quiz.order.quiz_type,
    });
    let tx = postgres::begin().await?;
    store::insert(&tx, &quiz, user, None).await?;
    let location = format!("/quiz/{}", quiz.id);
    let response = claim
        .answer_in(&tx, StatusCode::CREATED, Some(&location), &body)
        .await?;
    postgres::commit(tx).await?;
    Ok(response)
}

/// A quiz, without its key.
#[utoipa::path(
    get,
    path = "/quiz/{id}",
    params(ByUser),
    responses(
        (status = 200, description = "The quiz", body = Quiz),
        (status = 404, description = "`QUIZ_NOT_FOUND`", body = Error),
    ),
)]
async fn quiz(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
) -> Result<Json<Value>, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    store::public(&id, &owner).await.map(Json)
}

/// A user's quizzes, newest first.
#[utoipa::path(
    get,
    path = "/quizzes",
    params(ByUser, Page),
    responses((status = 200, description = "The quizzes", body = Quizzes)),
)]
async fn quizzes(
    caller: Caller,
    Query(by): Query<ByUser>,
    page: Page,
) -> Result<Response, Problem> {
    let owner = caller.acts_as(by.user_id.as_deref())?.into();
    Ok(page.answer("quizzes", store::list(&owner, &page).await?))
}

/// Has answers marked.
///
/// Short answers earn part of a point by meaning; one that nobody can judge for sure says `needs_review`.
#[utoipa::path(
    post,
    path = "/quiz/submit",
    params(Key),
    responses(
        (status = 201, description = "What the answers are worth, and the key", body = Submission, headers(("Location" = String, description = "Where the submission is"))),
        (status = 404, description = "`QUIZ_NOT_FOUND`", body = Error),
        (status = 409, description = "`IDEMPOTENCY_KEY_IN_USE`", body = Error),
        (status = 422, description = "`IDEMPOTENCY_KEY_REUSED`", body = Error),
    ),
)]
async fn submit(
    caller: Caller,
    key: Key,
    guest::Json(request): guest::Json<Submit>,
) -> Result<Response, Problem> {
    // Without a `user_id` in development mode, the quiz's own owner submits.
    let owner = caller.sees(request.user_id.as_deref())?;
    let quiz = store::keyed(&request.quiz_id, &owner).await?;
    let ids: Vec<String> = quiz.questions.iter().map(store::Keyed::id).collect();
    request.check(&ids)?;
    let said = json!([request.quiz_id, request.answers]).to_string();
    let print = fingerprint(&[said.as_bytes()]);
    once(key, &quiz.user, "/quiz/submit", &print, async |claim| {
        submitted(&quiz, &request.answers, claim).await
    })
    .await
}

async fn submitted(
    quiz: &store::KeyedQuiz,
    answers: &Map<String, Value>,
    claim: &Claim,
) -> Result<Response, Problem> {
    let given: Vec<_> = quiz
        .questions
        .iter()
        .map(|question| (&question.asked, answers.get(&question.id())))
        .collect();
    let marks = marking::marks(&given).await;
    let tx = postgres::begin().await?;
    let submission = submissions::Submission {
        id: Uuid::new_v4().to_string(),
        quiz,
        answers,
        marks,
        submitted_at: timestamp::now(),
        attempt: submissions::attempt(&tx, &quiz.id).await?,
    };
    let body = submission.body();
    submissions::insert(&tx, &submission, &body).await?;
    if submission.counts() {
        cards::learn(&tx, &submission).await?;
    }
    let location = format!("/quiz/submissions/{}", submission.id);
    let response = claim
        .answer_in(&tx, StatusCode::CREATED, Some(&location), &body)
        .await?;
    postgres::commit(tx).await?;
    Ok(response)
}

/// A user's submissions, newest first.
#[utoipa::path(
    get,
    path = "/quiz/history",
    params(ByUser, Page),
    responses((status = 200, description = "The submissions", body = History)),
)]
async fn history(
    caller: Caller,
    Query(by): Query<ByUser>,
    page: Page,
) -> Result<Response, Problem> {
    let user = caller.acts_as(by.user_id.as_deref())?;
    Ok(page.answer("quizzes", submissions::history(&user, &page).await?))
}

/// A submission, as it is marked now.
#[utoipa::path(
    get,
    path = "/quiz/submissions/{id}",
    params(ByUser),
    responses(
        (status = 200, description = "The submission", body = Submission),
        (status = 404, description = "`SUBMISSION_NOT_FOUND`", body = Error),
    ),
)]
async fn submission(
    caller: Caller,
    Path(id): Path<String>,
    Query(by): Query<ByUser>,
) -> Result<Json<Value>, Problem> {
    let owner = caller.sees(by.user_id.as_deref())?;
    submissions::find(&id, &owner).await.map(Json)
}

/// Points for answers that wait for a person, by question.
#[derive(Deserialize, ToSchema)]
struct Marks {
    /// Whose; the token's subject when absent.
    user_id: Option<String>,
    /// 0 to 1, by question.
    #[schema(value_type = std::collections::BTreeMap<String, f64>)]
    marks: Map<String, Value>,
}

/// Marks answers that wait for a person.
///
/// An administrator does; in development mode, whoever asks.
#[utoipa::path(
    post,
    path = "/quiz/submissions/{id}/marks",
    params(Key),
    responses(
        (status = 200, description = "The submission, as it is marked now", body = Submission),
        (status = 403, description = "`FORBIDDEN`", body = Error),
        (status = 404, description = "`SUBMISSION_NOT_FOUND`", body = Error),
        (status = 409, description = "`ALREADY_MARKED`, `IDEMPOTENCY_KEY_IN_USE`", body = Error),
        (status = 422, description = "`IDEMPOTENCY_KEY_REUSED`", body = Error),
    ),
)]
async fn mark(
    caller: Caller,
    Path(id): Path<String>,
    key: Key,
    guest::Json(request): guest::Json<Marks>,
) -> Result<Response, Problem> {
    let owner = caller.sees(request.user_id.as_deref())?;
    let user = caller.acts_as(request.user_id.as_deref())?;
    if caller.user.is_some() && !caller.admin {
        return Err(Problem::forbidden("an administrator gives marks"));
    }
    let print = fingerprint(&[json!([id, request.marks]).to_string().as_bytes()]);
    let mut marks = Vec::new();
    for (question, points) in request.marks {
        let points = points
            .as_f64()
            .filter(|points| (0.0..=1.0).contains(points));
        let why = || Problem::validation("each of `marks` is a number from 0 to 1");
        marks.push((question, Mark::of(points.ok_or_else(why)?)));
    }
    let route = "/quiz/submissions/{id}/marks";
    once(key, &user, route, &print, async |claim| {
        submissions::mark(&id, &owner, &marks, claim).await
    })
    .await
}

#[derive(Deserialize, IntoParams)]
struct About {
    /// Whose; the token's subject when absent.
    #[param(nullable = false)]
    user_id: Option<String>,
    /// Of answers about that document alone.
    #[param(nullable = false)]
    document_id: Option<String>,
}

/// What a user knows: by document, topic, kind, difficulty and day.
#[utoipa::path(
    get,
    path = "/quiz/analytics",
    params(About),
    responses((status = 200, description = "Answers that are marked, in groups", body = Analytics)),
)]
async fn analytics(caller: Caller, Query(about): Query<About>) -> Result<Json<Value>, Problem> {
    let user = caller.acts_as(about.user_id.as_deref())?;
    let document = about.document_id.as_deref();
    analytics::of(&user, document).await.map(Json)
}
