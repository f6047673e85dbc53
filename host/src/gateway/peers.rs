//! Connections by address: one machine has a part of the places, so that it cannot keep all others out by
//! holding them and saying nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;

use super::limits::key;

/// Of all places, one address has so much.
const PART: usize = 4;

/// Connections, by address.
#[derive(Clone)]
pub(super) struct Peers {
    most: usize,
    /// Behind which are many.
    proxies: Arc<[IpNet]>,
    counts: Arc<Mutex<HashMap<u128, usize>>>,
}

/// One of them, until it is dropped.
pub(super) struct PeerPlace {
    peers: Peers,
    key: u128,
}

/// An address has as many as one may.
#[derive(Debug)]
pub(super) struct Full;

impl Peers {
    pub(super) fn new(places: usize, proxies: &[IpNet]) -> Self {
        Self {
            most: (places / PART).max(1),
            proxies: proxies.into(),
            counts: Arc::default(),
        }
    }

    /// `None` where the address is this machine's or a proxy's, and many may come by it.
    pub(super) fn place(&self, from: IpAddr) -> Result<Option<PeerPlace>, Full> {
        let is_shared = |from| self.proxies.iter().any(|proxy| proxy.contains(&from));
        let from = from.to_canonical();
        if from.is_loopback() || is_shared(from) {
            return Ok(None);
        }
        let key = key(from);
        let mut counts = self.lock();
        let count = counts.entry(key).or_default();
        if *count >= self.most {
            return Err(Full);
        }
        *count += 1;
        drop(counts);
        let peers = self.clone();
        Ok(Some(PeerPlace { peers, key }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PeerPlace {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.peers.lock().entry(self.key) {
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
    fn one_address_has_a_part_of_the_places_and_a_proxy_has_all() {
        let peers = Peers::new(8, &["192.0.2.0/24".parse().unwrap()]);
        let from = |ip: &str| peers.place(ip.parse().unwrap());
        let held = [from("198.51.100.1").unwrap(), from("198.51.100.1").unwrap()];
        assert!(from("198.51.100.1").is_err());
        assert!(from("::ffff:198.51.100.1").is_err());
        assert!(from("198.51.100.2").is_ok_and(|place| place.is_some()));
        for many in ["192.0.2.7", "127.0.0.1", "::1"] {
            assert!(from(many).is_ok_and(|place| place.is_none()), "{many}");
        }
        drop(held);
        assert!(peers.lock().is_empty());
    }
}
