//! Where a client is. `X-Forwarded-For` is anybody's to write: it is read from its end, as far as those
//! who wrote it are trusted.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The other end of the connection that a request came by; whoever serves one says so.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Where the client of a request is that another of its requests has asked for: it was found once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client(pub(crate) IpAddr);

const FORWARDED: &str = "x-forwarded-for";
/// A client's to lengthen: more proxies than stand in a row.
const HOPS: usize = 16;

/// The first address, from the connection's end, that is no trusted proxy's.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| proxies.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    if !is_trusted(&client) {
        return client;
    }
    let values = headers.get_all(FORWARDED).into_iter().rev();
    let values = values.filter_map(|value| value.to_str().ok());
    for hop in values.flat_map(|value| value.rsplit(',')).take(HOPS) {
        let Some(address) = parse(hop.trim()) else {
            break;
        };
        client = address;
        if !is_trusted(&client) {
            break;
        }
    }
    client
}

/// With a port or without, as proxies write it.
fn parse(hop: &str) -> Option<IpAddr> {
    let bare = hop.parse().ok();
    let address = bare.or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// What is counted as one: of IPv6 the network of /64, in which a client may be anybody.
pub(crate) fn key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() & !u128::from(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn found(peer: &str, forwarded: &[&str], proxies: &[&str]) -> String {
        let header = |value: &&str| (FORWARDED.parse().unwrap(), value.parse().unwrap());
        let headers: HeaderMap<HeaderValue> = forwarded.iter().map(header).collect();
        let proxies: Vec<IpNet> = proxies.iter().map(|p| p.parse().unwrap()).collect();
        client(peer.parse().unwrap(), &headers, &proxies).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(found("9.9.9.9", &["1.1.1.1"], &[]), "9.9.9.9");
        assert_eq!(found("9.9.9.9", &["1.1.1.1"], &["10.0.0.0/8"]), "9.9.9.9");
        let ours = ["10.0.0.0/8", "::1/128"];
        assert_eq!(found("10.0.0.1", &["1.1.1.1"], &ours), "1.1.1.1");
        assert_eq!(found("::1", &["1.1.1.1"], &ours), "1.1.1.1");
        assert_eq!(found("::ffff:10.0.0.1", &["1.1.1.1"], &ours), "1.1.1.1");
        assert_eq!(found("10.0.0.1", &[], &ours), "10.0.0.1");
    }

    #[test]
    fn what_a_client_wrote_before_its_own_address_is_not_read() {
        let ours = ["10.0.0.0/8"];
        for (forwarded, expected) in [
            (vec!["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
            (vec!["6.6.6.6", "1.1.1.1, 10.0.0.2"], "1.1.1.1"),
            (vec!["10.0.0.3, 1.1.1.1:443"], "1.1.1.1"),
            (vec!["[2001:db8::1]:443"], "2001:db8::1"),
            (vec!["1.1.1.1, nonsense"], "10.0.0.1"),
            (vec!["1.1.1.1, nonsense, 10.0.0.2"], "10.0.0.2"),
        ] {
            assert_eq!(found("10.0.0.1", &forwarded, &ours), expected);
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let of = |text: &str| key(text.parse().unwrap());
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_ne!(of("1.2.3.4"), of("1.2.3.5"));
    }
}
