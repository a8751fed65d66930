//! What may be done to which address: production and test profile (DESIGN: the test profile is for networks on one machine).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sha2::{Digest, Sha256};

use crate::{ids::NetworkId, labels};

/// The version of the protocol; part of the network id.
pub const PROTOCOL_VERSION: u16 = 1;

/// Probability that a walk goes on, as numerator and denominator. A constant of the network.
pub const FORWARD_PROBABILITY: (u8, u8) = (2, 3);

/// Ports of well-known amplifiers, never sent to.
const AMPLIFIER_PORTS: [u16; 6] = [1900, 3702, 5060, 5353, 11211, 27015];

/// Two sets of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Public addresses only, all limits on.
    Production,
    /// Private and loopback addresses allowed; rules per address prefix count per `ip:port`.
    Test,
}

/// The rules of one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Which rules.
    pub profile: Profile,
    /// Keeps networks apart.
    pub network: NetworkId,
}

/// The name of a network is not 1 to 64 bytes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a network has 1 to 64 bytes")]
pub struct BadNetworkName;

impl Policy {
    /// The policy of the network with this name (protocol §3).
    ///
    /// # Errors
    /// The name is empty or longer than 64 bytes.
    pub fn new(name: &str, profile: Profile) -> Result<Self, BadNetworkName> {
        let length = u8::try_from(name.len())
            .ok()
            .filter(|n| (1..=64).contains(n))
            .ok_or(BadNetworkName)?;
        let mut hash = Sha256::new();
        hash.update(labels::NETWORK);
        hash.update([length]);
        hash.update(name.as_bytes());
        hash.update([
            FORWARD_PROBABILITY.0,
            FORWARD_PROBABILITY.1,
            u8::from(profile == Profile::Test),
        ]);
        hash.update(PROTOCOL_VERSION.to_be_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let [a, b, c, d, ..] = digest;
        Ok(Self {
            profile,
            network: NetworkId([a, b, c, d]),
        })
    }

    /// Whether a relay may live at this address.
    #[must_use]
    pub fn may_host(&self, address: SocketAddr) -> bool {
        if address.port() < 1_024 {
            return false;
        }
        match self.profile {
            Profile::Production => is_public(address.ip()),
            Profile::Test => is_unicast(address.ip()),
        }
    }

    /// Whether an endpoint may send to this address (besides the rule that a verified descriptor covers it).
    #[must_use]
    pub fn may_send_to(&self, address: SocketAddr) -> bool {
        self.may_host(address) && !AMPLIFIER_PORTS.contains(&address.port())
    }

    /// Whether two relays are far enough apart to be neighbours in one path: not in one /16 (IPv6: /32).
    /// In the test profile: not the same `ip:port`.
    #[must_use]
    pub fn diverse(&self, one: SocketAddr, other: SocketAddr) -> bool {
        match self.profile {
            Profile::Production => prefix(one.ip()) != prefix(other.ip()),
            Profile::Test => one != other,
        }
    }
}

/// The 16 or 32 bits by which relays are told apart, as IPv6 bytes.
fn prefix(ip: IpAddr) -> [u8; 5] {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            [4, a, b, 0, 0]
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.octets();
            [6, a, b, c, d]
        }
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

/// Not one of the special-purpose blocks of RFC 6890.
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

/// Global unicast (2000::/3) without documentation, 6to4 and Teredo.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    (first & 0xe000) == 0x2000
        && first != 0x2002
        && !(first == 0x2001 && (second == 0x0db8 || second < 0x0200))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(profile: Profile) -> Policy {
        Policy::new("example", profile).expect("a short name")
    }

    #[test]
    fn network_ids_differ_by_name_and_profile() {
        assert_ne!(
            policy(Profile::Test).network,
            policy(Profile::Production).network
        );
        assert_ne!(
            policy(Profile::Test).network,
            Policy::new("other", Profile::Test).unwrap().network
        );
        assert_eq!(Policy::new("", Profile::Test), Err(BadNetworkName));
        assert_eq!(
            Policy::new(&"x".repeat(65), Profile::Test),
            Err(BadNetworkName)
        );
    }

    #[test]
    fn production_refuses_private_addresses_and_test_takes_them() {
        for bad in [
            "10.1.2.3:4000",
            "127.0.0.1:4000",
            "192.168.1.1:4000",
            "169.254.1.1:4000",
            "100.64.0.1:4000",
            "[::1]:4000",
            "[fe80::1]:4000",
            "[fc00::1]:4000",
            "198.18.0.1:4000",
        ] {
            let address: SocketAddr = bad.parse().unwrap();
            assert!(!policy(Profile::Production).may_host(address), "{bad}");
            assert!(policy(Profile::Test).may_host(address), "{bad}");
        }
        for good in ["8.8.8.8:4000", "[2a00:1450::1]:4000"] {
            assert!(
                policy(Profile::Production).may_host(good.parse().unwrap()),
                "{good}"
            );
        }
        for never in [
            "224.0.0.1:4000",
            "255.255.255.255:4000",
            "0.0.0.0:4000",
            "8.8.8.8:53",
            "[ff02::1]:4000",
        ] {
            assert!(
                !policy(Profile::Test).may_host(never.parse().unwrap()),
                "{never}"
            );
        }
        assert!(!policy(Profile::Production).may_send_to("8.8.8.8:5353".parse().unwrap()));
    }

    #[test]
    fn diversity_is_per_prefix_in_production_and_per_port_in_test() {
        let (a, b, c): (SocketAddr, SocketAddr, SocketAddr) = (
            "8.8.8.8:4000".parse().unwrap(),
            "8.8.9.9:4000".parse().unwrap(),
            "8.9.8.8:4000".parse().unwrap(),
        );
        let production = policy(Profile::Production);
        assert!(!production.diverse(a, b) && production.diverse(a, c));
        let test = policy(Profile::Test);
        assert!(test.diverse(a, b) && !test.diverse(a, a));
    }
}
