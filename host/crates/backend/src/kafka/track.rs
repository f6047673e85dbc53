//! What of one partition is in hand: which event may go, and up to where all are done. Pure, so that
//! the rules of order and of commits can be tested without a broker.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use capability::events::{Event, Failure};

/// An event with what is known of its attempts on this host.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) event: Event,
    pub(super) attempt: u32,
    pub(super) broken: u32,
    pub(super) previous: Option<Failure>,
    first_at: Option<Instant>,
}

impl Entry {
    pub(super) fn new(event: Event) -> Self {
        Self {
            event,
            attempt: 1,
            broken: 0,
            previous: None,
            first_at: None,
        }
    }

    /// Since its first attempt on this host, which is now where there was none.
    pub(super) fn tried_for(&mut self) -> Duration {
        self.first_at.get_or_insert_with(Instant::now).elapsed()
    }

    fn bytes(&self) -> usize {
        self.event.payload.len() + self.event.key.len()
    }
}

/// One partition's unfinished events, and which offsets above the first of them are done.
#[derive(Default)]
pub(super) struct Track {
    unfinished: BTreeMap<i64, Entry>,
    /// Unfinished offsets by key, in order: only the first of each may go.
    by_key: HashMap<String, VecDeque<i64>>,
    /// After the last offset seen.
    next: i64,
    /// What was last to be committed.
    committed: i64,
    /// Of unfinished events.
    bytes: usize,
}

impl Track {
    /// Takes an event over; answers whether it may go at once.
    pub(super) fn push(&mut self, offset: i64, event: Event) -> bool {
        if offset < self.next {
            return false;
        }
        let entry = Entry::new(event);
        self.next = offset + 1;
        self.bytes += entry.bytes();
        // Events without a key have no order among them.
        let is_first = entry.event.key.is_empty() || {
            let queue = self.by_key.entry(entry.event.key.clone()).or_default();
            queue.push_back(offset);
            queue.len() == 1
        };
        self.unfinished.insert(offset, entry);
        is_first
    }

    /// An unfinished event.
    pub(super) fn get_mut(&mut self, offset: i64) -> Option<&mut Entry> {
        self.unfinished.get_mut(&offset)
    }

    /// The next attempt is told of this one.
    pub(super) fn retry(&mut self, offset: i64, failure: Option<Failure>) {
        if let Some(entry) = self.unfinished.get_mut(&offset) {
            entry.attempt += 1;
            entry.broken += u32::from(failure.is_some());
            entry.previous = failure;
        }
    }

    /// Finishes an event; answers the one of its key that may go now.
    pub(super) fn finish(&mut self, offset: i64) -> Option<i64> {
        let entry = self.unfinished.remove(&offset)?;
        self.bytes -= entry.bytes();
        let queue = self.by_key.get_mut(&entry.event.key)?;
        queue.pop_front();
        let next = queue.front().copied();
        if next.is_none() {
            self.by_key.remove(&entry.event.key);
        }
        next
    }

    /// The offset to commit, where it moved: everything below is done. What is done above it comes
    /// again after a crash, and is known to the consumer's own inbox.
    pub(super) fn commit(&mut self) -> Option<i64> {
        let lowest = self.unfinished.keys().next().copied();
        let lowest = lowest.unwrap_or(self.next);
        let has_moved = lowest > self.committed;
        self.committed = lowest;
        has_moved.then_some(lowest)
    }

    /// How many events are not done. One that is tried for long holds up none but its key's.
    pub(super) fn unfinished(&self) -> usize {
        self.unfinished.len()
    }

    /// Of unfinished events.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(key: &str) -> Event {
        Event {
            id: "1".into(),
            topic: "t".into(),
            key: key.into(),
            payload: "{}".into(),
            occurred_at: 0,
            trace: None,
            request_id: None,
        }
    }

    fn track(keys: &[&str]) -> (Track, Vec<i64>) {
        let mut track = Track::default();
        let offsets = 10..;
        let go = offsets
            .zip(keys)
            .filter(|(offset, key)| track.push(*offset, event(key)))
            .map(|(offset, _)| offset)
            .collect();
        (track, go)
    }

    #[test]
    fn of_one_key_only_the_first_may_go() {
        let (mut track, go) = track(&["a", "a", "b", "a"]);
        assert_eq!(go, [10, 12]);
        assert_eq!(track.finish(10), Some(11));
        assert_eq!(track.finish(11), Some(13));
        assert_eq!(track.finish(13), None);
    }

    #[test]
    fn events_without_a_key_wait_for_nobody() {
        let (_, go) = track(&["", "", ""]);
        assert_eq!(go, [10, 11, 12]);
    }

    #[test]
    fn a_commit_stops_before_the_first_unfinished_event() {
        let (mut track, _) = track(&["a", "b", "c"]);
        assert_eq!(track.commit(), Some(10));
        track.finish(11);
        assert_eq!(track.commit(), None, "10 is not done");
        track.finish(10);
        assert_eq!(track.commit(), Some(12));
        assert_eq!(track.commit(), None);
        track.finish(12);
        assert_eq!(track.commit(), Some(13));
        assert_eq!((track.unfinished(), track.bytes()), (0, 0));
    }

    #[test]
    fn a_retry_keeps_its_place_and_counts() {
        let (mut track, _) = track(&["a", "a"]);
        track.retry(10, Some(Failure::Cpu));
        let entry = track.get_mut(10).unwrap();
        assert_eq!((entry.attempt, entry.broken), (2, 1));
        assert_eq!(track.finish(10), Some(11));
    }

    #[test]
    fn an_event_in_hand_is_not_taken_twice() {
        let (mut track, _) = track(&["a", "b"]);
        assert!(!track.push(10, event("a")));
        assert_eq!(track.unfinished(), 2);
    }
}
