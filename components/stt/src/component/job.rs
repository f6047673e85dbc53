//! A job that is being processed, as its row has it.

use guest::identity::User;
use guest::postgres::Row;

use crate::probe::Container;
use crate::request::Wanted;

/// The columns that [`read`] reads.
pub(super) const COLUMNS: &str = "job_id, tenant, user_id, filename, s3_key, container, is_silent, language_code, speakers, \
     vocabulary, aws_job_name is not null, submitted_at < now() - interval '1 day', looks, duration::text, warnings";

pub(super) struct Job {
    pub(super) id: String,
    pub(super) user: User,
    pub(super) filename: String,
    pub(super) s3_key: String,
    /// `None` until the recording was looked at.
    pub(super) container: Option<Container>,
    pub(super) is_silent: bool,
    pub(super) wanted: Wanted,
    /// There may be a job at the engine.
    pub(super) is_started: bool,
    /// Nobody waits any more.
    pub(super) is_overdue: bool,
    pub(super) looks: u32,
    /// Seconds.
    pub(super) duration: Option<f64>,
    pub(super) warnings: Vec<String>,
}

pub(super) fn read(mut row: Row) -> Job {
    Job {
        id: row.text(0),
        user: User {
            tenant: row.text(1),
            id: row.text(2),
        },
        filename: row.text(3),
        s3_key: row.text(4),
        container: row.opt_text(5).and_then(|name| Container::parse(&name)),
        is_silent: row.boolean(6),
        wanted: Wanted {
            language_code: row.text(7),
            speakers: row.opt_int(8).and_then(|count| u32::try_from(count).ok()),
            vocabulary: serde_json::from_str(&row.text(9)).unwrap_or_default(),
        },
        is_started: row.boolean(10),
        is_overdue: row.boolean(11),
        looks: row.count(12),
        duration: row.opt_text(13).and_then(|seconds| seconds.parse().ok()),
        warnings: serde_json::from_str(&row.text(14)).unwrap_or_default(),
    }
}
