//! The rule for addresses that may be used in a network: the same for relays, for endpoints and for contacts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Ports of well-known amplifiers, to which nothing is ever sent.
const AMPLIFIER_PORTS: [u16; 6] = [1900, 3702, 5060, 5353, 11211, 27015];

/// The address at which one tunnel endpoint receives on behalf of its master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointAddress {
    /// IP address of the machine that hosts the endpoint. It is not the persona's own.
    pub ip: IpAddr,
    /// UDP port of that one tunnel.
    pub port: u16,
}

/// The addresses that a network uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressRule {
    /// Only addresses of the public Internet.
    Public,
    /// Also private and loopback addresses, for networks on one machine or one site.
    Private,
}

impl AddressRule {
    /// Returns true if a relay may live at this address.
    #[must_use]
    pub fn may_host(self, address: SocketAddr) -> bool {
        address.port() >= 1_024
            && match self {
                Self::Public => is_public(address.ip()),
                Self::Private => is_unicast(address.ip()),
            }
    }

    /// Returns true if an endpoint may send to this address.
    #[must_use]
    pub fn may_send_to(self, address: SocketAddr) -> bool {
        self.may_host(address) && !AMPLIFIER_PORTS.contains(&address.port())
    }
}

fn is_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !v4.is_multicast() && !v4.is_broadcast() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_multicast() && !v6.is_unspecified(),
    }
}

fn is_public(ip: IpAddr) -> bool {
    is_unicast(ip)
        && match ip {
            IpAddr::V4(v4) => is_public_v4(v4),
            IpAddr::V6(v6) => is_public_v6(v6),
        }
}

/// Returns true if the address is in none of the special-purpose blocks of RFC 6890.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19)))
}

/// Returns true for global unicast (2000::/3) without documentation, 6to4 and Teredo addresses.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    (first & 0xe000) == 0x2000
        && first != 0x2002
        && !(first == 0x2001 && (second == 0x0db8 || second < 0x0200))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn private_addresses_are_for_private_networks_only() {
        for text in [
            "10.1.2.3:4000",
            "127.0.0.1:4000",
            "192.168.1.1:4000",
            "169.254.1.1:4000",
            "100.64.0.1:4000",
            "[::1]:4000",
            "[fe80::1]:4000",
            "[fc00::1]:4000",
            "[fec0::1]:4000",
            "[::ffff:8.8.8.8]:4000",
            "[64:ff9b::808:808]:4000",
            "[100::1]:4000",
            "[2002:808:808::1]:4000",
            "[2001:db8::1]:4000",
            "[2001::1]:4000",
            "192.0.0.8:4000",
            "192.0.2.1:4000",
            "198.18.0.1:4000",
            "198.51.100.1:4000",
            "203.0.113.1:4000",
            "240.0.0.1:4000",
        ] {
            assert!(!AddressRule::Public.may_host(address(text)), "{text}");
            assert!(AddressRule::Private.may_host(address(text)), "{text}");
        }
        for text in ["8.8.8.8:4000", "[2a00:1450::1]:4000", "[2001:4860::1]:4000"] {
            assert!(AddressRule::Public.may_send_to(address(text)), "{text}");
            assert!(AddressRule::Private.may_send_to(address(text)), "{text}");
        }
    }

    #[test]
    fn nobody_is_at_these() {
        for text in [
            "224.0.0.1:4000",
            "255.255.255.255:4000",
            "0.0.0.0:4000",
            "8.8.8.8:53",
            "8.8.8.8:0",
            "[ff02::1]:4000",
            "[::]:4000",
        ] {
            assert!(!AddressRule::Private.may_host(address(text)), "{text}");
        }
    }

    #[test]
    fn nothing_is_sent_to_amplifiers() {
        for port in AMPLIFIER_PORTS {
            let at = SocketAddr::new(IpAddr::from([8, 8, 8, 8]), port);
            assert!(AddressRule::Public.may_host(at) && !AddressRule::Public.may_send_to(at));
            assert!(!AddressRule::Private.may_send_to(at));
        }
    }
}
