//! Log lines in the contract's form, `2025-12-05 10:30:00 - service-name - INFO - Message`, or as JSON.

use std::fmt;

use time::OffsetDateTime;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Whose line it is when no component is named.
const HOST: &str = "lectern";

/// Starts logging to stderr. `LECTERN_LOG` filters, as in `debug` or `runtime=debug,info`;
/// `LECTERN_LOG_FORMAT=json` writes one object a line.
pub fn init() {
    let wanted = std::env::var("LECTERN_LOG").unwrap_or_default();
    let wanted = if wanted.is_empty() { "info" } else { &wanted };
    // What speaks of itself at every step is quiet unless it is named.
    let quiet = "sqlx=warn,wasmtime=warn,cranelift=warn";
    let filter = EnvFilter::try_new(format!("{quiet},{wanted}"))
        .unwrap_or_else(|_| EnvFilter::new(format!("{quiet},info")));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let _ = match std::env::var("LECTERN_LOG_FORMAT").as_deref() {
        Ok("json") => lines.event_format(Json).try_init(),
        _ => lines.event_format(Contract).try_init(),
    };
}

/// The contract's form.
struct Contract;

/// One JSON object: `timestamp` (RFC 3339, UTC, milliseconds), `service`, `level`, `message`, and the
/// line's other fields.
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
        line
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
