//! Transcribe: jobs of transcription and custom vocabularies.
//! <https://docs.aws.amazon.com/transcribe/latest/APIReference/Welcome.html>

mod result;
mod vocabulary;

use std::collections::HashMap;

use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::knobs::{Clock, Stage};
use crate::refusal::Refusal;
use crate::{Object, World, locked, serve};
use vocabulary::Vocabulary;
pub(crate) use vocabulary::{
    create as create_vocabulary, delete as delete_vocabulary, get as get_vocabulary,
};

/// Where transcripts are downloaded: AWS gives a presigned address of a bucket of its own.
pub(crate) const RESULTS: &str = "/results/";
const FORMATS: &[&str] = &["mp3", "mp4", "wav", "flac", "ogg", "amr", "webm", "m4a"];
/// Some of the languages.
const LANGUAGES: &[&str] = &[
    "en-US", "en-GB", "en-AU", "en-IN", "de-DE", "fr-FR", "es-ES", "es-US", "it-IT", "pt-BR",
    "ja-JP", "ko-KR", "zh-CN", "ru-RU", "hi-IN", "ar-SA", "sv-SE",
];
const NOT_FOUND: &str =
    "The requested job couldn't be found. Check the job name and try your request again.";

#[derive(Default)]
pub(crate) struct Jobs {
    jobs: HashMap<String, Job>,
    vocabularies: HashMap<String, Vocabulary>,
}

impl Jobs {
    pub(crate) fn names(&self) -> Vec<String> {
        self.jobs.keys().cloned().collect()
    }

    pub(crate) fn vocabularies(&self) -> Vec<String> {
        self.vocabularies.keys().cloned().collect()
    }
}

struct Job {
    request: Start,
    said: String,
    clock: Clock,
    stage: Stage,
    failure: Option<String>,
    token: String,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Start {
    transcription_job_name: String,
    media: Media,
    media_format: Option<String>,
    language_code: Option<String>,
    #[serde(default)]
    identify_language: bool,
    #[serde(default)]
    language_options: Vec<String>,
    #[serde(default)]
    settings: Settings,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Media {
    media_file_uri: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Settings {
    show_speaker_labels: bool,
    max_speaker_labels: Option<u32>,
    vocabulary_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    transcription_job_name: String,
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::caller("BadRequestException", message)
}

/// What names of jobs and vocabularies are made of.
fn check_name(name: &str, member: &str) -> Result<(), Refusal> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if (1..=200).contains(&name.len()) && name.bytes().all(fine) {
        return Ok(());
    }
    Err(bad(format!(
        "1 validation error detected: Value '{name}' at '{member}' failed to satisfy constraint: \
         Member must satisfy regular expression pattern: ^[0-9a-zA-Z._-]+"
    )))
}

fn check_language(code: &str) -> Result<(), Refusal> {
    if LANGUAGES.contains(&code) {
        return Ok(());
    }
    Err(bad(format!(
        "1 validation error detected: Value '{code}' at 'languageCode' failed to satisfy \
         constraint: Member must satisfy enum value set: [{}]",
        LANGUAGES.join(", ")
    )))
}

impl Start {
    fn check(&self) -> Result<(), Refusal> {
        check_name(&self.transcription_job_name, "transcriptionJobName")?;
        match (&self.language_code, self.identify_language) {
            (Some(code), false) => check_language(code)?,
            (None, true) => {
                for code in &self.language_options {
                    check_language(code)?;
                }
            }
            _ => return Err(bad("Use either LanguageCode or IdentifyLanguage.")),
        }
        if !self.identify_language && !self.language_options.is_empty() {
            return Err(bad("LanguageOptions needs IdentifyLanguage."));
        }
        let format = self.media_format.as_deref();
        if format.is_some_and(|format| !FORMATS.contains(&format)) {
            return Err(bad("The media format isn't supported."));
        }
        let Settings {
            show_speaker_labels: show,
            max_speaker_labels: most,
            ..
        } = self.settings;
        if show != most.is_some() || !(2..=30).contains(&most.unwrap_or(2)) {
            return Err(bad(
                "ShowSpeakerLabels needs MaxSpeakerLabels of 2 to 30, and the other way round.",
            ));
        }
        Ok(())
    }
}

pub(crate) fn start(world: &World, body: &[u8]) -> Result<Response, Refusal> {
    let request: Start = serve::parsed(body)?;
    request.check()?;
    let Jobs { jobs, vocabularies } = &mut *locked(&world.transcribe);
    if jobs.contains_key(&request.transcription_job_name) {
        let message = "The requested job name already exists. Use a different job name.";
        return Err(Refusal::caller("ConflictException", message));
    }
    if let Some(name) = &request.settings.vocabulary_name {
        vocabulary::check_ready(vocabularies.get(name), request.language_code.as_deref())?;
    }
    let Some(Object::Audio(said)) = world.object(&request.media.media_file_uri) else {
        return Err(bad(
            "The S3 URI that you provided can't be accessed. Make sure that you have read \
             permission and try your request again.",
        ));
    };
    let job = Job {
        request,
        said,
        clock: Clock::start(),
        stage: Stage::Queued,
        failure: None,
        token: uuid::Uuid::new_v4().to_string(),
    };
    let told = json!({"TranscriptionJob": job.json(&world.url)});
    jobs.insert(job.request.transcription_job_name.clone(), job);
    Ok(serve::json(&told))
}

impl Job {
    fn look(&mut self, world: &World) {
        let settings = world.knobs.settings();
        if self.stage != Stage::Ended {
            self.stage = self.clock.look(settings.pace);
            self.failure = settings.failure.filter(|_| self.stage == Stage::Ended);
        }
    }

    fn status(&self) -> &'static str {
        match (self.stage, &self.failure) {
            (Stage::Queued, _) => "QUEUED",
            (Stage::Running, _) => "IN_PROGRESS",
            (Stage::Ended, None) => "COMPLETED",
            (Stage::Ended, Some(_)) => "FAILED",
        }
    }

    /// Where the transcript is.
    fn path(&self) -> String {
        let name = &self.request.transcription_job_name;
        format!("{RESULTS}{}/{name}.json", self.token)
    }

    fn json(&self, url: &str) -> Value {
        let completed = self.status() == "COMPLETED";
        let uri = format!("{url}{}?X-Amz-Expires=900", self.path());
        // The first of those that it may be.
        let options = self.request.language_options.first().cloned();
        let found = completed.then(|| options.unwrap_or_else(|| "en-US".to_owned()));
        let language = self.request.language_code.clone().or(found);
        json!({
            "TranscriptionJobName": self.request.transcription_job_name,
            "TranscriptionJobStatus": self.status(),
            "LanguageCode": language,
            "IdentifyLanguage": self.request.identify_language,
            "MediaFormat": self.request.media_format,
            "Media": {"MediaFileUri": self.request.media.media_file_uri},
            "Transcript": completed.then(|| json!({"TranscriptFileUri": uri})),
            "FailureReason": self.failure,
            "CreationTime": 1_767_225_600.5,
        })
    }
}

pub(crate) fn get(world: &World, body: &[u8]) -> Result<Response, Refusal> {
    let named: Named = serve::parsed(body)?;
    let jobs = &mut locked(&world.transcribe).jobs;
    // Documented as NotFoundException; what AWS sends is this.
    let job = jobs.get_mut(&named.transcription_job_name);
    let job = job.ok_or_else(|| bad(NOT_FOUND))?;
    job.look(world);
    let told = json!({"TranscriptionJob": job.json(&world.url)});
    Ok(serve::json(&told))
}

pub(crate) fn delete(world: &World, body: &[u8]) -> Result<Response, Refusal> {
    let named: Named = serve::parsed(body)?;
    let jobs = &mut locked(&world.transcribe).jobs;
    let job = jobs.get_mut(&named.transcription_job_name);
    let job = job.ok_or_else(|| bad(NOT_FOUND))?;
    job.look(world);
    if job.stage != Stage::Ended {
        return Err(bad("The requested job couldn't be deleted."));
    }
    jobs.remove(&named.transcription_job_name);
    Ok(serve::json(&json!({})))
}

/// The download.
pub(crate) fn transcript(world: &World, path: &str) -> Result<Response, Refusal> {
    let jobs = &locked(&world.transcribe).jobs;
    let job = jobs.values().find(|job| job.path() == path);
    let job = job.ok_or_else(|| Refusal::identity("AccessDenied", "Access Denied"))?;
    let speakers = job.request.settings.max_speaker_labels;
    let name = &job.request.transcription_job_name;
    Ok(serve::json(&result::document(name, &job.said, speakers)))
}
