//! Log lines in the contract's form, `2025-12-05 10:30:00 - service-name - INFO - Message`, or as JSON.
//! Each ends with the request that it is a part of, and with the trace where one is recorded.

use std::fmt;

use capability::trace::Cause;
use time::OffsetDateTime;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::telemetry::Logging;

/// Whose line it is when no component is named.
const HOST: &str = "lectern";

/// Starts logging to stderr.
pub fn init() {
    let Logging { filter, is_json } = Logging::read();
    let wanted = filter.as_deref().unwrap_or("info");
    // What speaks of itself at every step is quiet unless it is named.
    let quiet = "sqlx=warn,wasmtime=warn,cranelift=warn";
    let filter = EnvFilter::try_new(format!("{quiet},{wanted}"))
        .unwrap_or_else(|_| EnvFilter::new(format!("{quiet},info")));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let _ = match is_json {
        true => lines.event_format(Json).try_init(),
        false => lines.event_format(Contract).try_init(),
    };
}

/// The contract's form.
struct Contract;

/// One JSON object: `timestamp` (RFC 3339, UTC, milliseconds), `service`, `level`, `message`, and the
/// line's other fields, `request_id` and `trace_id` among them.
struct Json;

/// The fields of a line: `service` and `message` have their places, the rest follows as `key=value`.
#[derive(Default)]
struct Line {
    service: Option<String>,
    message: String,
    rest: Vec<(&'static str, String)>,
}

impl Line {
    fn of(event: &Event<'_>) -> Self {
        let mut line = Self::default();
        event.record(&mut line);
        Cause::with_now(|cause| line.complete(cause));
        line
    }

    /// With what it does not say itself.
    fn complete(&mut self, cause: &Cause) {
        let id = cause.request_id.as_ref().map(ToString::to_string);
        let trace = cause.trace_id().map(|id| id.to_string());
        for (name, value) in [("request_id", id), ("trace_id", trace)] {
            let is_said = self.rest.iter().any(|(said, _)| *said == name);
            if let (Some(value), false) = (value, is_said) {
                self.rest.push((name, value));
            }
        }
    }

    fn service(&self) -> &str {
        self.service.as_deref().unwrap_or(HOST)
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "service" => self.service = Some(format!("{value:?}")),
            "message" => self.message = format!("{value:?}"),
            name => self.rest.push((name, format!("{value:?}"))),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

impl<S, N> FormatEvent<S, N> for Contract
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let line = Line::of(event);
        let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
        let now = OffsetDateTime::now_utc().format(form).unwrap_or_default();
        let (service, level) = (line.service(), level(*event.metadata().level()));
        write!(
            writer,
            "{now} - {service} - {level} - {}",
            plain(&line.message)
        )?;
        for (name, value) in &line.rest {
            write!(writer, " {name}={}", plain(value))?;
        }
        writeln!(writer)
    }
}

/// What comes from outside must not begin a line of its own.
fn plain(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(visible).collect()
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let line = Line::of(event);
        let form = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        );
        let now = OffsetDateTime::now_utc().format(form).unwrap_or_default();
        // The fields first: none takes the place of what follows.
        let mut object = serde_json::Map::new();
        for (name, value) in &line.rest {
            object.insert((*name).to_owned(), value.as_str().into());
        }
        let level = level(*event.metadata().level());
        for (name, value) in [
            ("timestamp", now.as_str()),
            ("service", line.service()),
            ("level", level),
            ("message", &line.message),
        ] {
            object.insert(name.to_owned(), value.into());
        }
        writeln!(writer, "{}", serde_json::Value::Object(object))
    }
}

/// Python's names, as the contract's services wrote them.
fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        _ => "DEBUG",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use capability::trace::parse;
    use tracing_subscriber::fmt::format::DefaultFields;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            written.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(
        format: impl FormatEvent<tracing_subscriber::Registry, DefaultFields> + Send + Sync + 'static,
    ) -> String {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .event_format(format)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(service = "chat", why = "a\n\"b\"", "gone\nforged - line");
        });
        let bytes = written.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn a_line_is_one_line_in_the_contract_s_form() {
        let line = lines(Contract);
        assert!(
            line.ends_with(" - chat - WARNING - gone forged - line why=a \"b\"\n"),
            "{line}"
        );
        assert_eq!(line.lines().count(), 1);
    }

    #[tokio::test]
    async fn a_line_names_the_request_and_the_trace_that_it_is_part_of() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let sampled = |flags: u8| Cause {
            request_id: Some("7".into()),
            span: parse(&format!("00-{trace}-b7ad6b7169203331-0{flags}"), None),
            ..Cause::default()
        };
        let line = sampled(1).scope(async { lines(Contract) }).await;
        let end = format!(" why=a \"b\" request_id=7 trace_id={trace}\n");
        assert!(line.ends_with(&end), "{line}");
        let line = sampled(1).scope(async { lines(Json) }).await;
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&object["request_id"], &object["trace_id"]),
            (&"7".into(), &trace.into())
        );
        // A trace that no collector has is not looked for.
        let line = sampled(0).scope(async { lines(Contract) }).await;
        assert!(line.ends_with("request_id=7\n"), "{line}");
    }

    #[test]
    fn a_line_of_json_is_one_object() {
        let line = lines(Json);
        assert_eq!(line.lines().count(), 1);
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["service"], "chat");
        assert_eq!(object["level"], "WARNING");
        assert_eq!(object["message"], "gone\nforged - line");
        assert_eq!(object["why"], "a\n\"b\"");
        assert!(object["timestamp"].as_str().unwrap().ends_with('Z'));
    }
}
