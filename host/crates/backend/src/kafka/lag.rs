//! What consumer groups have still to handle, as librdkafka's statistics say.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use capability::events::Lag;
use rdkafka::statistics::Statistics;

/// By group and topic, without prefixes, as of a few seconds ago.
#[derive(Default)]
pub(super) struct Lags(Mutex<BTreeMap<String, BTreeMap<String, u64>>>);

impl Lags {
    /// A consumer's statistics; `plain` takes the prefix off a topic's name.
    pub(super) fn heard(
        &self,
        group: &str,
        statistics: &Statistics,
        plain: impl Fn(&str) -> String,
    ) {
        let topics = statistics.topics.iter().map(|(name, topic)| {
            let partitions = topic.partitions.values();
            // Negative where it is not known, as of partitions that are others'.
            let lags = partitions.filter_map(|p| u64::try_from(p.consumer_lag).ok());
            (plain(name), lags.sum())
        });
        let topics = topics.collect();
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        groups.insert(group.to_owned(), topics);
    }

    pub(super) fn all(&self) -> Vec<Lag> {
        let groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = groups.iter().flat_map(|(group, topics)| {
            topics.iter().map(|(topic, events)| Lag {
                group: group.clone(),
                topic: topic.clone(),
                events: *events,
            })
        });
        all.collect()
    }
}
