//! The older text format of Prometheus (<https://prometheus.io/docs/instrumenting/exposition_formats/>), for
//! who asks for it alone: the newer one with other words about a metric.

use std::collections::HashSet;

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether it is wanted: `text/plain` is accepted, and the newer format is not.
pub(super) fn is_wanted(accept: &str) -> bool {
    let names = |kind: &str| accept.split(',').any(|part| part.trim().starts_with(kind));
    names("text/plain") && !names("application/openmetrics-text")
}

/// A counter is named as its samples are, and neither a unit nor the end is told.
pub(super) fn older(openmetrics: &str) -> String {
    let mut counters = HashSet::new();
    for line in openmetrics.lines() {
        let about = line.strip_prefix("# TYPE ");
        if let Some(name) = about.and_then(|about| about.strip_suffix(" counter")) {
            counters.insert(name);
        }
    }
    let mut text = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                text.extend(["# ", what, " ", name, "_total ", rest]);
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_the_newer_format_gets_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert!(!is_wanted(prometheus));
        assert!(!is_wanted("*/*"));
        assert!(is_wanted("text/plain;version=0.0.4, */*;q=0.1"));
    }

    #[test]
    fn a_counter_is_named_as_its_samples() {
        let newer = "# HELP a_seconds Time.\n# TYPE a_seconds gauge\n# UNIT a_seconds seconds\na_seconds 1\n\
                     # HELP b Calls.\n# TYPE b counter\nb_total{x=\"# TYPE b counter\"} 2\n# EOF\n";
        let text = "# HELP a_seconds Time.\n# TYPE a_seconds gauge\na_seconds 1\n\
                    # HELP b_total Calls.\n# TYPE b_total counter\nb_total{x=\"# TYPE b counter\"} 2\n";
        assert_eq!(older(newer), text);
    }
}
