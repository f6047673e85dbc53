//! What the adapters of Amazon's services share: how their clients are made, and what went wrong
//! with a call.

pub mod calls;

use std::error::Error;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use secrecy::{ExposeSecret, SecretString};

use self::calls::Calls;

/// The first one and two more, apart by the SDK's own growing, jittered pauses.
const ATTEMPTS: u32 = 3;

/// Whose an account is.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Public.
    pub access_key_id: String,
    /// Not.
    pub secret_access_key: SecretString,
    /// Of credentials that pass.
    pub session_token: Option<SecretString>,
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands.
    pub connect: Duration,
    /// Until the first byte of an answer.
    pub read: Duration,
    /// One attempt, its upload included, until the answer's head.
    pub attempt: Duration,
    /// All attempts and the pauses between them.
    pub call: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(30),
            attempt: Duration::from_secs(60),
            call: Duration::from_secs(120),
        }
    }
}

/// Where an account's services are.
#[derive(Clone, Debug)]
pub struct Config {
    /// As in `us-east-1`.
    pub region: String,
    /// A service that is not Amazon's own, or a fake. Where there is none, the SDK's own variables
    /// still count: `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_S3` and so on. S3 then takes a bucket for a
    /// part of the path where it is told of an endpoint here or by the first of them.
    pub endpoint_url: Option<String>,
    /// The SDK's default chain where there are none: the environment, `~/.aws`, SSO, web identity,
    /// the container's or the machine's role.
    pub keys: Option<Keys>,
    /// How long things may take.
    pub timeouts: Timeouts,
}

impl Config {
    /// Amazon's own, as the default chain has it.
    pub fn new(region: &str) -> Self {
        Self {
            region: region.to_owned(),
            endpoint_url: None,
            keys: None,
            timeouts: Timeouts::default(),
        }
    }
}

/// What clients are made from.
#[derive(Clone, Debug)]
pub struct Aws {
    pub(crate) sdk: SdkConfig,
    /// All clients' together.
    pub calls: Calls,
}

impl Aws {
    /// Reads what the SDK reads; asks nobody yet.
    pub async fn load(config: &Config) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(config.timeouts.connect)
            .read_timeout(config.timeouts.read)
            .operation_attempt_timeout(config.timeouts.attempt)
            .operation_timeout(config.timeouts.call)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(config.region.clone()))
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(timeouts);
        if let Some(url) = &config.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(keys) = &config.keys {
            loader = loader.credentials_provider(credentials(keys));
        }
        Self {
            sdk: loader.load().await,
            calls: Calls::default(),
        }
    }
}

fn credentials(keys: &Keys) -> Credentials {
    let token = keys.session_token.as_ref();
    Credentials::new(
        &keys.access_key_id,
        keys.secret_access_key.expose_secret(),
        token.map(|token| token.expose_secret().to_owned()),
        None,
        "lectern",
    )
}

/// What went wrong with a call, after all attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A deadline passed.
    Timeout,
    /// Nobody answered, or nothing that can be read.
    Unreachable(String),
    /// There are no credentials to sign with.
    NoCredentials(String),
    /// The service does not know them, or does not let them do this. The error's code.
    Refused(String),
    /// Too many requests, whatever the status said.
    Throttled,
    /// The service's own error.
    Service {
        /// HTTP's.
        status: u16,
        /// As in `NoSuchKey`; empty where there is none.
        code: String,
        /// For people. May quote the request.
        message: String,
    },
}

impl Failure {
    /// By kind, and a service's error by its code.
    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        if let Some(missing) = cause::<CredentialsError>(error) {
            return Self::NoCredentials(missing.to_string());
        }
        match error {
            SdkError::TimeoutError(_) => Self::Timeout,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Self::Timeout,
            SdkError::ServiceError(service) => {
                let error = service.err();
                let status = service.raw().status().as_u16();
                Self::told(status, error.code(), error.message())
            }
            other => Self::Unreachable(chain(other)),
        }
    }

    fn told(status: u16, code: Option<&str>, message: Option<&str>) -> Self {
        let code = code.unwrap_or_default();
        match (status, code) {
            (429, _) => Self::Throttled,
            (_, code) if THROTTLED.contains(&code) => Self::Throttled,
            (_, code) if REFUSED.contains(&code) => Self::Refused(code.to_owned()),
            // An answer to HEAD has no body that could hold a code.
            (401 | 403, _) => Self::Refused(format!("HTTP {status} {code}").trim_end().to_owned()),
            _ => Self::Service {
                status,
                code: code.to_owned(),
                message: message.unwrap_or(code).to_owned(),
            },
        }
    }
}

/// The first of that type among an error and its sources.
pub(crate) fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// An error and its sources, as one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        line = format!("{line}: {error}");
        next = error.source();
    }
    line
}

const THROTTLED: &[&str] = &[
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "ServiceQuotaExceededException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

const REFUSED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "AccountProblem",
    "AllAccessDisabled",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidToken",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "SubscriptionRequiredException",
    "UnauthorizedAccess",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
    // versitygw's InvalidAccessKeyId, with a 404.
    "XAdminUserNotFound",
];

#[cfg(test)]
mod tests {
    use aws_credential_types::provider::{ProvideCredentials, future};

    use super::*;

    #[derive(Debug)]
    struct Nobody;

    impl ProvideCredentials for Nobody {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("none here")))
        }
    }

    #[tokio::test]
    async fn missing_credentials_are_told_as_such() {
        let sdk = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url("http://127.0.0.1:1")
            .credentials_provider(Nobody)
            .load()
            .await;
        let client = aws_sdk_polly::Client::new(&sdk);
        let error = client.describe_voices().send().await.unwrap_err();
        let failure = Failure::of(&error);
        assert!(matches!(failure, Failure::NoCredentials(_)), "{failure:?}");
    }

    #[test]
    fn throttling_is_told_by_its_code_and_refusals_by_code_or_status() {
        let told = |status, code| Failure::told(status, code, None);
        assert_eq!(told(400, Some("ThrottlingException")), Failure::Throttled);
        assert_eq!(told(503, Some("SlowDown")), Failure::Throttled);
        assert_eq!(told(429, None), Failure::Throttled);
        let refused = |code: &str| Failure::Refused(code.to_owned());
        assert_eq!(told(400, Some("ExpiredToken")), refused("ExpiredToken"));
        assert_eq!(told(403, None), refused("HTTP 403"));
        let missing = Failure::Service {
            status: 404,
            code: "NoSuchKey".into(),
            message: "NoSuchKey".into(),
        };
        assert_eq!(told(404, Some("NoSuchKey")), missing);
        let unknown = "XAdminUserNotFound";
        assert_eq!(told(404, Some(unknown)), refused(unknown));
    }

    #[test]
    fn a_configuration_shows_no_secret() {
        let keys = Keys {
            access_key_id: "id".into(),
            secret_access_key: "hidden".to_owned().into(),
            session_token: Some("hidden".to_owned().into()),
        };
        let config = Config {
            keys: Some(keys),
            ..Config::new("us-east-1")
        };
        assert!(!format!("{config:?}").contains("hidden"));
    }
}
