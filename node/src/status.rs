//! The status of a node, in the form that the control socket carries as JSON.

use std::{collections::BTreeMap, net::SocketAddr};

use deut_transport::status::TunnelView;
use serde::{Deserialize, Serialize};

/// The echo of one own tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelEcho {
    /// The tunnel as it was when the echo was sent.
    pub view: TunnelView,
    /// Round-trip time to the endpoint and back in µs; `None` if no echo came within 3 s.
    pub round_trip_us: Option<u64>,
}

/// Everything that `deut status` shows. It is only for the operator: it holds addresses and must not be logged.
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
    /// The address that the relay port is bound to.
    pub local_address: SocketAddr,
    /// Identity key of a relay, 64 hex digits.
    pub identity: Option<String>,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// The state of the lookup tunnels, and the reasons why lookups cannot start.
    pub readiness: ReadinessStatus,
    /// Milliseconds from the start to the first readiness.
    pub ready_after_ms: Option<u64>,
    /// True if the persona is on.
    pub persona: bool,
    /// The persona's addresses and the number of nodes that hold them; `None` while it is off.
    #[serde(default)]
    pub persona_reach: Option<ReachStatus>,
    /// Own tunnels, oldest first.
    pub tunnels: Vec<TunnelStatus>,
    /// All verified relays.
    pub relays: Vec<RelayStatus>,
    /// Counters of the transport by name, all since the start.
    pub counters: BTreeMap<String, u64>,
    /// Discarded datagrams, frames and cells by reason. Only reasons that occurred are listed.
    pub drops: BTreeMap<String, u64>,
    /// Size and cap of each collection of the transport.
    pub sizes: BTreeMap<String, (usize, usize)>,
    /// Counters of the sockets.
    pub udp: UdpStatus,
    /// Numbers of the DHT.
    pub dht: DhtStatus,
}

/// See [`deut_transport::status::Readiness`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadinessStatus {
    /// True if lookups can start.
    pub ready: bool,
    /// Number of lookup tunnels that are up.
    pub tunnels_up: usize,
    /// Number of lookup tunnels wanted.
    pub tunnels_wanted: usize,
    /// Number of tunnels from which on lookups start.
    pub ready_at: usize,
    /// Number of verified relays.
    pub relays: usize,
    /// The reasons why it is not ready or is degraded, as sentences, the most important first.
    pub reasons: Vec<String>,
    /// The same reasons as names that never change (see [`deut_transport::status::Reason::code`]).
    #[serde(default)]
    pub codes: Vec<String>,
}

/// See [`deut_kademlia::PersonaReach`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachStatus {
    /// The endpoint addresses in the persona's contact. They belong to other machines.
    pub addresses: Vec<SocketAddr>,
    /// Number of nodes among the closest to it that hold a contact which leads to it.
    pub held_by: usize,
    /// Number of the closest nodes that it knows.
    pub of: usize,
}

/// One own tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelStatus {
    /// The number of the tunnel on this node.
    pub handle: u64,
    /// `lookup` or `persona`.
    pub pool: String,
    /// The way it was built: `walk`.
    pub path: String,
    /// Number of relays in it, the endpoint included.
    pub hops: usize,
    /// Id of the neighbour at its near end, 40 hex digits.
    pub first_hop: String,
    /// Id of the relay at its far end, 40 hex digits.
    pub endpoint: String,
    /// The address that messages for it go to.
    pub address: SocketAddr,
    /// The tunnel is up and not closing.
    pub up: bool,
    /// Seconds since the walk was answered.
    pub age_s: u64,
    /// Seconds until its planned end.
    pub left_s: u64,
    /// Messages sent through it.
    pub sent: u64,
    /// Messages that arrived through it.
    pub received: u64,
    /// Time from the start of the build to the answer, µs.
    pub build_us: u64,
}

/// One verified relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayStatus {
    /// Its id, 40 hex digits.
    pub id: String,
    /// The address of its relay port.
    pub address: SocketAddr,
    /// True while a link to it stands.
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
    /// Datagrams for a port that is already closed.
    pub port_closed: u64,
    /// Errors on receiving.
    pub receive_errors: u64,
    /// Endpoint ports open now.
    pub endpoint_ports: usize,
    /// Public-key jobs refused because the worker's queue was full.
    pub jobs_refused: u64,
}

/// Numbers of the DHT. Its two planes share nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DhtStatus {
    /// Contacts in the cache for user lookups.
    pub user_contacts: usize,
    /// Contacts in that cache that answered and have not expired.
    pub user_contacts_live: usize,
    /// Contacts in the persona's table.
    pub table: usize,
    /// Contacts in that table that answered and have not expired.
    pub table_live: usize,
    /// Records stored for others.
    pub records: usize,
    /// Bytes of these records, as counted against the cap.
    pub record_bytes: usize,
    /// Records that this node keeps published.
    pub published: usize,
    /// Mutable records that this node no longer publishes because a newer version was seen.
    #[serde(default)]
    pub superseded: u64,
    /// Requests of other nodes that were answered.
    pub requests_answered: u64,
    /// RPCs sent by both planes.
    pub rpcs_sent: u64,
    /// RPCs answered.
    pub rpcs_answered: u64,
    /// Discarded messages by plane and reason.
    pub drops: BTreeMap<String, u64>,
    /// Estimated number of nodes in the network, from the last user lookups.
    pub network_estimate: Option<u64>,
    /// The range of the estimate: fewer or more nodes than these two numbers are improbable.
    #[serde(default)]
    pub network_range: Option<(u64, u64)>,
}
