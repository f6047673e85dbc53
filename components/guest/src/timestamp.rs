//! Points in time as the contract writes them: RFC 3339, UTC, whole seconds.

use time::OffsetDateTime;
use time::macros::format_description;

/// As in `2025-12-05T10:30:00Z`.
pub fn format(microseconds: i64) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    OffsetDateTime::from_unix_timestamp(microseconds.div_euclid(1_000_000))
        .ok()
        .and_then(|at| at.format(form).ok())
        .unwrap_or_default()
}

/// This moment, in microseconds since the Unix epoch.
pub fn microseconds() -> i64 {
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000;
    i64::try_from(now).unwrap_or(i64::MAX)
}

/// This moment.
pub fn now() -> String {
    format(microseconds())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_in_whole_seconds() {
        assert_eq!(format(1_764_930_600_999_999), "2025-12-05T10:30:00Z");
        assert_eq!(format(-1), "1969-12-31T23:59:59Z");
        assert_eq!(format(i64::MAX), "");
    }
}
