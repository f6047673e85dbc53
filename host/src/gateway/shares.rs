//! How much one has of what there is for all: counted by a hash of whose it is, each until it is dropped. A
//! share costs no memory but its count's.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All shares.
#[derive(Clone, Default)]
pub(crate) struct Shares(Arc<Mutex<HashMap<u128, usize>>>);

/// One of them.
pub(crate) struct Share {
    shares: Shares,
    key: u128,
}

impl Shares {
    /// `None` where that one has as many as `most` already.
    pub(crate) fn take(&self, key: u128, most: usize) -> Option<Share> {
        let mut shares = self.lock();
        let count = shares.entry(key).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(shares);
        let shares = self.clone();
        Some(Share { shares, key })
    }

    /// Whether nobody has any.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.shares.lock().entry(self.key) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}
