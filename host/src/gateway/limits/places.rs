//! What one user has in hand of one component: a part of its turns, so that the others' requests find some
//! however slowly theirs are sent or taken.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::gateway::shares::{Share, Shares};

/// Of a component's turns, one user has a fourth.
const PART: usize = 4;
/// As many as a WebSocket has subscriptions, whatever the component's turns are.
const LEAST: usize = 16;

/// Requests in hand, by hashes of user and component.
#[derive(Default)]
pub(crate) struct Places(Shares);

/// A request in hand; hold it until its answer's last byte.
pub(crate) type Place = Share;

impl Places {
    /// `None` where the user has as many as one may of a component that has so many turns.
    pub(crate) fn take(&self, user: u128, of: &str, turns: usize) -> Option<Place> {
        let mut hasher = DefaultHasher::new();
        of.hash(&mut hasher);
        let key = user ^ u128::from(hasher.finish());
        self.0.take(key, (turns / PART).max(LEAST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_part_of_a_component_s_turns_and_others_have_theirs() {
        let places = Places::default();
        let (chat, quiz) = ("chat", "quiz");
        let mut held: Vec<_> = (0..32)
            .map(|_| places.take(1, chat, 128).unwrap())
            .collect();
        assert!(places.take(1, chat, 128).is_none());
        for (user, of) in [(2, chat), (1, quiz)] {
            assert!(places.take(user, of, 128).is_some());
        }
        held.pop();
        assert!(places.take(1, chat, 128).is_some());
        drop(held);
        assert!(places.0.is_empty());
    }
}
