//! `deut`: a Kademlia DHT node whose every RPC travels through DEUT tunnels. This library is the node; the binary is a thin
//! command line over it.
//!
//! Start one with [`Node::start`], then use the handle. [`core::Core`] is the same node without sockets, clock and tokio,
//! for virtual networks.
#![forbid(unsafe_code)]

pub mod bootstrap;
mod clock;
pub mod config;
pub mod core;
pub mod data_dir;
mod driver;
mod entropy;
pub mod handle;
mod jobs;
pub mod key_file;
mod persona;
pub mod rsa_suite;
mod udp;

pub use bootstrap::{BootstrapError, BootstrapFile, PeerEntry, Profile};
pub use config::{ConfigError, NodeConfig, PortRange};
pub use handle::{
    BootstrapTrouble, CallFailure, IncomingRequest, Node, NodeStatus, NotReady, StartError,
    Stopped, TunnelEcho,
};

pub use deut_kademlia::{
    Announced, Contact, EndpointAddress, FoundPeer, MutableError, MutableKey, MutableRecord,
    NodeId, Progress, Query, QueryOutcome, QueryResult, QueryStats, Refusal,
};
pub use deut_transport::{
    api::{CallError, Destination, PoolId, Service},
    ids::{PersonaKey, RelayId},
    status::{Readiness, Reason, TunnelView},
};
