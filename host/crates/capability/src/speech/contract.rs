//! What every [`Speech`] must do.

use bytes::Bytes;
use futures::TryStreamExt;

use super::{Error, Format, Input, Request, Speech};

fn request(voice: &str, text: &str, format: Format) -> Request {
    Request {
        input: Input::Text(text.into()),
        voice: voice.into(),
        engine: None,
        format,
        sample_rate: None,
    }
}

async fn speak(speech: &dyn Speech, request: &Request) -> Result<(u32, Vec<u8>), Error> {
    let audio = speech.synthesize(request).await?;
    let chunks: Vec<Bytes> = audio.data.try_collect().await?;
    Ok((audio.sample_rate, chunks.concat()))
}

/// Every case.
pub async fn all(speech: &dyn Speech) {
    voices_are_listed_by_language(speech).await;
    a_longer_text_takes_longer(speech).await;
    what_cannot_be_spoken_is_invalid(speech).await;
    a_rate_that_no_voice_has_is_told_with_those_it_has(speech).await;
}

/// The list, and its filter.
pub async fn voices_are_listed_by_language(speech: &dyn Speech) {
    let voices = speech.voices(None).await.expect("voices");
    assert!(!voices.is_empty());
    assert!(voices.iter().all(|voice| !voice.engines.is_empty()));
    let english = speech.voices(Some("en-US")).await.expect("voices");
    assert!(!english.is_empty());
    assert!(english.iter().all(|voice| voice.language_code == "en-US"));
    assert_eq!(speech.voices(Some("xx-XX")).await, Ok(vec![]));
}

/// Samples are there, whole ones, and in proportion.
pub async fn a_longer_text_takes_longer(speech: &dyn Speech) {
    let voice = &speech.voices(Some("en-US")).await.expect("voices")[0].id;
    let short = request(voice, "Hello.", Format::Pcm);
    let long = request(
        voice,
        "Hello, this is a sentence that takes a while to say.",
        Format::Pcm,
    );
    let (rate, short) = speak(speech, &short).await.expect("audio");
    let (_, long) = speak(speech, &long).await.expect("audio");
    assert!(short.len() % 2 == 0 && short.len() / 2 > rate as usize / 10);
    assert!(long.len() > 2 * short.len());
}

/// A voice that is not there, SSML that is none.
pub async fn what_cannot_be_spoken_is_invalid(speech: &dyn Speech) {
    let nobody = request("Nobody", "Hello.", Format::Pcm);
    assert!(matches!(
        speak(speech, &nobody).await,
        Err(Error::Invalid(_))
    ));
    let voice = &speech.voices(Some("en-US")).await.expect("voices")[0].id;
    let malformed = Request {
        input: Input::Ssml("<speak>never closed".into()),
        ..request(voice, "", Format::Pcm)
    };
    assert!(matches!(
        speak(speech, &malformed).await,
        Err(Error::Invalid(_))
    ));
}

/// One of those that are told is taken.
pub async fn a_rate_that_no_voice_has_is_told_with_those_it_has(speech: &dyn Speech) {
    let voice = &speech.voices(Some("en-US")).await.expect("voices")[0].id;
    let mut request = request(voice, "Hello.", Format::Pcm);
    request.sample_rate = Some(12_345);
    let Err(Error::UnsupportedSampleRate { rates }) = speak(speech, &request).await else {
        panic!("12,345 Hz were spoken, or refused otherwise");
    };
    request.sample_rate = rates.first().copied();
    let (rate, _) = speak(speech, &request).await.expect("audio");
    assert_eq!(Some(rate), request.sample_rate);
}
