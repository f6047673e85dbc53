//! Which addresses are the public internet's. `std` has `is_global`, not stable yet, and that lets
//! pass what a tunnel or a cloud makes private again.
//!
//! <https://www.iana.org/assignments/iana-ipv4-special-registry>,
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Azure's host, in every virtual machine there: public by its number, not by what it serves.
const AZURE_HOST: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// Whether it is a public unicast address, and holds no other address that need not be.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    match (a, b, c) {
        // Unspecified and "this network"; loopback.
        (0 | 127, ..) => false,
        // Private; carrier-grade NAT, and there Alibaba's metadata.
        (10, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) => false,
        // Link-local, and there the metadata of AWS, Google, Azure and others.
        (169, 254, _) => false,
        // Protocols' own, and there Oracle's metadata; relays of 6to4.
        (192, 0, 0) | (192, 88, 99) => false,
        // Documentation; benchmarks.
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) | (198, 18..=19, _) => false,
        // Multicast; reserved; broadcast.
        (224.., ..) => false,
        _ => ip != AZURE_HOST,
    }
}

/// Only 2000::/3 is given out to the public. Outside are loopback, unspecified, v4-mapped and
/// -compatible, NAT64 (64:ff9b::/96 and 64:ff9b:1::/48), discard, unique-local, link-local,
/// site-local and multicast, without a line of their own.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    match (a, b) {
        // Protocols' own, Teredo among them; documentation.
        (0x2001, 0..=0x1ff | 0xdb8) | (0x3fff, 0..=0xfff) => false,
        // 6to4: a v4 address inside.
        (0x2002, _) => false,
        (0x2000..=0x3fff, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(public: bool, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }

    #[test]
    fn an_address_of_the_public_internet_is_public() {
        check(
            true,
            &[
                "1.1.1.1",
                "8.8.8.8",
                "93.184.215.14",
                "2606:4700:4700::1111",
                "2a00:1450:4001:80b::200e",
                "2001:4860:4860::8888",
                "2001:200::1",
            ],
        );
    }

    #[test]
    fn an_address_of_this_machine_or_its_networks_is_not_public() {
        check(
            false,
            &[
                "0.0.0.0",
                "0.1.2.3",
                "127.0.0.1",
                "127.255.255.254",
                "10.0.0.1",
                "172.16.0.1",
                "172.31.255.255",
                "192.168.1.1",
                "169.254.1.1",
                "100.64.0.1",
                "100.127.255.255",
                "::",
                "::1",
                "fc00::1",
                "fdff::1",
                "fe80::1",
                "fec0::1",
            ],
        );
    }

    #[test]
    fn an_address_of_nobody_or_of_many_is_not_public() {
        check(
            false,
            &[
                "192.0.0.1",
                "192.0.2.1",
                "198.51.100.1",
                "203.0.113.1",
                "198.18.0.1",
                "198.19.255.255",
                "192.88.99.1",
                "224.0.0.1",
                "239.255.255.255",
                "240.0.0.1",
                "255.255.255.255",
                "100::1",
                "2001:2::1",
                "2001:10::1",
                "2001:20::1",
                "2001:db8::1",
                "3fff::1",
                "5f00::1",
                "4000::1",
                "ff02::1",
            ],
        );
    }

    #[test]
    fn the_neighbours_of_what_is_not_public_are_public() {
        check(
            true,
            &[
                "1.0.0.0",
                "9.255.255.255",
                "11.0.0.0",
                "100.63.255.255",
                "100.128.0.0",
                "126.255.255.255",
                "128.0.0.0",
                "169.253.255.255",
                "169.255.0.0",
                "172.15.255.255",
                "172.32.0.0",
                "192.0.1.0",
                "192.167.255.255",
                "192.169.0.0",
                "198.17.255.255",
                "198.20.0.0",
                "223.255.255.255",
                "168.63.129.15",
                "2003::1",
                "3ffe::1",
                "3fff:1000::1",
            ],
        );
    }

    #[test]
    fn a_v4_address_inside_a_v6_one_hides_nothing() {
        check(
            false,
            &[
                "::ffff:127.0.0.1",
                "::ffff:169.254.169.254",
                "::ffff:0:127.0.0.1",
                "::127.0.0.1",
                "64:ff9b::127.0.0.1",
                "64:ff9b::10.0.0.1",
                "64:ff9b:1::10.0.0.1",
                "2002:7f00:1::",
                "2002:a9fe:a9fe::",
                "2001:0:a00:1::",
            ],
        );
    }

    #[test]
    fn where_a_cloud_keeps_its_credentials_is_not_public() {
        check(
            false,
            &[
                "169.254.169.254",
                "169.254.170.2",
                "fd00:ec2::254",
                "fe80::a9fe:a9fe",
                "100.100.100.200",
                "192.0.0.192",
                "168.63.129.16",
            ],
        );
    }
}
