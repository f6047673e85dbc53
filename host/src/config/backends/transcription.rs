//! Who listens, and how much of the machine that may take.

use std::time::Duration;

use backend::jobs::Room;
use backend::s3::Buckets;
use backend::{engine_command, openai_transcription};

use super::{Chosen, Transcription, credentials, has_bucket, number, unknown, wanted};
use crate::config::ConfigError;
use crate::config::environment::Environment;

/// As OpenAI names it; other servers take it as an alias, most often.
const DEFAULT_MODEL: &str = "whisper-1";
/// Recordings at once: a program takes a core each, a server as many as it has.
const PLACES_OF_A_PROGRAM: usize = 1;
const PLACES_OF_A_SERVER: usize = 4;
const MOST_PLACES: usize = 16;
/// That wait for a place.
const QUEUE: usize = 100;
/// For one recording, in seconds: a day is as long as a job is waited for.
const TIMEOUT: u64 = 600;
const TIMEOUTS: std::ops::RangeInclusive<u64> = 10..=86_400;
/// Of `LECTERN_STT_LANGUAGES`: as many as Transcribe knows.
const MOST_LANGUAGES: usize = 120;

pub(super) fn chosen(
    environment: &Environment,
    buckets: &Buckets,
) -> Result<Chosen<Transcription>, ConfigError> {
    const NAME: &str = "LECTERN_TRANSCRIPTION";
    let missing = |variable: &str, word| ConfigError::Missing(variable.into(), wanted(NAME, word));
    let (command, server) = (program(environment)?, server(environment)?);
    let transcribe = Transcription::Transcribe(languages(environment)?);
    // It reads what that service has stored.
    let has_bucket = has_bucket(buckets, "stt");
    let (what, reason) = match environment.get(NAME).as_deref() {
        Some("transcribe") if has_bucket => (transcribe, wanted(NAME, "transcribe")),
        Some("transcribe") => return Err(missing("S3_BUCKET_NAME", "transcribe")),
        Some("openai") => {
            let server = server.ok_or_else(|| missing("LECTERN_STT_URL", "openai"))?;
            (Transcription::OpenAi(server), wanted(NAME, "openai"))
        }
        Some("command") => {
            let command = command.ok_or_else(|| missing("LECTERN_STT_COMMAND", "command"))?;
            (Transcription::Command(command), wanted(NAME, "command"))
        }
        Some("none") => (Transcription::None, wanted(NAME, "none")),
        Some(word) => {
            let words = "`transcribe`, `openai`, `command` or `none`";
            return Err(unknown(NAME, word, words));
        }
        None => match (command, server, credentials(environment)) {
            (Some(command), ..) => {
                let reason = "LECTERN_STT_COMMAND is set".to_owned();
                (Transcription::Command(command), reason)
            }
            (_, Some(server), _) => (
                Transcription::OpenAi(server),
                "LECTERN_STT_URL is set".to_owned(),
            ),
            (.., Some(variable)) if has_bucket => {
                (transcribe, format!("{variable} and a bucket are set"))
            }
            _ => {
                let reason = "neither LECTERN_STT_COMMAND, LECTERN_STT_URL nor AWS credentials with a bucket are set";
                (Transcription::None, reason.to_owned())
            }
        },
    };
    Ok(Chosen { what, reason })
}

fn program(environment: &Environment) -> Result<Option<engine_command::Config>, ConfigError> {
    let (room, timeout) = (
        room(environment, PLACES_OF_A_PROGRAM)?,
        timeout(environment)?,
    );
    let command = environment.get("LECTERN_STT_COMMAND");
    Ok(command.map(|command| engine_command::Config {
        room,
        timeout,
        ..engine_command::Config::new(command)
    }))
}

fn server(environment: &Environment) -> Result<Option<openai_transcription::Config>, ConfigError> {
    let (room, timeout) = (
        room(environment, PLACES_OF_A_SERVER)?,
        timeout(environment)?,
    );
    let model = environment.get("LECTERN_STT_MODEL");
    let url = environment.get("LECTERN_STT_URL");
    Ok(url.map(|base_url| openai_transcription::Config {
        base_url,
        key: environment.get("LECTERN_STT_KEY").map(Into::into),
        model: model.unwrap_or_else(|| DEFAULT_MODEL.into()),
        room,
        timeout,
    }))
}

/// `LECTERN_STT_PLACES`, brought into range: 1 to 16.
fn room(environment: &Environment, default: usize) -> Result<Room, ConfigError> {
    let what = "how many recordings are listened to at once is a number, 1 to 16";
    let places: usize = number(environment, "LECTERN_STT_PLACES", what)?.unwrap_or(default);
    Ok(Room {
        places: places.clamp(1, MOST_PLACES),
        queue: QUEUE,
    })
}

/// `LECTERN_STT_TIMEOUT_S`, brought into range: ten seconds to a day.
fn timeout(environment: &Environment) -> Result<Duration, ConfigError> {
    let what = "how long one recording may take is a number of seconds, 10 to 86400";
    let seconds: u64 = number(environment, "LECTERN_STT_TIMEOUT_S", what)?.unwrap_or(TIMEOUT);
    let seconds = seconds.clamp(*TIMEOUTS.start(), *TIMEOUTS.end());
    Ok(Duration::from_secs(seconds))
}

/// `LECTERN_STT_LANGUAGES`, by commas.
fn languages(environment: &Environment) -> Result<Vec<String>, ConfigError> {
    const NAME: &str = "LECTERN_STT_LANGUAGES";
    let Some(text) = environment.get(NAME) else {
        return Ok(vec![]);
    };
    let codes = text
        .split(',')
        .map(str::trim)
        .filter(|code| !code.is_empty());
    let codes: Vec<String> = codes.map(ToOwned::to_owned).collect();
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if codes.len() > MOST_LANGUAGES || !codes.iter().all(|code| code.chars().all(fine)) {
        return Err(unknown(NAME, &text, "languages are such as `en-US,de-DE`"));
    }
    Ok(codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<const N: usize>(variables: [(&str, &str); N]) -> Result<Transcription, ConfigError> {
        let chosen = chosen(&Environment::from(variables), &Buckets::default());
        chosen.map(|chosen| chosen.what)
    }

    #[test]
    fn an_engine_takes_what_it_is_given_of_the_machine() {
        let command = ("LECTERN_STT_COMMAND", "x {input}");
        for (places, seconds, expected) in [
            ("", "", (1, 600)),
            ("3", "7200", (3, 7_200)),
            ("0", "1", (1, 10)),
            ("99", "999999", (16, 86_400)),
        ] {
            let places = ("LECTERN_STT_PLACES", places);
            let seconds = ("LECTERN_STT_TIMEOUT_S", seconds);
            let Ok(Transcription::Command(config)) = of([command, places, seconds]) else {
                panic!("no program");
            };
            assert_eq!((config.room.places, config.timeout.as_secs()), expected);
        }
        let Ok(Transcription::OpenAi(config)) = of([("LECTERN_STT_URL", "http://h/v1")]) else {
            panic!("no server");
        };
        assert_eq!(config.room.places, 4);
        for name in ["LECTERN_STT_PLACES", "LECTERN_STT_TIMEOUT_S"] {
            let error = of([command, (name, "many")]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn transcribe_finds_a_language_among_those_that_are_named() {
        let languages = |text| languages(&Environment::from([("LECTERN_STT_LANGUAGES", text)]));
        assert_eq!(languages("").unwrap(), [""; 0]);
        assert_eq!(languages("en-US, de-DE,").unwrap(), ["en-US", "de-DE"]);
        assert!(languages("en US").is_err());
    }
}
