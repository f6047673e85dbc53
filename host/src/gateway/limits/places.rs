//! What one user has in hand of one component: a part of its turns, so that the others' requests find some
//! however slowly theirs are sent or taken.

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use capability::ComponentName;

/// Of a component's turns, one user has a fourth.
const PART: usize = 4;
/// As many as a WebSocket has subscriptions, whatever the component's turns are.
const LEAST: usize = 16;

/// Requests in hand, by hashes of user and component: a place costs no memory but its count's.
#[derive(Clone, Default)]
pub(crate) struct Places(Arc<Mutex<HashMap<u128, usize>>>);

/// A request in hand; hold it until its answer's last byte.
pub(crate) struct Place {
    places: Places,
    key: u128,
}

impl Places {
    /// `None` where the user has as many as one may of a component that has so many turns.
    pub(crate) fn take(&self, user: u128, of: &ComponentName, turns: usize) -> Option<Place> {
        let mut hasher = DefaultHasher::new();
        of.hash(&mut hasher);
        let key = user ^ u128::from(hasher.finish());
        let mut places = self.lock();
        let count = places.entry(key).or_default();
        if *count >= (turns / PART).max(LEAST) {
            return None;
        }
        *count += 1;
        drop(places);
        Some(Place {
            places: self.clone(),
            key,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.places.lock().entry(self.key) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_part_of_a_component_s_turns_and_others_have_theirs() {
        let places = Places::default();
        let (chat, quiz) = ("chat", "quiz");
        let name = |name| ComponentName::parse(name).unwrap();
        let mut held: Vec<_> = (0..32)
            .map(|_| places.take(1, &name(chat), 128).unwrap())
            .collect();
        assert!(places.take(1, &name(chat), 128).is_none());
        for (user, of) in [(2, chat), (1, quiz)] {
            assert!(places.take(user, &name(of), 128).is_some());
        }
        held.pop();
        assert!(places.take(1, &name(chat), 128).is_some());
        drop(held);
        assert!(places.lock().is_empty());
    }
}
