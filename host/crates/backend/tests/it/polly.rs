//! Speech against a fake Polly, and what the real one is known for.

use std::time::Duration;

use aws_fake::{ACCESS_KEY_ID, SECRET_ACCESS_KEY, Trouble};
use backend::polly::Polly;
use bytes::Bytes;
use capability::speech::{
    EngineKind, Error, Format, Input, Mark, MarkKind, Request, Speech, contract,
};
use futures::{StreamExt, TryStreamExt};

use crate::amazon::{Amazon, NOBODY, account, impatient};

const SPEAK: &str = "SynthesizeSpeech";

async fn polly() -> (Amazon, Polly) {
    let amazon = Amazon::start().await;
    let polly = Polly::new(&amazon.aws);
    (amazon, polly)
}

fn request(voice: &str, text: &str) -> Request {
    Request {
        input: Input::Text(text.into()),
        voice: voice.into(),
        engine: None,
        format: Format::Mp3,
        sample_rate: None,
    }
}

fn ssml(voice: &str, ssml: &str) -> Request {
    Request {
        input: Input::Ssml(ssml.into()),
        engine: Some(EngineKind::Neural),
        ..request(voice, "")
    }
}

async fn spoken(polly: &Polly, request: &Request) -> Result<(EngineKind, u32, u32), Error> {
    let audio = polly.synthesize(request).await?;
    let bytes: Vec<Bytes> = audio.data.try_collect().await?;
    assert!(!bytes.concat().is_empty());
    Ok((audio.engine, audio.sample_rate, audio.billed_characters))
}

#[tokio::test]
async fn polly_keeps_the_contract() {
    let (_amazon, polly) = polly().await;
    contract::all(&polly).await;
}

#[tokio::test]
async fn a_voice_speaks_with_its_best_engine_and_at_its_rate() {
    let (_amazon, polly) = polly().await;
    let expected = [
        ("Joanna", EngineKind::Generative, 24_000),
        ("Patrick", EngineKind::LongForm, 24_000),
        ("Joey", EngineKind::Neural, 24_000),
        ("Nicole", EngineKind::Standard, 22_050),
    ];
    for (voice, engine, rate) in expected {
        let got = spoken(&polly, &request(voice, "Hello.")).await;
        assert_eq!(got, Ok((engine, rate, 6)), "{voice}");
    }
}

#[tokio::test]
async fn what_a_voice_cannot_do_is_refused_before_it_costs_a_call() {
    let (amazon, polly) = polly().await;
    let joey = request("Joey", "Hello.");
    let refused = [
        Request {
            engine: Some(EngineKind::Generative),
            ..joey.clone()
        },
        Request {
            engine: Some(EngineKind::Local),
            ..joey.clone()
        },
        Request {
            format: Format::Pcm,
            sample_rate: Some(24_000),
            ..joey
        },
    ];
    for request in refused {
        let got = spoken(&polly, &request).await;
        let is_refused = matches!(
            got,
            Err(Error::Invalid(_) | Error::UnsupportedSampleRate { .. })
        );
        assert!(is_refused, "{got:?}");
    }
    assert_eq!(amazon.fake.calls(SPEAK), 0);
}

#[tokio::test]
async fn voices_are_listed_over_all_pages_and_asked_for_once() {
    let (amazon, polly) = polly().await;
    let voices = polly.voices(None).await.unwrap();
    assert!(voices.len() > 40, "{}", voices.len());
    let asked = amazon.fake.calls("DescribeVoices");
    assert!(asked > 1);
    let german = polly.voices(Some("de-DE")).await.unwrap();
    assert!(german.iter().any(|voice| voice.id == "Vicki"));
    assert_eq!(amazon.fake.calls("DescribeVoices"), asked);
}

fn check_marks(input: &Input, marks: &[Mark], words: &[&str]) {
    for mark in marks {
        let bytes = &input.as_str().as_bytes()[mark.start as usize..mark.end as usize];
        assert_eq!(std::str::from_utf8(bytes), Ok(mark.value.as_str()));
    }
    let told = marks.iter().filter(|mark| mark.kind == MarkKind::Word);
    let told: Vec<_> = told.map(|mark| mark.value.as_str()).collect();
    assert_eq!(told, words);
    assert!(marks.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms));
}

#[tokio::test]
async fn marks_have_byte_offsets_in_text_and_in_ssml() {
    let (_amazon, polly) = polly().await;
    let kinds = [MarkKind::Sentence, MarkKind::Word];
    let text = Request {
        engine: Some(EngineKind::Neural),
        ..request("Vicki", "Über Größe. „Ja“, sagt 日本.")
    };
    let marks = polly.marks(&text, &kinds).await.unwrap();
    check_marks(
        &text.input,
        &marks,
        &["Über", "Größe", "„Ja“", "sagt", "日本"],
    );
    let sentences = marks.iter().filter(|mark| mark.kind == MarkKind::Sentence);
    assert_eq!(sentences.count(), 2);
    let tagged = ssml(
        "Vicki",
        "<speak>Schön<break time=\"1s\"/> <p>größer</p></speak>",
    );
    let marks = polly.marks(&tagged, &kinds).await.unwrap();
    check_marks(&tagged.input, &marks, &["Schön", "größer"]);
}

#[tokio::test]
async fn the_generative_engine_has_no_marks() {
    let (amazon, polly) = polly().await;
    let marks = polly
        .marks(&request("Joanna", "Hi."), &[MarkKind::Word])
        .await;
    assert!(matches!(marks, Err(Error::Invalid(_))), "{marks:?}");
    assert_eq!(amazon.fake.calls(SPEAK), 0);
}

#[tokio::test]
async fn what_is_too_long_is_told_with_the_limit() {
    let (_amazon, polly) = polly().await;
    let limit = |limit| Err(Error::TooLong { limit });
    let long = "a".repeat(3_001);
    assert_eq!(spoken(&polly, &request("Joey", &long)).await, limit(3_000));
    let billed = format!("<speak>{long}</speak>");
    assert_eq!(spoken(&polly, &ssml("Joey", &billed)).await, limit(3_000));
    let tags = format!("<speak>{}</speak>", "<p/>".repeat(1_500));
    assert_eq!(spoken(&polly, &ssml("Joey", &tags)).await, limit(6_000));
    let fits = "a".repeat(3_000);
    assert!(spoken(&polly, &request("Joey", &fits)).await.is_ok());
}

#[tokio::test]
async fn ssml_that_the_engine_does_not_have_is_invalid() {
    let (_amazon, polly) = polly().await;
    let wrong = [
        "<speak>a & b</speak>",
        "<speak><p>a</speak></p>",
        "<speak><voice>a</voice></speak>",
        "<speak><emphasis>a</emphasis></speak>",
        "<speak><break time=\"11s\"/></speak>",
        "a",
    ];
    for wrong in wrong {
        let got = spoken(&polly, &ssml("Joey", wrong)).await;
        assert!(matches!(got, Err(Error::Invalid(_))), "{wrong}: {got:?}");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_three_times() {
    let (amazon, polly) = polly().await;
    let request = request("Joey", "Hello.");
    for trouble in [Trouble::Throttle, Trouble::Fail, Trouble::Lose] {
        amazon.fake.trouble(SPEAK, trouble, 2);
        let before = amazon.fake.calls(SPEAK);
        let got = spoken(&polly, &request).await;
        assert!(got.is_ok(), "{trouble:?}: {got:?}");
        assert_eq!(amazon.fake.calls(SPEAK) - before, 3, "{trouble:?}");
    }
    amazon.fake.trouble(SPEAK, Trouble::Throttle, 3);
    let got = spoken(&polly, &request).await;
    assert_eq!(got, Err(Error::QuotaExceeded));
    amazon.fake.trouble(SPEAK, Trouble::Fail, 3);
    let got = spoken(&polly, &request).await;
    assert!(matches!(got, Err(Error::Unavailable(_))), "{got:?}");
}

#[tokio::test]
async fn audio_that_is_cut_ends_with_an_error() {
    let (amazon, polly) = polly().await;
    amazon.fake.trouble(SPEAK, Trouble::Cut, 1);
    let audio = polly.synthesize(&request("Joey", "Hello.")).await.unwrap();
    let parts: Vec<_> = audio.data.collect().await;
    assert!(matches!(parts.first(), Some(Ok(_))), "{parts:?}");
    let last = parts.last();
    assert!(matches!(last, Some(Err(Error::Unavailable(_)))), "{last:?}");
}

#[tokio::test]
async fn wrong_credentials_are_told_from_a_service_that_is_away() {
    let (amazon, _) = polly().await;
    let url = amazon.fake.url();
    for (id, secret) in [("else", SECRET_ACCESS_KEY), (ACCESS_KEY_ID, "else")] {
        let polly = Polly::new(&account(url, id, secret).await);
        let got = polly.voices(None).await;
        assert!(matches!(got, Err(Error::AccessDenied(_))), "{got:?}");
    }
    let away = account(NOBODY, ACCESS_KEY_ID, SECRET_ACCESS_KEY).await;
    let got = Polly::new(&away).voices(None).await;
    assert!(matches!(got, Err(Error::Unavailable(_))), "{got:?}");
}

#[tokio::test]
async fn voices_that_were_listed_are_known_while_polly_is_away() {
    let (amazon, polly) = polly().await;
    let polly = polly.listing_every(Duration::ZERO);
    let voices = polly.voices(None).await.unwrap();
    amazon.fake.trouble("DescribeVoices", Trouble::Fail, 100);
    assert_eq!(polly.voices(None).await, Ok(voices));
    assert_eq!(Polly::new(&amazon.aws).voices(None).await.ok(), None);
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_not_waited_for() {
    let (amazon, _) = polly().await;
    let aws = impatient(amazon.fake.url(), Duration::from_millis(200)).await;
    amazon.fake.delay(Duration::from_secs(60));
    let got = Polly::new(&aws).voices(None).await;
    assert_eq!(got, Err(Error::Timeout));
}
