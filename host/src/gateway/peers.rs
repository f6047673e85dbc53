//! Connections by address: one machine has a part of the places, so that it cannot keep all others out by
//! holding them and saying nothing.

use std::net::IpAddr;

use ipnet::IpNet;

use super::limits::key;
use super::shares::{Share, Shares};

/// Of all places, one address has so much.
const PART: usize = 4;

/// Connections, by address.
pub(super) struct Peers {
    most: usize,
    /// Behind which are many.
    proxies: Vec<IpNet>,
    counts: Shares,
}

/// An address has as many as one may.
#[derive(Debug)]
pub(super) struct Full;

impl Peers {
    pub(super) fn new(places: usize, proxies: &[IpNet]) -> Self {
        Self {
            most: (places / PART).max(1),
            proxies: proxies.to_vec(),
            counts: Shares::default(),
        }
    }

    /// `None` where the address is this machine's or a proxy's, and many may come by it.
    pub(super) fn place(&self, from: IpAddr) -> Result<Option<Share>, Full> {
        let is_shared = |from| self.proxies.iter().any(|proxy| proxy.contains(&from));
        let from = from.to_canonical();
        if from.is_loopback() || is_shared(from) {
            return Ok(None);
        }
        self.counts.take(key(from), self.most).map(Some).ok_or(Full)
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
        assert!(peers.counts.is_empty());
    }
}
