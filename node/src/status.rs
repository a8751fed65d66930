//! The status of a node, in a form that goes over the control socket as JSON.

use std::{collections::BTreeMap, net::SocketAddr};

use deut_transport::status::TunnelView;
use serde::{Deserialize, Serialize};

/// The echo of one own tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelEcho {
    /// The tunnel as it was when the echo was sent.
    pub view: TunnelView,
    /// From us to its endpoint and back; none if no echo came within 3 s.
    pub round_trip_us: Option<u64>,
}

/// Everything `deut status` shows. Only for the operator: it holds addresses and must not be logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Version of the program.
    pub version: String,
    /// Name of the network.
    pub network: String,
    /// `production` or `test`.
    pub profile: String,
    /// `relay` or `client`.
    pub role: String,
    /// Where the relay port is bound.
    pub local_address: SocketAddr,
    /// Identity key of a relay, 64 hex digits.
    pub identity: Option<String>,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Tunnels that stand, and what keeps lookups from starting.
    pub readiness: ReadinessStatus,
    /// Milliseconds from the start to the first readiness.
    pub ready_after_ms: Option<u64>,
    /// True if the persona is on.
    pub persona: bool,
    /// The persona's addresses and who holds them; none while it is off.
    #[serde(default)]
    pub persona_reach: Option<ReachStatus>,
    /// Own tunnels.
    pub tunnels: Vec<TunnelStatus>,
    /// Verified relays.
    pub relays: Vec<RelayStatus>,
    /// Counters of the transport by name, all since the start.
    pub counters: BTreeMap<String, u64>,
    /// Discarded datagrams, frames and cells by reason; only reasons that occurred.
    pub drops: BTreeMap<String, u64>,
    /// Sizes of the transport's collections: now and cap.
    pub sizes: BTreeMap<String, (usize, usize)>,
    /// The sockets.
    pub udp: UdpStatus,
    /// The DHT.
    pub dht: DhtStatus,
}

/// See [`deut_transport::status::Readiness`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadinessStatus {
    /// Lookups can start.
    pub ready: bool,
    /// Lookup tunnels that are up.
    pub tunnels_up: usize,
    /// Lookup tunnels wanted.
    pub tunnels_wanted: usize,
    /// Lookups start from this many on.
    pub ready_at: usize,
    /// Verified relays known.
    pub relays: usize,
    /// Why not, or what is degraded, as sentences; most important first.
    pub reasons: Vec<String>,
    /// The same as names that never change (see [`deut_transport::status::Reason::code`]).
    #[serde(default)]
    pub codes: Vec<String>,
}

/// See [`deut_kademlia::PersonaReach`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachStatus {
    /// The endpoint addresses in the persona's contact, those of other people's machines.
    pub addresses: Vec<SocketAddr>,
    /// Nodes among the closest to it that hold a contact which leads to it.
    pub held_by: usize,
    /// How many of the closest it knows.
    pub of: usize,
}

/// One own tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelStatus {
    /// The number of the tunnel on this node.
    pub handle: u64,
    /// `lookup` or `persona`.
    pub pool: String,
    /// How it was built: `walk`.
    pub path: String,
    /// Relays in it, the endpoint included.
    pub hops: usize,
    /// Name of the neighbour it starts at, 40 hex digits.
    pub first_hop: String,
    /// Name of the relay that ends it, 40 hex digits.
    pub endpoint: String,
    /// Where messages for it arrive.
    pub address: SocketAddr,
    /// The tunnel is up and not closing.
    pub up: bool,
    /// Seconds since it was built.
    pub age_s: u64,
    /// Seconds until its planned end.
    pub left_s: u64,
    /// Messages sent through it.
    pub sent: u64,
    /// Messages that arrived through it.
    pub received: u64,
    /// Round trip of its build, µs.
    pub build_us: u64,
}

/// One verified relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayStatus {
    /// Its name, 40 hex digits.
    pub id: String,
    /// Its relay port.
    pub address: SocketAddr,
    /// True if a link to it stands.
    pub linked: bool,
}

/// Counters of the sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UdpStatus {
    /// Datagrams taken from the system.
    pub received: u64,
    /// Datagrams given to the system.
    pub sent: u64,
    /// Datagrams lost because the system's send buffer was full.
    pub send_buffer_full: u64,
    /// Datagrams that the system refused to send for another reason.
    pub send_refused: u64,
    /// Datagrams for a port that is closed already.
    pub port_closed: u64,
    /// Errors on receiving.
    pub receive_errors: u64,
    /// Endpoint ports open now.
    pub endpoint_ports: usize,
    /// Public-key jobs refused because the worker's queue was full.
    pub jobs_refused: u64,
}

/// The DHT in numbers. The two planes share nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DhtStatus {
    /// Contacts in the cache for user lookups.
    pub user_contacts: usize,
    /// Those that answered and are not expired.
    pub user_contacts_live: usize,
    /// Contacts in the persona's table.
    pub table: usize,
    /// Those that answered and are not expired.
    pub table_live: usize,
    /// Records stored for others.
    pub records: usize,
    /// Their bytes.
    pub record_bytes: usize,
    /// Records that this node keeps published.
    pub published: usize,
    /// Mutable records that this node no longer publishes, because a newer version was seen.
    #[serde(default)]
    pub superseded: u64,
    /// Requests of others answered.
    pub requests_answered: u64,
    /// RPCs sent for users and for the persona.
    pub rpcs_sent: u64,
    /// RPCs answered.
    pub rpcs_answered: u64,
    /// Discards by plane and reason.
    pub drops: BTreeMap<String, u64>,
    /// Estimated number of nodes in the network, from the last user lookups.
    pub network_estimate: Option<u64>,
    /// It is improbable that it has fewer, or more than the second number.
    #[serde(default)]
    pub network_range: Option<(u64, u64)>,
}
