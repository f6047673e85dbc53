//! `lectern doctor`: which backend each capability uses and why, and what is missing.

use std::fmt::Write as _;
use std::time::Duration;

use backend::isolation;
use backend::postgres::cluster;
use backend::postgres::provision;

use crate::backing::{self, choices};
use crate::bundle;
use crate::config::Config;
use crate::config::backends::{Ocr, Transcription};

/// How long a server is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was found.
pub struct Report {
    /// For a person.
    pub text: String,
    /// Whether `lectern serve` can start.
    pub healthy: bool,
}

/// Looks, and starts nothing.
pub async fn examine(config: &Config) -> Report {
    let mut report = Report {
        text: String::new(),
        healthy: true,
    };
    for choice in choices(config) {
        report.line(
            "use",
            &format!(
                "{:<13} {}  ({})",
                choice.capability,
                choice.shown(),
                choice.reason
            ),
        );
    }
    database(config, &mut report).await;
    servers(config, &mut report).await;
    listener(config, &mut report).await;
    isolation(config, &mut report).await;
    match bundle::load_all(&config.components) {
        Ok(bundles) => {
            let names: Vec<_> = bundles
                .iter()
                .map(|bundle| bundle.manifest.name.as_str())
                .collect();
            report.line(
                "ok",
                &format!(
                    "components in {}: {}",
                    config.components.display(),
                    names.join(", ")
                ),
            );
        }
        Err(error) => report.fault(&error.to_string()),
    }
    let identity = &config.identity;
    let mode = match (&identity.secret, &identity.jwks_url) {
        (None, None) => "development mode: neither JWT_SECRET_KEY nor JWT_JWKS_URL is set, requests say who they \
             are, loopback only"
            .to_owned(),
        (Some(_), None) => "tokens are required (JWT_SECRET_KEY is set)".to_owned(),
        (None, Some(url)) => format!("tokens are required, signed by a key of {url} (JWT_JWKS_URL)"),
        (Some(_), Some(url)) => {
            format!("tokens are required, signed by JWT_SECRET_KEY or by a key of {url} (JWT_JWKS_URL)")
        }
    };
    report.line("ok", &mode);
    report
}

/// Kafka, Redis, S3, where they are configured: who is away is told from who refuses.
async fn servers(config: &Config, report: &mut Report) {
    let servers = match backing::servers(config).await {
        Ok(servers) => servers,
        Err(error) => return report.fault(&error.to_string()),
    };
    for server in servers {
        let answer = tokio::time::timeout(PATIENCE, (server.ask)()).await;
        match answer {
            Ok(Ok(())) => report.line("ok", &format!("{} answers", server.name)),
            Ok(Err(trouble)) => {
                let (word, reason) = (trouble.word(), trouble.reason());
                report.fault(&format!("{} is {word}: {reason}", server.name));
            }
            Err(_) => report.fault(&format!("{} does not answer", server.name)),
        }
    }
}

/// Whether the configured program listens, or how there could be one.
async fn listener(config: &Config, report: &mut Report) {
    match &config.backends.transcription.what {
        Transcription::Command(command) => match backing::try_listener(config, command).await {
            Ok(told) => report.line("ok", &told),
            Err(why) => report.fault(&why),
        },
        Transcription::None => report.line(
            "hint",
            "recordings are stored and not transcribed. Set LECTERN_STT_COMMAND to a program that prints what it \
             hears, as in `whisper-cli -m ggml-base.en.bin -np -nt -l {language} -f {input}` or \
             `pocketsphinx_continuous -infile {input} -logfn /dev/null`; or LECTERN_STT_URL to a server of OpenAI's kind, as in \
             http://localhost:8000/v1; or AWS credentials and S3_BUCKET_STT for Amazon Transcribe",
        ),
        Transcription::OpenAi(_) | Transcription::Transcribe(_) => {}
    }
}

/// What programs that are shown what strangers sent can do here.
async fn isolation(config: &Config, report: &mut Report) {
    let backends = &config.backends;
    let listens = !matches!(
        backends.transcription.what,
        Transcription::Transcribe(_) | Transcription::None
    );
    if !listens && backends.ocr.what != Ocr::Local {
        return;
    }
    let lacks = isolation::lacks().await;
    for lack in &lacks {
        report.line("hint", lack);
    }
    if lacks.is_empty() {
        let all = "engines on this machine run without network, in bounded memory, and no longer than the host";
        report.line("ok", all);
    }
}

async fn database(config: &Config, report: &mut Report) {
    if let Some(server) = &config.backends.database {
        match provision::connect(server).await {
            Ok(()) => report.line("ok", &format!("PostgreSQL at {} answers", server.host)),
            Err(error) => report.fault(&error.to_string()),
        }
        for (name, own) in &config.backends.own_databases {
            let server = own.beside(server);
            match provision::connect(&server).await {
                Ok(()) => report.line("ok", &format!("{name}'s own database answers")),
                Err(error) => report.fault(&format!("{name}'s own database: {error}")),
            }
        }
        return;
    }
    let _ = std::fs::create_dir_all(&config.data_dir);
    match (cluster::find_programs(), cluster::home(&config.data_dir)) {
        (Some(bin), Ok(home)) => {
            report.line(
                "ok",
                &format!(
                    "PostgreSQL's programs in {}; the cluster lives in {}",
                    bin.display(),
                    home.display()
                ),
            );
        }
        (_, Err(error)) => report.fault(&error.to_string()),
        (None, Ok(_)) => report.fault("PostgreSQL is not installed"),
    }
}

impl Report {
    fn line(&mut self, mark: &str, text: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{mark:<5} {text}");
    }

    fn fault(&mut self, text: &str) {
        self.healthy = false;
        self.line("FAULT", text);
    }
}
