//! The addresses that may be used, and for what, in the production and in the test profile. The test profile is for networks on one
//! machine.

use std::net::{IpAddr, SocketAddr};

use deut_common::address::AddressRule;
use sha2::{Digest, Sha256};

use crate::{ids::NetworkId, labels};

/// The version of the protocol; part of the network id.
pub const PROTOCOL_VERSION: u16 = 1;

/// Probability that a walk goes on, as numerator and denominator. It is a constant of the network.
pub const FORWARD_PROBABILITY: (u8, u8) = (2, 3);

/// The two sets of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Only public addresses are allowed, and all limits are on.
    Production,
    /// Private and loopback addresses are allowed, and rules per address prefix count per `ip:port`.
    Test,
}

/// The rules of one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The set of rules.
    pub profile: Profile,
    /// Network id, which keeps networks apart.
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
    /// If the name is empty or longer than 64 bytes.
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

    /// The addresses that this network uses.
    const fn addresses(&self) -> AddressRule {
        match self.profile {
            Profile::Production => AddressRule::Public,
            Profile::Test => AddressRule::Private,
        }
    }

    /// Returns true if a relay may live at this address.
    #[must_use]
    pub fn may_host(&self, address: SocketAddr) -> bool {
        self.addresses().may_host(address)
    }

    /// Returns true if an endpoint may send to this address. The destination must also consent (protocol §7.4).
    #[must_use]
    pub fn may_send_to(&self, address: SocketAddr) -> bool {
        self.addresses().may_send_to(address)
    }

    /// Returns true if two relays are far enough apart to be neighbours in one path: not in one /16 (IPv6: /32) or, in the test
    /// profile, not at the same `ip:port`.
    #[must_use]
    pub fn diverse(&self, one: SocketAddr, other: SocketAddr) -> bool {
        match self.profile {
            Profile::Production => prefix(one.ip()) != prefix(other.ip()),
            Profile::Test => one != other,
        }
    }
}

/// The 16 or 32 bits by which relays are told apart, behind a byte for the family.
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
        let (local, public): (SocketAddr, SocketAddr) = (
            "10.1.2.3:4000".parse().unwrap(),
            "8.8.8.8:4000".parse().unwrap(),
        );
        assert!(!policy(Profile::Production).may_host(local));
        assert!(policy(Profile::Test).may_send_to(local));
        assert!(policy(Profile::Production).may_send_to(public));
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
