//! Types for everything that one part of the core names to another.

use std::fmt;

/// Keeps networks apart (protocol §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkId(pub [u8; 4]);

/// Names a tunnel on one link in one direction; random, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TunnelId(pub u32);

/// First 8 bytes of a datagram to an endpoint port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gate(pub [u8; 8]);

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate(..)")
    }
}

/// Names an endpoint port: slot and generation, chosen by the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortToken(pub u64);

/// Names a job given to the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobTicket(pub u64);

/// Names one of our own tunnels (as its master). Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TunnelHandle(pub u64);

/// Names one call; chosen by the caller, who must not reuse it while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallTicket(pub u64);

/// Names one lookup or one application call, which owns its two reply tunnels. Chosen by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallGroup(pub u64);

/// Names an arrived request that may be answered once, through a tunnel only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyToken(pub u64);

/// The service number of a message: the RPC protocol of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service(pub u16);

impl Service {
    /// The DHT's service.
    pub const KADEMLIA: Self = Self(1);
    /// First number that applications may use.
    pub const FIRST_APPLICATION: Self = Self(256);
}

/// A local socket: the relay port or the port of one served tunnel. Never a bare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// The relay port.
    Relay,
    /// The port of a tunnel that we serve as its endpoint.
    Endpoint(PortToken),
}

/// The two pools of own tunnels; no tunnel is in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PoolId {
    /// For the lookups of the user. Carries no persona.
    Lookup,
    /// For the persona: its contact is advertised through these tunnels.
    Persona,
}

impl PoolId {
    pub(crate) const BOTH: [Self; 2] = [Self::Lookup, Self::Persona];

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Lookup => Self::Persona,
            Self::Persona => Self::Lookup,
        }
    }
}

/// Names a relayed tunnel. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RelayedId(pub(crate) u64);

/// Names a walk request under way. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WalkId(pub(crate) u64);

/// Names a tunnel that ends here. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServedId(pub(crate) u64);

/// Names a link. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkHandle(pub u64);
