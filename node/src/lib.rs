//! `deut`: a Kademlia DHT node whose every RPC travels through DEUT tunnels. This library is the node; the binary is a thin
//! command line over it.
//!
//! Start one with [`Node::start`], then use the handle. [`core::Core`] is the same node without sockets, clock and tokio,
//! for virtual networks.
#![forbid(unsafe_code)]

/// The binary's modules name this library; compiled into it for the probe they must find it.
#[cfg(feature = "probe")]
extern crate self as deut;

pub mod bootstrap;
mod clock;
pub mod config;
/// What the binary reads from its control socket.
#[cfg(feature = "probe")]
#[allow(dead_code, reason = "the binary uses all of it, the probe a part")]
mod control {
    pub(crate) mod protocol;
    pub(crate) mod report;
    pub(crate) mod target;
}
pub mod core;
pub mod data_dir;
mod driver;
mod entropy;
#[cfg(feature = "probe")]
#[allow(dead_code, reason = "the binary uses all of it, the probe a part")]
mod exit;
mod families;
pub mod handle;
mod jobs;
pub mod key_file;
pub mod labels;
mod persona;
#[cfg(feature = "probe")]
pub mod probe;
pub mod rsa_suite;
mod udp;

pub use bootstrap::{BootstrapError, BootstrapFile, PeerEntry, Profile};
pub use config::{ConfigError, NodeConfig, PortRange, canonical};
pub use handle::{
    BootstrapTrouble, CallFailure, IncomingRequest, MAX_ROOM, Node, NodeStatus, NotReady,
    ReplyError, ServeError, StartError, Stopped, TunnelEcho,
};

pub use deut_common::address::EndpointAddress;
pub use deut_common::ids::{PersonaKey, RelayId};
pub use deut_kademlia::{
    Announced, Contact, FoundPeer, MutableError, MutableKey, MutableRecord, NodeId, PersonaReach,
    Progress, Query, QueryOutcome, QueryResult, QueryStats, Refusal,
};
pub use deut_transport::{
    ids::{PoolId, Service},
    io::{CallError, Destination},
    status::{Readiness, Reason, TunnelView},
};
