//! Which address families a node can send to. One socket serves both: IPv4 addresses are mapped into IPv6 on their way to
//! the system, and back when they come from it.

use std::net::{IpAddr, SocketAddr};

/// An IPv4 address that is written as an IPv6 address (`[::ffff:127.0.0.1]:4000`) is an IPv4 address.
#[must_use]
pub const fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Families {
    pub(crate) ipv4: bool,
    pub(crate) ipv6: bool,
}

impl Families {
    /// Tells whether something can be sent there.
    pub(crate) const fn hold(self, address: SocketAddr) -> bool {
        if address.is_ipv4() {
            self.ipv4
        } else {
            self.ipv6
        }
    }

    /// An address as the system must be told it.
    pub(crate) fn outward(self, to: SocketAddr) -> SocketAddr {
        match to.ip() {
            IpAddr::V4(ip) if self.ipv6 => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            _ => to,
        }
    }

    /// An address as the system tells it.
    pub(crate) const fn inward(self, from: SocketAddr) -> SocketAddr {
        if self.ipv4 { canonical(from) } else { from }
    }
}
