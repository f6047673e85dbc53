//! The shapes of answers, for the document: each is written elsewhere.

#![expect(dead_code, reason = "described, and written elsewhere")]

use guest::openapi::Failure;
use utoipa::ToSchema;

use crate::marks::Mark;

/// Bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(super) struct Binary(Vec<u8>);

/// Where a spoken text is.
#[derive(ToSchema)]
#[schema(as = SpokenText)]
pub(super) struct Spoken {
    audio_id: String,
    /// The store's own address, good for a day, or this service's.
    s3_url: String,
    /// Seconds.
    duration: f64,
    /// Whether it was there already.
    cached: bool,
    #[schema(format = DateTime)]
    generated_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
    /// Who speaks.
    voice_id: String,
    #[schema(required)]
    requested_voice_id: Option<String>,
    language_code: String,
    engine: String,
    format: Format,
    /// Hertz.
    sample_rate: u32,
    /// Where they were asked for; `null` where the voice has none.
    speech_marks: Option<Vec<Mark>>,
    /// Codes: why there are no marks.
    #[schema(nullable = false)]
    warnings: Option<Vec<String>>,
}

/// How an audio is coded.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", as = AudioFormat)]
pub(super) enum Format {
    Mp3,
    Ogg,
    Wav,
}

/// How an audio stands.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", as = AudioStatus)]
pub(super) enum Status {
    Processing,
    Completed,
    Failed,
}

/// An audio.
#[derive(ToSchema)]
#[schema(as = ListedAudio)]
pub(super) struct Audio {
    audio_id: String,
    status: Status,
    /// What is said.
    #[schema(required)]
    text: Option<String>,
    /// `text` or `ssml`.
    text_type: String,
    #[schema(required)]
    voice_id: Option<String>,
    #[schema(required)]
    requested_voice_id: Option<String>,
    #[schema(required)]
    language_code: Option<String>,
    #[schema(required)]
    engine: Option<String>,
    format: Format,
    /// Hertz.
    #[schema(required)]
    sample_rate: Option<u32>,
    /// Bytes.
    #[schema(required)]
    size: Option<u64>,
    /// Seconds.
    #[schema(required)]
    duration: Option<f64>,
    cached: bool,
    #[schema(required, format = DateTime)]
    generated_at: Option<String>,
    #[schema(format = DateTime)]
    expires_at: String,
    /// Why it was not made.
    #[schema(nullable = false)]
    failure: Option<Failure>,
}

/// An audio, and where its bytes are.
#[derive(ToSchema)]
#[schema(as = Audio)]
pub(super) struct Shown {
    #[schema(inline)]
    #[serde(flatten)]
    audio: Audio,
    /// The store's own address, good for a day, or this service's; `null` until there are bytes.
    #[schema(required)]
    s3_url: Option<String>,
}

/// A page of audio.
#[derive(ToSchema)]
#[schema(as = AudioList)]
pub(super) struct Audios {
    audio: Vec<Audio>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// An audio that is gone.
#[derive(ToSchema)]
#[schema(as = DeletedAudio)]
pub(super) struct Deleted {
    message: String,
    audio_id: String,
}

/// When each sentence and word begins.
#[derive(ToSchema)]
#[schema(as = SpeechMarks)]
pub(super) struct Marks {
    audio_id: String,
    speech_marks: Vec<Mark>,
}

/// The voices that there are.
#[derive(ToSchema)]
pub(super) struct Voices {
    voices: Vec<Voice>,
}

#[derive(ToSchema)]
pub(super) struct Voice {
    /// As a request names it.
    id: String,
    name: String,
    /// BCP 47.
    language_code: String,
    /// `Female`, `Male` or `Neutral`.
    gender: String,
    /// Best first.
    engines: Vec<String>,
}

/// Texts that are being spoken.
#[derive(ToSchema)]
pub(super) struct BatchStarted {
    batch_id: String,
    status: Status,
    items: Vec<StartedItem>,
    #[schema(format = DateTime)]
    requested_at: String,
}

#[derive(ToSchema)]
pub(super) struct StartedItem {
    audio_id: String,
    status: Status,
}

/// A batch, in its order.
#[derive(ToSchema)]
#[schema(as = SynthesizedBatch)]
pub(super) struct BatchShown {
    batch_id: String,
    status: Status,
    items: Vec<Shown>,
}
