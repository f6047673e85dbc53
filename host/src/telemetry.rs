//! Log lines in the contract's form: `2025-12-05 10:30:00 - service-name - INFO - Message`.

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

/// Starts logging to stderr. `LECTERN_LOG` filters, as in `debug` or `runtime=debug,info`.
pub fn init() {
    let wanted = std::env::var("LECTERN_LOG").unwrap_or_default();
    let wanted = if wanted.is_empty() { "info" } else { &wanted };
    // What speaks of itself at every step is quiet unless it is named.
    let quiet = "sqlx=warn,wasmtime=warn,cranelift=warn";
    let filter = EnvFilter::try_new(format!("{quiet},{wanted}"))
        .unwrap_or_else(|_| EnvFilter::new(format!("{quiet},info")));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .event_format(ContractFormat)
        .try_init();
}

struct ContractFormat;

/// The fields of a line: `service` and `message` have their places, the rest follows as `key=value`.
#[derive(Default)]
struct Line {
    service: Option<String>,
    message: String,
    rest: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "service" => self.service = Some(format!("{value:?}")),
            "message" => self.message = format!("{value:?}"),
            name => self.rest.push_str(&format!(" {name}={value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

impl<S, N> FormatEvent<S, N> for ContractFormat
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
        let mut line = Line::default();
        event.record(&mut line);
        let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
        let now = OffsetDateTime::now_utc().format(form).unwrap_or_default();
        let service = line.service.as_deref().unwrap_or(HOST);
        let level = level(*event.metadata().level());
        // What comes from outside must not begin a line of its own.
        let text: String = format!("{}{}", line.message, line.rest)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        writeln!(writer, "{now} - {service} - {level} - {text}")
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
