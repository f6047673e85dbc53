//! Spaced review: which cards are due, how well they were known, and all of them for elsewhere.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use guest::idempotency::{Claim, Key, fingerprint, once};
use guest::openapi::Error;
use guest::page::Page;
use guest::{Caller, Problem, Query, postgres, timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::cards::{self, Card};
use super::http::ByUser;
use super::marking;
use super::openapi::{Cards, Due, Reviewed};
use crate::anki;
use crate::memory::Rating;
use crate::request::Answer;

#[derive(Deserialize, IntoParams)]
pub(super) struct Export {
    /// Whose; the token's subject when absent.
    #[param(nullable = false)]
    user_id: Option<String>,
    /// `anki` when absent.
    #[param(nullable = false, pattern = "^(anki|json)$")]
    format: Option<String>,
}

/// Cards that are due, the most urgent first.
#[utoipa::path(
    get,
    path = "/review/due",
    params(ByUser, Page),
    responses((status = 200, description = "The cards", body = Due)),
)]
pub(super) async fn due(
    caller: Caller,
    Query(by): Query<ByUser>,
    page: Page,
) -> Result<Response, Problem> {
    let owner = caller.acts_as(by.user_id.as_deref())?.into();
    let (count, cards) = cards::due(&owner, &page).await?;
    let now = timestamp::microseconds();
    let shown = cards.into_iter().map(|(cursor, card)| {
        let mut body = card.body();
        body["intervals"] = cards::intervals(&card.memory, now);
        (cursor, body)
    });
    let body = json!({ "due_count": count });
    Ok(page.answer_with(body, "cards", shown.collect()))
}

/// Says how well a card was known, or what was answered.
#[utoipa::path(
    post,
    path = "/review/answer",
    params(Key),
    responses(
        (status = 200, description = "When it comes again", body = Reviewed),
        (status = 404, description = "`CARD_NOT_FOUND`", body = Error),
        (status = 409, description = "`IDEMPOTENCY_KEY_IN_USE`", body = Error),
        (status = 422, description = "`IDEMPOTENCY_KEY_REUSED`", body = Error),
    ),
)]
pub(super) async fn answer(
    caller: Caller,
    key: Key,
    guest::Json(request): guest::Json<Answer>,
) -> Result<Response, Problem> {
    request.check()?;
    let owner = caller.sees(request.user_id.as_deref())?;
    let card = cards::find(&request.card_id, &owner).await?;
    let said = json!([request.card_id, request.rating, request.answer]).to_string();
    let print = fingerprint(&[said.as_bytes()]);
    once(key, &card.user, "/review/answer", &print, async |claim| {
        answered(&card, &request, claim).await
    })
    .await
}

async fn answered(card: &Card, request: &Answer, claim: &Claim) -> Result<Response, Problem> {
    let mut body = json!({
        "card_id": card.id,
        "correct_answer": card.asked.answer,
        "explanation": card.explanation,
        "source": card.source,
    });
    let rating = match (&request.rating, &request.answer) {
        (Some(rating), _) => Some(*rating),
        (None, given) => graded(card, given.as_ref(), &mut body).await,
    };
    let tx = postgres::begin().await?;
    // Where nobody can say what the answer is worth, nothing is learnt from it: the learner may rate it.
    let memory = match rating {
        Some(rating) => cards::review(&tx, &card.id, rating).await?,
        None => {
            cards::hold(&tx, &card.id).await?;
            card.memory.clone()
        }
    };
    body["rating"] = json!(rating);
    body["schedule"] = cards::schedule(&memory);
    body["intervals"] = cards::intervals(&memory, memory.due.max(timestamp::microseconds()));
    let response = claim.answer_in(&tx, StatusCode::OK, None, &body).await?;
    postgres::commit(tx).await?;
    Ok(response)
}

/// What the answer says of the learner's memory.
async fn graded(card: &Card, given: Option<&Value>, body: &mut Value) -> Option<Rating> {
    let marked = marking::marks(&[(&card.asked, given)]).await;
    let marked = marked.into_iter().next()?;
    body["correct"] = json!(marked.mark.is_correct());
    body["points"] = json!(marked.mark.points);
    body["needs_review"] = json!(marked.mark.needs_review);
    body["graded_by"] = json!(marked.by);
    (!marked.mark.needs_review).then(|| Rating::of_points(marked.mark.points))
}

/// All cards to take away, for Anki or as JSON.
#[utoipa::path(
    get,
    path = "/review/export",
    params(Export),
    responses((status = 200, description = "The cards", content((Cards = "application/json"), (String = "text/plain")))),
)]
pub(super) async fn export(
    caller: Caller,
    Query(export): Query<Export>,
) -> Result<Response, Problem> {
    let user = caller.acts_as(export.user_id.as_deref())?;
    match export.format.as_deref().unwrap_or("anki") {
        "anki" => {
            let mut file = anki::HEADER.to_owned();
            cards::each(&user, |card| file.push_str(&anki::line(&note(card)))).await?;
            let headers = [
                (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
                (
                    header::CONTENT_DISPOSITION,
                    "attachment; filename=\"lectern-cards.txt\"",
                ),
            ];
            Ok((headers, file).into_response())
        }
        "json" => {
            let mut all = Vec::new();
            cards::each(&user, |card| all.push(card.body())).await?;
            Ok(Json(json!({ "cards": all })).into_response())
        }
        _ => Err(Problem::validation("`format` is `anki` or `json`")),
    }
}

/// Where there are options, the front has them; the back says why.
fn note(card: &Card) -> anki::Note {
    let asked = &card.asked;
    let options: String = asked
        .options
        .iter()
        .zip('A'..)
        .map(|(option, letter)| format!("\n{letter}) {option}"))
        .collect();
    anki::Note {
        guid: card.id.clone(),
        front: format!("{}{options}", asked.stem),
        back: format!("{}\n\n{}", asked.answer, card.explanation),
        tags: vec!["lectern".into(), card.topic.clone()]
            .into_iter()
            .filter(|tag: &String| !tag.is_empty())
            .collect(),
    }
}
