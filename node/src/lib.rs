//! `deut`: a Kademlia DHT node whose RPCs all travel through DEUT tunnels. This library is the node; the command `deut` is in the
//! package `deut-cli`.
//!
//! Start one with [`Node::start`], then use the handle. [`core::Core`] is the same node without sockets, clock and tokio, for
//! virtual networks.
#![forbid(unsafe_code)]

pub mod bootstrap;
mod clock;
pub mod config;
pub mod core;
pub mod data_dir;
mod driver;
mod entropy;
mod families;
mod jobs;
pub mod key_file;
pub mod labels;
mod node;
mod persona;
mod request;
pub mod rsa_suite;
pub mod status;
mod udp;

pub use bootstrap::{BootstrapError, BootstrapFile, BootstrapTrouble, PeerEntry, Profile};
pub use config::{ConfigError, NodeConfig, PortRange};
pub use driver::StartError;
pub use families::canonical;
pub use node::{CallFailure, MAX_ROOM, Node, NotReady, ServeError};
pub use request::{IncomingRequest, ReplyError, Stopped};
pub use status::{NodeStatus, TunnelEcho};

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
