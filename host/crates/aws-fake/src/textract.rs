//! Textract: text of one image at once, and of documents by jobs.
//! <https://docs.aws.amazon.com/textract/latest/dg/API_Reference.html>

mod blocks;
mod image;

use std::collections::HashMap;

use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::knobs::{Clock, Stage};
use crate::refusal::Refusal;
use crate::{Object, World, locked, serve};

#[derive(Default)]
pub(crate) struct Jobs {
    jobs: HashMap<String, Job>,
    /// Which job a token has started, and where that document was.
    tokens: HashMap<String, (String, String)>,
}

struct Job {
    pages: Vec<Vec<String>>,
    clock: Clock,
    stage: Stage,
    failure: Option<String>,
    spoiled: Vec<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Location {
    bucket: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    bytes: Option<String>,
    #[serde(rename = "S3Object")]
    object: Option<Location>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Detect {
    document: Document,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Start {
    document_location: Document,
    client_request_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Get {
    job_id: String,
    max_results: Option<usize>,
    next_token: Option<String>,
}

fn invalid(message: &str) -> Refusal {
    Refusal::caller("InvalidParameterException", message)
}

fn no_object() -> Refusal {
    let message = "Unable to get object metadata from S3. Check object key, region and/or access \
                   permissions.";
    Refusal::caller("InvalidS3ObjectException", message)
}

impl Location {
    fn uri(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.name)
    }
}

pub(crate) fn detect(world: &World, body: &[u8]) -> Result<Response, Refusal> {
    let request: Detect = serve::parsed(body)?;
    let lines = match (request.document.bytes, request.document.object) {
        (Some(bytes), None) => {
            let bytes = BASE64_STANDARD.decode(bytes);
            let bytes = bytes.map_err(|_| invalid("Request has invalid parameters"))?;
            image::check(&bytes)?;
            locked(&world.image).clone()
        }
        (None, Some(at)) => match world.object(&at.uri()) {
            Some(Object::Document(mut pages)) if pages.len() == 1 => pages.remove(0),
            Some(_) => return Err(image::unsupported()),
            None => return Err(no_object()),
        },
        _ => return Err(invalid("Request has invalid parameters")),
    };
    let blocks = blocks::page(1, &lines);
    Ok(serve::json(&json!({
        "DocumentMetadata": {"Pages": 1},
        "Blocks": blocks,
        "DetectDocumentTextModelVersion": "1.0",
    })))
}

fn check_token(token: &str) -> Result<(), Refusal> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    if (1..=64).contains(&token.len()) && token.bytes().all(fine) {
        Ok(())
    } else {
        Err(invalid("Request has an invalid ClientRequestToken"))
    }
}

pub(crate) fn start(world: &World, body: &[u8]) -> Result<Response, Refusal> {
    let request: Start = serve::parsed(body)?;
    let at = request.document_location.object;
    let uri = at.ok_or_else(|| invalid("No S3Object"))?.uri();
    let Jobs { jobs, tokens } = &mut *locked(&world.textract);
    if let Some(token) = &request.client_request_token {
        check_token(token)?;
        match tokens.get(token) {
            Some((id, same)) if *same == uri => return Ok(serve::json(&json!({"JobId": id}))),
            Some(_) => {
                let message = "The token was used with other parameters";
                let code = "IdempotentParameterMismatchException";
                return Err(Refusal::caller(code, message));
            }
            None => {}
        }
    }
    let pages = match world.object(&uri) {
        Some(Object::Document(pages)) => pages,
        Some(_) => return Err(image::unsupported()),
        None => return Err(no_object()),
    };
    let id = uuid::Uuid::new_v4().simple().to_string().repeat(2);
    let job = Job {
        pages,
        clock: Clock::start(),
        stage: Stage::Queued,
        failure: None,
        spoiled: vec![],
    };
    jobs.insert(id.clone(), job);
    if let Some(token) = request.client_request_token {
        tokens.insert(token, (id.clone(), uri));
    }
    Ok(serve::json(&json!({"JobId": id})))
}

impl Job {
    fn look(&mut self, world: &World) {
        let settings = world.knobs.settings();
        if self.stage != Stage::Ended {
            self.stage = self.clock.look(settings.pace);
            self.failure = settings.failure.filter(|_| self.stage == Stage::Ended);
            self.spoiled = settings.spoiled;
        }
    }

    fn status(&self) -> &'static str {
        match (self.stage, &self.failure) {
            (Stage::Ended, Some(_)) => "FAILED",
            (Stage::Ended, None) if !self.spoiled.is_empty() => "PARTIAL_SUCCESS",
            (Stage::Ended, None) => "SUCCEEDED",
            _ => "IN_PROGRESS",
        }
    }

    fn blocks(&self) -> Vec<Value> {
        let numbered = (1..).zip(&self.pages);
        numbered
            .filter(|(number, _)| !self.spoiled.contains(number))
            .flat_map(|(number, lines)| blocks::page(number, lines))
            .collect()
    }

    fn warnings(&self) -> Option<Value> {
        let code = "INTERNAL_ERROR";
        let some = !self.spoiled.is_empty();
        some.then(|| json!([{"ErrorCode": code, "Pages": self.spoiled}]))
    }
}

pub(crate) fn get(world: &World, body: &[u8]) -> Result<Response, Refusal> {
    let request: Get = serve::parsed(body)?;
    let most = request.max_results.unwrap_or(1_000);
    if !(1..=1_000).contains(&most) {
        return Err(invalid("MaxResults is out of range"));
    }
    let from = match &request.next_token {
        None => 0,
        Some(token) => token.parse().map_err(|_| invalid("Invalid NextToken"))?,
    };
    let jobs = &mut locked(&world.textract).jobs;
    let job = jobs.get_mut(&request.job_id).ok_or_else(|| {
        let message = "Request has an invalid job id";
        Refusal::caller("InvalidJobIdException", message)
    })?;
    job.look(world);
    if !matches!(job.status(), "SUCCEEDED" | "PARTIAL_SUCCESS") {
        return Ok(serve::json(&json!({
            "JobStatus": job.status(),
            "StatusMessage": job.failure,
        })));
    }
    let blocks = job.blocks();
    let most = most.min(world.knobs.settings().blocks);
    let part: Vec<_> = blocks.iter().skip(from).take(most).collect();
    let until = from + part.len();
    Ok(serve::json(&json!({
        "JobStatus": job.status(),
        "DocumentMetadata": {"Pages": job.pages.len()},
        "Blocks": part,
        "NextToken": (until < blocks.len()).then(|| until.to_string()),
        "Warnings": job.warnings(),
    })))
}
