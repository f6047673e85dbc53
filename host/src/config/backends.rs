//! Which real backend each capability has: chosen by the contract's variables, the local one where
//! they are unset.

mod transcription;

use std::collections::BTreeMap;

use backend::s3::Buckets;
use backend::{aws, engine_command, kafka, openai, openai_transcription, postgres, redis};
use capability::ComponentName;
use secrecy::SecretString;

use super::ConfigError;
use super::environment::Environment;

/// Spoken of in the contract as the default model.
const DEFAULT_MODEL: &str = "amazon/nova-2-lite-v1:free";
const OPENROUTER: &str = "https://openrouter.ai/api/v1";
/// The contract's default, which names a region and nobody's account.
const DEFAULT_REGION: &str = "us-east-1";
/// The contract names these services' buckets by variables of their own.
const BUCKETS: [(&str, &str); 3] = [
    ("S3_BUCKET_DOCUMENTS", "documents"),
    ("S3_BUCKET_STT", "stt"),
    ("S3_BUCKET_TTS", "tts"),
];

/// What stands behind the capabilities.
#[derive(Clone)]
pub struct Backends {
    /// With `DB_HOST`: that server, else a private one.
    pub database: Option<postgres::Config>,
    /// With `<COMPONENT>_DB_NAME` and the like: that component's own.
    pub own_databases: BTreeMap<ComponentName, OwnDatabase>,
    /// With `KAFKA_BOOTSTRAP_SERVERS`; else inboxes in PostgreSQL.
    pub kafka: Option<kafka::Config>,
    /// With `REDIS_HOST`; else the host's own memory.
    pub redis: Option<redis::Config>,
    /// Amazon's region and credentials.
    pub aws: aws::Config,
    /// With `S3_BUCKET_NAME` and the like; who has none has a folder.
    pub buckets: Buckets,
    /// With `AWS_ENDPOINT_URL` or `AWS_ENDPOINT_URL_S3`: a server that is not Amazon's has its buckets
    /// in the path.
    pub has_s3_endpoint: bool,
    /// Who speaks.
    pub speech: Chosen<Speech>,
    /// Who listens.
    pub transcription: Chosen<Transcription>,
    /// Who reads images.
    pub ocr: Chosen<Ocr>,
    /// With `OPENROUTER_API_KEY` or `OPENROUTER_BASE_URL`.
    pub llm: Option<openai::Config>,
}

/// A choice, and the variable that made it.
#[derive(Clone, Debug)]
pub struct Chosen<T> {
    /// What.
    pub what: T,
    /// Why, for people.
    pub reason: String,
}

/// What differs from the shared database; what is not named is as there.
#[derive(Clone, Default)]
pub struct OwnDatabase {
    host: Option<String>,
    port: Option<u16>,
    database: Option<String>,
    user: Option<String>,
    password: Option<SecretString>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// Amazon's.
    Polly,
    /// The host's own voice.
    Local,
}

/// Who listens.
#[derive(Clone, Debug)]
pub enum Transcription {
    /// Amazon's, which reads from S3, and finds a language among these, or among all.
    Transcribe(Vec<String>),
    /// A server of OpenAI's kind.
    OpenAi(openai_transcription::Config),
    /// A program on this machine.
    Command(engine_command::Config),
    /// Nobody.
    None,
}

/// Who reads images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ocr {
    /// Amazon's, which reads from S3.
    Textract,
    /// Tesseract, where it is installed.
    Local,
    /// Nobody.
    None,
}

impl Backends {
    /// What a bare machine has.
    pub fn embedded() -> Self {
        let because = |what: &str| format!("{what} is not set");
        Self {
            database: None,
            own_databases: BTreeMap::new(),
            kafka: None,
            redis: None,
            aws: aws::Config::new(DEFAULT_REGION),
            buckets: Buckets::default(),
            has_s3_endpoint: false,
            speech: Chosen {
                what: Speech::Local,
                reason: because("LECTERN_SPEECH"),
            },
            transcription: Chosen {
                what: Transcription::None,
                reason: because("LECTERN_TRANSCRIPTION"),
            },
            ocr: Chosen {
                what: Ocr::Local,
                reason: because("LECTERN_OCR"),
            },
            llm: None,
        }
    }

    pub(super) fn of(environment: &Environment) -> Result<Self, ConfigError> {
        let region = environment.get("AWS_REGION");
        let buckets = buckets(environment);
        Ok(Self {
            database: database(environment)?,
            own_databases: own_databases(environment)?,
            kafka: kafka(environment),
            redis: redis(environment)?,
            // The SDK reads the endpoints itself, each service its own.
            aws: aws::Config::new(region.as_deref().unwrap_or(DEFAULT_REGION)),
            speech: speech(environment)?,
            transcription: transcription::chosen(environment, &buckets)?,
            ocr: ocr(environment, &buckets)?,
            buckets,
            has_s3_endpoint: environment.has("AWS_ENDPOINT_URL")
                || environment.has("AWS_ENDPOINT_URL_S3"),
            llm: llm(environment),
        })
    }

    /// Whether that component's blobs lie in S3.
    pub fn is_in_s3(&self, component: &str) -> bool {
        has_bucket(&self.buckets, component)
    }

    /// Whether any component's do.
    pub fn uses_s3(&self) -> bool {
        self.buckets.default.is_some() || !self.buckets.by_component.is_empty()
    }
}

impl OwnDatabase {
    /// On the shared server, under another name.
    pub fn named(database: &str) -> Self {
        Self {
            database: Some(database.to_owned()),
            ..Self::default()
        }
    }

    /// On the shared server, but for what it names.
    pub fn beside(&self, shared: &postgres::Config) -> postgres::Config {
        let or = |own: &Option<String>, shared: &String| own.clone().unwrap_or(shared.clone());
        let password = self.password.clone();
        postgres::Config {
            host: or(&self.host, &shared.host),
            port: self.port.unwrap_or(shared.port),
            database: or(&self.database, &shared.database),
            user: or(&self.user, &shared.user),
            password: password.unwrap_or_else(|| shared.password.clone()),
        }
    }
}

fn number<T: std::str::FromStr>(
    environment: &Environment,
    name: &str,
    what: &str,
) -> Result<Option<T>, ConfigError> {
    let Some(text) = environment.get(name) else {
        return Ok(None);
    };
    let number = text.parse();
    number
        .map(Some)
        .map_err(|_| ConfigError::Invalid(name.to_owned(), format!("is `{text}`: {what}")))
}

const PORT: &str = "a port from 1 to 65535";

fn database(environment: &Environment) -> Result<Option<postgres::Config>, ConfigError> {
    let Some(host) = environment.get("DB_HOST") else {
        return Ok(None);
    };
    let missing = || ConfigError::Missing("DB_PASSWORD".into(), "DB_HOST is".into());
    Ok(Some(postgres::Config {
        host,
        port: number(environment, "DB_PORT", PORT)?.unwrap_or(5432),
        database: environment.get("DB_NAME").unwrap_or("lectern".into()),
        user: environment.get("DB_USER").unwrap_or("postgres".into()),
        password: environment.get("DB_PASSWORD").ok_or_else(missing)?.into(),
    }))
}

/// A prefix such as `CHAT` names the component `chat`; one that no component can have is not ours.
fn component(prefix: &str) -> Option<ComponentName> {
    ComponentName::parse(&prefix.to_ascii_lowercase()).ok()
}

fn own_databases(
    environment: &Environment,
) -> Result<BTreeMap<ComponentName, OwnDatabase>, ConfigError> {
    let mut own: BTreeMap<ComponentName, OwnDatabase> = BTreeMap::new();
    for suffix in [
        "_DB_NAME",
        "_DB_HOST",
        "_DB_USER",
        "_DB_PASSWORD",
        "_DB_PORT",
    ] {
        for (prefix, value) in environment.ending(suffix) {
            let Some(name) = component(prefix) else {
                continue;
            };
            let own = own.entry(name).or_default();
            if suffix == "_DB_PASSWORD" {
                own.password = Some(value.to_owned().into());
                continue;
            }
            let value = Some(value.to_owned());
            match suffix {
                "_DB_NAME" => own.database = value,
                "_DB_HOST" => own.host = value,
                "_DB_USER" => own.user = value,
                _ => own.port = number(environment, &format!("{prefix}{suffix}"), PORT)?,
            }
        }
    }
    for (name, own) in &own {
        // The shared server's password is for the shared server.
        if own.host.is_some() && own.password.is_none() {
            let prefix = name.as_str().to_ascii_uppercase();
            let (password, host) = (
                format!("{prefix}_DB_PASSWORD"),
                format!("{prefix}_DB_HOST is"),
            );
            return Err(ConfigError::Missing(password, host));
        }
    }
    Ok(own)
}

fn kafka(environment: &Environment) -> Option<kafka::Config> {
    let servers = environment.get("KAFKA_BOOTSTRAP_SERVERS")?;
    let plain = kafka::Config::plain(&servers);
    Some(kafka::Config {
        security_protocol: environment.get("KAFKA_SECURITY_PROTOCOL"),
        sasl_mechanism: environment.get("KAFKA_SASL_MECHANISM"),
        sasl_username: environment.get("KAFKA_SASL_USERNAME"),
        sasl_password: environment.get("KAFKA_SASL_PASSWORD").map(Into::into),
        ssl_ca_location: environment.get("KAFKA_SSL_CA_LOCATION"),
        group_prefix: environment
            .get("KAFKA_GROUP_PREFIX")
            .unwrap_or(plain.group_prefix.clone()),
        topic_prefix: environment.get("KAFKA_TOPIC_PREFIX").unwrap_or_default(),
        ..plain
    })
}

fn redis(environment: &Environment) -> Result<Option<redis::Config>, ConfigError> {
    let Some(host) = environment.get("REDIS_HOST") else {
        return Ok(None);
    };
    Ok(Some(redis::Config {
        host,
        port: number(environment, "REDIS_PORT", PORT)?.unwrap_or(6379),
        database: number(environment, "REDIS_DB", "a database's number")?.unwrap_or(0),
        username: environment.get("REDIS_USERNAME"),
        password: environment.get("REDIS_PASSWORD").map(Into::into),
    }))
}

/// The plain variable for all; the contract's own for its services; a prefixed one, before both, for
/// any component.
fn buckets(environment: &Environment) -> Buckets {
    let named = BUCKETS
        .iter()
        .filter_map(|(variable, name)| Some(((*name).to_owned(), environment.get(variable)?)));
    let prefixed = environment
        .ending("_S3_BUCKET_NAME")
        .filter_map(|(prefix, bucket)| Some((component(prefix)?.to_string(), bucket.to_owned())));
    Buckets {
        default: environment.get("S3_BUCKET_NAME"),
        by_component: named.chain(prefixed).collect(),
    }
}

fn has_bucket(buckets: &Buckets, component: &str) -> bool {
    buckets.default.is_some() || buckets.by_component.contains_key(component)
}

/// The variable that says that there are credentials; a machine's role is not asked for, which takes
/// seconds where there is none: `LECTERN_SPEECH=polly` and the like choose without.
fn credentials(environment: &Environment) -> Option<&'static str> {
    let variables = [
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    variables.into_iter().find(|name| environment.has(name))
}

fn wanted(variable: &str, word: &str) -> String {
    format!("{variable} is `{word}`")
}

fn unknown(variable: &str, word: &str, words: &str) -> ConfigError {
    ConfigError::Invalid(variable.to_owned(), format!("is `{word}`: {words}"))
}

fn speech(environment: &Environment) -> Result<Chosen<Speech>, ConfigError> {
    const NAME: &str = "LECTERN_SPEECH";
    let (what, reason) = match environment.get(NAME).as_deref() {
        Some("polly") => (Speech::Polly, wanted(NAME, "polly")),
        Some("local") => (Speech::Local, wanted(NAME, "local")),
        Some(word) => return Err(unknown(NAME, word, "`polly` or `local`")),
        None => match credentials(environment) {
            Some(variable) => (Speech::Polly, format!("{variable} is set")),
            None => (Speech::Local, "there are no AWS credentials".to_owned()),
        },
    };
    Ok(Chosen { what, reason })
}

fn ocr(environment: &Environment, buckets: &Buckets) -> Result<Chosen<Ocr>, ConfigError> {
    const NAME: &str = "LECTERN_OCR";
    // It reads what that service has stored.
    let has_bucket = has_bucket(buckets, "documents");
    let (what, reason) = match environment.get(NAME).as_deref() {
        Some("textract") if has_bucket => (Ocr::Textract, wanted(NAME, "textract")),
        Some("textract") => {
            let why = wanted(NAME, "textract");
            return Err(ConfigError::Missing("S3_BUCKET_NAME".into(), why));
        }
        Some("local") => (Ocr::Local, wanted(NAME, "local")),
        Some("none") => (Ocr::None, wanted(NAME, "none")),
        Some(word) => return Err(unknown(NAME, word, "`textract`, `local` or `none`")),
        None => match credentials(environment).filter(|_| has_bucket) {
            Some(variable) => (Ocr::Textract, format!("{variable} and a bucket are set")),
            None => {
                let reason = "there are no AWS credentials with a bucket";
                (Ocr::Local, reason.to_owned())
            }
        },
    };
    Ok(Chosen { what, reason })
}

fn llm(environment: &Environment) -> Option<openai::Config> {
    let key = environment.get("OPENROUTER_API_KEY");
    let base_url = environment.get("OPENROUTER_BASE_URL");
    if key.is_none() && base_url.is_none() {
        return None;
    }
    let model = environment.get("OPENROUTER_MODEL");
    Some(openai::Config {
        base_url: base_url.unwrap_or_else(|| OPENROUTER.into()),
        key: key.map(Into::into),
        referer: environment.get("OPENROUTER_REFERER"),
        title: environment.get("OPENROUTER_TITLE"),
        model: model.unwrap_or_else(|| DEFAULT_MODEL.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ComponentName {
        ComponentName::parse(name).unwrap()
    }

    #[test]
    fn a_database_without_a_password_names_the_variable() {
        let only_host = Environment::from([("DB_HOST", "db")]);
        let error = database(&only_host).unwrap_err();
        assert!(error.to_string().contains("DB_PASSWORD"));
        assert!(database(&Environment::default()).unwrap().is_none());
    }

    #[test]
    fn a_prefixed_variable_gives_a_service_its_own() {
        let environment = Environment::from([
            ("DB_HOST", "db"),
            ("DB_PASSWORD", "p"),
            ("CHAT_DB_NAME", "chat_service"),
            ("QUIZ_DB_HOST", "other"),
            ("QUIZ_DB_PASSWORD", "q"),
            ("QUIZ_DB_PORT", "6000"),
            ("QUIZ_S3_BUCKET_NAME", "quizzes"),
            ("S3_BUCKET_DOCUMENTS", "papers"),
            ("S3_BUCKET_NAME", "all"),
        ]);
        let backends = Backends::of(&environment).unwrap();
        let shared = backends.database.as_ref().unwrap();
        let chat = backends.own_databases[&name("chat")].beside(shared);
        assert_eq!((&*chat.host, &*chat.database), ("db", "chat_service"));
        let quiz = backends.own_databases[&name("quiz")].beside(shared);
        assert_eq!(
            (&*quiz.host, quiz.port, &*quiz.database),
            ("other", 6000, "lectern")
        );
        let buckets = &backends.buckets;
        assert_eq!(buckets.default.as_deref(), Some("all"));
        assert_eq!(buckets.by_component["quiz"], "quizzes");
        assert_eq!(buckets.by_component["documents"], "papers");
    }

    #[test]
    fn what_is_wrong_or_missing_is_named_with_its_variable() {
        for (name, host) in [
            ("REDIS_PORT", "REDIS_HOST"),
            ("CHAT_DB_PORT", "X"),
            ("CHAT_DB_PASSWORD", "CHAT_DB_HOST"),
        ] {
            let value = if name.ends_with("PORT") { "70000" } else { "" };
            let environment = Environment::from([(host, "h"), (name, value)]);
            let error = Backends::of(&environment).err().unwrap().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn amazon_is_asked_where_there_are_credentials_and_nobody_says_otherwise() {
        let key = ("AWS_ACCESS_KEY_ID", "x");
        let chosen = |environment| Backends::of(&environment).unwrap();
        let bare = chosen(Environment::default());
        assert_eq!(
            (bare.speech.what, bare.ocr.what),
            (Speech::Local, Ocr::Local)
        );
        let cloud = chosen(Environment::from([key, ("S3_BUCKET_NAME", "b")]));
        assert_eq!(
            (cloud.speech.what, cloud.ocr.what),
            (Speech::Polly, Ocr::Textract)
        );
        assert!(matches!(
            cloud.transcription.what,
            Transcription::Transcribe(_)
        ));
        let mixed = [
            key,
            ("LECTERN_SPEECH", "local"),
            ("LECTERN_STT_COMMAND", "x {input}"),
        ];
        let mixed = chosen(Environment::from(mixed));
        assert_eq!(
            (mixed.speech.what, mixed.ocr.what),
            (Speech::Local, Ocr::Local)
        );
        assert!(matches!(
            mixed.transcription.what,
            Transcription::Command(_)
        ));
    }

    #[test]
    fn a_choice_that_cannot_be_is_an_error() {
        for (variable, word) in [
            ("LECTERN_SPEECH", "aws"),
            ("LECTERN_OCR", "textract"),
            ("LECTERN_TRANSCRIPTION", "openai"),
        ] {
            let environment = Environment::from([(variable, word)]);
            assert!(Backends::of(&environment).is_err(), "{variable}={word}");
        }
    }

    #[test]
    fn a_model_needs_a_key_or_a_server() {
        assert!(llm(&Environment::default()).is_none());
        let local = Environment::from([("OPENROUTER_BASE_URL", "http://localhost:11434/v1")]);
        assert_eq!(llm(&local).unwrap().model, DEFAULT_MODEL);
    }
}
