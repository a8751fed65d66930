//! The address families that a node can send to. One socket serves both: IPv4 addresses are mapped into IPv6 on their way to the
//! system, and back on their way from it.

use std::net::{IpAddr, SocketAddr};

/// Turns an IPv4 address in IPv6 form (`[::ffff:127.0.0.1]:4000`) into an IPv4 address; leaves all others as they are.
#[must_use]
pub const fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Families {
    pub(crate) ipv4: bool,
    pub(crate) ipv6: bool,
}

impl Families {
    /// Returns true if datagrams can be sent to this address.
    pub(crate) const fn hold(self, address: SocketAddr) -> bool {
        if address.is_ipv4() {
            self.ipv4
        } else {
            self.ipv6
        }
    }

    /// An address in the form that the system needs.
    pub(crate) fn outward(self, to: SocketAddr) -> SocketAddr {
        match to.ip() {
            IpAddr::V4(ip) if self.ipv6 => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            _ => to,
        }
    }

    /// The plain form of an address that the system gave.
    pub(crate) const fn inward(self, from: SocketAddr) -> SocketAddr {
        if self.ipv4 { canonical(from) } else { from }
    }
}
