//! Looks at recordings: as they come in, or as they lie in the store.

use axum::http::StatusCode;
use guest::bindings::capabilities::lectern::platform::blobs as wit;

use guest::{Problem, blobs};
use wit_bindgen::StreamResult;

use crate::limits::{self, MAX_FILE, Refused};
use crate::probe::{Probe, Recording, Unreadable};

/// What one read takes over from the host.
const CHUNK: usize = 64 << 10;

/// Why a stored recording is not transcribed.
pub(super) enum Unfit {
    Gone,
    TooLarge,
    Unreadable(Unreadable),
    Refused(Refused),
}

/// A recording in the service's own blobs, whole, and fit to be transcribed.
pub(super) async fn stored(key: &str) -> Result<Result<Recording, Unfit>, Problem> {
    let opened = wit::get(key.to_owned(), 0, None).await;
    let (stat, mut data, ended) = match opened {
        Ok(opened) => opened,
        Err(blobs::Error::NotFound | blobs::Error::Invalid(_)) => return Ok(Err(Unfit::Gone)),
        Err(error) => return Err(error.into()),
    };
    if stat.size > MAX_FILE {
        return Ok(Err(Unfit::TooLarge));
    }
    let mut probe = Probe::new();
    let mut buffer = Vec::with_capacity(CHUNK);
    loop {
        buffer.clear();
        let (status, chunk) = data.read(buffer).await;
        if let Err(why) = probe.push(&chunk) {
            return Ok(Err(why.into()));
        }
        if !matches!(status, StreamResult::Complete(_)) {
            break;
        }
        buffer = chunk;
    }
    match ended.await {
        Ok(()) => {}
        Err(blobs::Error::Corrupt) => {
            let why = "the stored file is not what was put there";
            return Ok(Err(Unfit::Unreadable(Unreadable::Corrupt(why))));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(fit(probe))
}

/// Once all of it has passed by.
pub(super) fn fit(probe: Probe) -> Result<Recording, Unfit> {
    let recording = probe.finish()?;
    limits::check(&recording).map_err(Unfit::Refused)?;
    Ok(recording)
}

impl Unfit {
    /// A stable code, and a sentence.
    pub(super) fn told(&self) -> (&'static str, String) {
        match self {
            Self::Gone => ("AUDIO_NOT_FOUND", "there is no such recording".into()),
            Self::TooLarge => ("PAYLOAD_TOO_LARGE", format!("at most {MAX_FILE} bytes")),
            Self::Unreadable(Unreadable::Empty) => ("EMPTY_AUDIO", "the file is empty".into()),
            Self::Unreadable(Unreadable::Unsupported(what)) => (
                "UNSUPPORTED_MEDIA_TYPE",
                format!(
                    "the file is {what}; MP3, MP4, WAV, FLAC, OGG, AMR and WebM are transcribed"
                ),
            ),
            Self::Unreadable(Unreadable::Corrupt(why)) => (
                "CORRUPT_AUDIO",
                format!("the recording cannot be read: {why}"),
            ),
            Self::Unreadable(Unreadable::NoAudio) => (
                "NO_AUDIO_TRACK",
                "the file has no sound that is known here".into(),
            ),
            Self::Unreadable(Unreadable::TooLong) => Self::Refused(Refused::TooLong).told(),
            Self::Refused(why) => (why.code(), why.message().into()),
        }
    }
}

impl From<Unreadable> for Unfit {
    fn from(why: Unreadable) -> Self {
        Self::Unreadable(why)
    }
}

impl From<Unfit> for Problem {
    fn from(unfit: Unfit) -> Self {
        let status = match &unfit {
            Unfit::Unreadable(Unreadable::Unsupported(_)) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Unfit::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let (code, message) = unfit.told();
        Self::new(status, code, message)
    }
}
