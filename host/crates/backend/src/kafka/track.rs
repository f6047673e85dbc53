//! What of one partition is in hand: which event may go, and up to where all are done. Pure, so that
//! the rules of order and of commits can be tested without a broker.

use std::collections::{BTreeMap, HashMap, VecDeque};

use capability::events::{Event, Failure};

/// An event with what is known of its attempts on this host.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) event: Event,
    pub(super) attempt: u32,
    pub(super) broken: u32,
    pub(super) previous: Option<Failure>,
}

impl Entry {
    pub(super) fn new(event: Event) -> Self {
        Self {
            event,
            attempt: 1,
            broken: 0,
            previous: None,
        }
    }

    fn bytes(&self) -> usize {
        self.event.payload.len() + self.event.key.len()
    }
}

/// One partition's unfinished events, and those finished above the lowest unfinished one.
#[derive(Default)]
pub(super) struct Track {
    /// `None` for a finished one.
    entries: BTreeMap<i64, Option<Entry>>,
    /// Unfinished offsets by key, in order: only the first of each may go.
    by_key: HashMap<String, VecDeque<i64>>,
    /// After the last offset seen.
    next: i64,
    /// Of unfinished events.
    bytes: usize,
}

impl Track {
    /// Takes an event over; answers whether it may go at once. One that is in hand already, as after
    /// a rebalance that gave the partition back, is not taken twice.
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
        self.entries.insert(offset, Some(entry));
        is_first
    }

    /// An unfinished event.
    pub(super) fn get(&self, offset: i64) -> Option<&Entry> {
        self.entries.get(&offset)?.as_ref()
    }

    /// The next attempt is told of this one.
    pub(super) fn retry(&mut self, offset: i64, failure: Option<Failure>) {
        if let Some(Some(entry)) = self.entries.get_mut(&offset) {
            entry.attempt += 1;
            entry.broken += u32::from(failure.is_some());
            entry.previous = failure;
        }
    }

    /// Finishes an event; answers the one of its key that may go now.
    pub(super) fn finish(&mut self, offset: i64) -> Option<i64> {
        let entry = self.entries.get_mut(&offset)?.take()?;
        self.bytes -= entry.bytes();
        let queue = self.by_key.get_mut(&entry.event.key)?;
        queue.pop_front();
        let next = queue.front().copied();
        if next.is_none() {
            self.by_key.remove(&entry.event.key);
        }
        next
    }

    /// The offset to commit, where it moved: everything below is done.
    pub(super) fn commit(&mut self) -> Option<i64> {
        let mut moved = false;
        while let Some(first) = self.entries.first_entry() {
            if first.get().is_some() {
                break;
            }
            first.remove();
            moved = true;
        }
        let lowest = self.entries.keys().next().copied();
        moved.then(|| lowest.unwrap_or(self.next))
    }

    /// Events above the commit.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
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
        assert_eq!(track.commit(), None);
        track.finish(11);
        assert_eq!(track.commit(), None, "10 is not done");
        track.finish(10);
        assert_eq!(track.commit(), Some(12));
        assert_eq!(track.commit(), None);
        track.finish(12);
        assert_eq!(track.commit(), Some(13));
        assert_eq!((track.len(), track.bytes()), (0, 0));
    }

    #[test]
    fn a_retry_keeps_its_place_and_counts() {
        let (mut track, _) = track(&["a", "a"]);
        track.retry(10, Some(Failure::Cpu));
        let entry = track.get(10).unwrap();
        assert_eq!((entry.attempt, entry.broken), (2, 1));
        assert_eq!(track.finish(10), Some(11));
    }

    #[test]
    fn an_event_in_hand_is_not_taken_twice() {
        let (mut track, _) = track(&["a", "b"]);
        assert!(!track.push(10, event("a")));
        assert_eq!(track.len(), 2);
    }
}
