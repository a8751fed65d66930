//! Relays by their number: keys, descriptors, roles.

use std::net::{Ipv4Addr, SocketAddr};

use deut_transport::{
    Restored,
    config::{Config, Role},
    crypto::noise::Responder,
    io::BootstrapPeer,
    keys::RelayKeys,
    wire::descriptor::{Descriptor, PortRange},
};

use super::net::{Net, RELAY_PORT, START_UNIX};

/// Unix minutes when every world begins.
pub const START_MINUTES: u32 = (START_UNIX / 60) as u32;

/// The relay port of the machine of this number in a world.
#[must_use]
pub fn address_of(number: usize) -> SocketAddr {
    let host = u32::try_from(number).expect("few machines") + 1;
    (Ipv4Addr::from(0x0a00_0000 + host), RELAY_PORT).into()
}

/// An honest descriptor, issued when the world begins.
#[must_use]
pub fn descriptor(keys: &RelayKeys, address: SocketAddr) -> Descriptor {
    let range = PortRange {
        first: 5_001,
        last: 5_050,
    };
    Descriptor::sign(
        keys,
        Net::policy().network,
        address,
        Some(range),
        START_MINUTES,
        START_MINUTES + 1_440,
    )
}

/// An honest relay of this number.
#[must_use]
pub fn sample(number: u8) -> (RelayKeys, Descriptor) {
    let keys = RelayKeys::from_seed(&[number; 32]);
    let shown = descriptor(&keys, ([10, 9, 0, number], 4_000).into());
    (keys, shown)
}

/// What a machine with this key seed finds on its disk when it starts for the first time.
#[must_use]
pub const fn fresh(key_seed: [u8; 32]) -> Restored {
    Restored {
        key_seed,
        relays: Vec::new(),
    }
}

/// Whom to shake hands with.
#[must_use]
pub fn responder(identity: [u8; 32], link: [u8; 32]) -> Responder {
    Responder {
        network: Net::policy().network,
        identity,
        link,
    }
}

/// A relay at this address whose endpoint ports, so many, follow its relay port.
#[must_use]
pub fn role(address: SocketAddr, endpoint_ports: u16) -> Role {
    let port = address.port();
    Role::Relay {
        address,
        endpoint_ports: Some(PortRange {
            first: port + 1,
            last: port + endpoint_ports,
        }),
    }
}

/// Gives a relay so many endpoint ports instead of those that it has.
pub fn endpoint_ports(config: &mut Config, count: u16) {
    if let Role::Relay { address, .. } = config.role {
        config.role = role(address, count);
    }
}

/// Somebody to join through.
#[must_use]
pub const fn bootstrap(address: SocketAddr) -> BootstrapPeer {
    BootstrapPeer { address, key: None }
}
