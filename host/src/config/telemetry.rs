//! What is told of the host, and to whom: log lines, and traces by OpenTelemetry's own variables
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).

use std::time::Duration;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;

use super::ConfigError;
use super::environment::Environment;

/// How log lines look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logging {
    /// `LECTERN_LOG`: as in `debug` or `runtime=debug,info`.
    pub filter: Option<String>,
    /// `LECTERN_LOG_FORMAT=json`: one object a line, else the contract's form.
    pub is_json: bool,
}

impl Logging {
    /// From the environment.
    pub fn read() -> Self {
        let environment = Environment::read();
        Self {
            filter: environment.get("LECTERN_LOG"),
            is_json: environment.get("LECTERN_LOG_FORMAT").as_deref() == Some("json"),
        }
    }
}

/// Which traces are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// What a caller decided is kept.
    pub is_by_parent: bool,
    /// Of the others, 0 to 1.
    pub ratio: f64,
}

/// A collector, by OTLP over HTTP (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>).
#[derive(Clone)]
pub struct Otlp {
    /// As it is asked: `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or `OTEL_EXPORTER_OTLP_ENDPOINT` with
    /// `/v1/traces`.
    pub endpoint: String,
    /// `OTEL_EXPORTER_OTLP_TRACES_HEADERS`, or `OTEL_EXPORTER_OTLP_HEADERS`: often a key.
    pub headers: Vec<(String, SecretString)>,
    /// `OTEL_EXPORTER_OTLP_TIMEOUT`, in milliseconds; 10 s.
    pub timeout: Duration,
    /// `OTEL_SERVICE_NAME`; `lectern`.
    pub service: String,
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub attributes: Vec<(String, String)>,
    /// `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`; `parentbased_always_on`.
    pub sampling: Sampling,
    /// `OTEL_BSP_SCHEDULE_DELAY`, in milliseconds: how long spans may wait for others; 5 s.
    pub delay: Duration,
}

impl Otlp {
    /// To that address, with all that is usual.
    pub fn to(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            headers: vec![],
            timeout: Duration::from_secs(10),
            service: "lectern".into(),
            attributes: vec![],
            sampling: Sampling {
                is_by_parent: true,
                ratio: 1.0,
            },
            delay: Duration::from_secs(5),
        }
    }

    /// `None` where no collector is named, or `OTEL_SDK_DISABLED` or `OTEL_TRACES_EXPORTER` says so:
    /// OpenTelemetry's default, a collector on this machine, would be asked in vain on most.
    pub(super) fn of(environment: &Environment) -> Result<Option<Self>, ConfigError> {
        let get = |name: &str| environment.get(name);
        let traces = |what: &str| {
            get(&format!("OTEL_EXPORTER_OTLP_TRACES_{what}"))
                .or_else(|| get(&format!("OTEL_EXPORTER_OTLP_{what}")))
        };
        let is_off = get("OTEL_SDK_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true"))
            || get("OTEL_TRACES_EXPORTER").as_deref() == Some("none");
        let endpoint = get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| {
            let base = get("OTEL_EXPORTER_OTLP_ENDPOINT")?;
            Some(format!("{}/v1/traces", base.trim_end_matches('/')))
        });
        let Some(endpoint) = endpoint.filter(|_| !is_off) else {
            return Ok(None);
        };
        check_endpoint(&endpoint)?;
        check_protocol(traces("PROTOCOL").as_deref())?;
        let pairs = |text: Option<String>| pairs(text.as_deref().unwrap_or_default());
        let headers = pairs(traces("HEADERS")).into_iter();
        let attributes = pairs(get("OTEL_RESOURCE_ATTRIBUTES"));
        let named = attributes.iter().find(|(key, _)| key == "service.name");
        let named = named.map(|(_, name)| name.clone());
        let usual = Self::to(&endpoint);
        Ok(Some(Self {
            headers: headers.map(|(name, value)| (name, value.into())).collect(),
            timeout: milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT", traces("TIMEOUT"))?
                .unwrap_or(usual.timeout),
            service: get("OTEL_SERVICE_NAME").or(named).unwrap_or(usual.service),
            attributes,
            sampling: sampling(get("OTEL_TRACES_SAMPLER"), get("OTEL_TRACES_SAMPLER_ARG"))?,
            delay: milliseconds("OTEL_BSP_SCHEDULE_DELAY", get("OTEL_BSP_SCHEDULE_DELAY"))?
                .unwrap_or(usual.delay),
            endpoint,
        }))
    }
}

fn invalid<T>(name: &str, why: &str) -> Result<T, ConfigError> {
    Err(ConfigError::Invalid(name.to_owned(), why.to_owned()))
}

fn check_endpoint(endpoint: &str) -> Result<(), ConfigError> {
    let parsed = reqwest::Url::parse(endpoint).ok();
    let is_fine = parsed.is_some_and(|url| ["http", "https"].contains(&url.scheme()));
    match is_fine {
        true => Ok(()),
        // Without the value, which may hold a key.
        false => invalid("OTEL_EXPORTER_OTLP_ENDPOINT", "is no http or https URL"),
    }
}

fn check_protocol(protocol: Option<&str>) -> Result<(), ConfigError> {
    match protocol {
        None | Some("http/protobuf") => Ok(()),
        Some(_) => invalid(
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "is not http/protobuf, which is what this host speaks",
        ),
    }
}

fn milliseconds(name: &str, value: Option<String>) -> Result<Option<Duration>, ConfigError> {
    match value.map(|value| value.parse()) {
        None => Ok(None),
        Some(Ok(ms)) => Ok(Some(Duration::from_millis(ms))),
        Some(Err(_)) => invalid(name, "is no number of milliseconds"),
    }
}

/// `a=1,b=2`, the values percent-encoded: W3C's baggage, as OpenTelemetry has it. What is no pair is
/// left out.
fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        Some((key.trim().to_owned(), value.into_owned()))
    };
    text.split(',').filter_map(pair).collect()
}

fn sampling(name: Option<String>, arg: Option<String>) -> Result<Sampling, ConfigError> {
    let name = name.as_deref().unwrap_or("parentbased_always_on");
    let (is_by_parent, kind) = match name.strip_prefix("parentbased_") {
        Some(kind) => (true, kind),
        None => (false, name),
    };
    let ratio = match kind {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => match arg.as_deref().unwrap_or("1").parse() {
            Ok(ratio @ 0.0..=1.0) => ratio,
            _ => return invalid("OTEL_TRACES_SAMPLER_ARG", "is no number from 0 to 1"),
        },
        _ => {
            return invalid(
                "OTEL_TRACES_SAMPLER",
                "is none of always_on, always_off, traceidratio, or one of these after parentbased_",
            );
        }
    };
    Ok(Sampling {
        is_by_parent,
        ratio,
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn otlp<const N: usize>(variables: [(&str, &str); N]) -> Result<Option<Otlp>, ConfigError> {
        Otlp::of(&variables.into())
    }

    #[test]
    fn nothing_is_traced_unless_a_collector_is_named() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/");
        assert!(otlp([]).unwrap().is_none());
        assert!(
            otlp([endpoint, ("OTEL_SDK_DISABLED", "true")])
                .unwrap()
                .is_none()
        );
        assert!(
            otlp([endpoint, ("OTEL_TRACES_EXPORTER", "none")])
                .unwrap()
                .is_none()
        );
        let named = otlp([endpoint]).unwrap().unwrap();
        assert_eq!(named.endpoint, "http://127.0.0.1:4318/v1/traces");
        assert_eq!(
            (named.service.as_str(), named.sampling.ratio),
            ("lectern", 1.0)
        );
        let own = (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://127.0.0.1:4318/x",
        );
        let named = otlp([endpoint, own]).unwrap().unwrap();
        assert_eq!(named.endpoint, "http://127.0.0.1:4318/x");
    }

    #[test]
    fn headers_attributes_and_the_sampler_are_opentelemetry_s() {
        let read = otlp([
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "authorization=Bearer%20k, x=1,none",
            ),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=school,zone=b"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
        ]);
        let read = read.unwrap().unwrap();
        let headers = read.headers.iter();
        let headers: Vec<_> = headers
            .map(|(k, v)| (k.as_str(), v.expose_secret()))
            .collect();
        assert_eq!(headers, [("authorization", "Bearer k"), ("x", "1")]);
        assert_eq!(read.service, "school");
        assert_eq!(read.attributes[1], ("zone".to_owned(), "b".to_owned()));
        assert_eq!(read.timeout, Duration::from_millis(500));
        let sampling = Sampling {
            is_by_parent: true,
            ratio: 0.25,
        };
        assert_eq!(read.sampling, sampling);
    }

    #[test]
    fn what_cannot_be_is_told_by_the_variable_s_name_alone() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        for (variables, named) in [
            (
                [
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://u:secret@x"),
                    ("A", "b"),
                ],
                "OTEL_EXPORTER_OTLP_ENDPOINT",
            ),
            (
                [endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
                "OTEL_EXPORTER_OTLP_PROTOCOL",
            ),
            (
                [endpoint, ("OTEL_TRACES_SAMPLER", "secret")],
                "OTEL_TRACES_SAMPLER",
            ),
            (
                [endpoint, ("OTEL_BSP_SCHEDULE_DELAY", "soon")],
                "OTEL_BSP_SCHEDULE_DELAY",
            ),
        ] {
            let error = otlp(variables).err().unwrap().to_string();
            assert!(
                error.starts_with(named) && !error.contains("secret"),
                "{error}"
            );
        }
        let ratio = [
            endpoint,
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ];
        assert!(otlp(ratio).is_err());
    }
}
