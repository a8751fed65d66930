//! The boundary of the whole node: like the transport's, with the DHT behind it.

use std::net::SocketAddr;

use deut_common::time::Mono;
use deut_kademlia::{Progress, Query, QueryOutcome, QueryTicket};
use deut_transport::{
    ids::{JobTicket, PoolId, PortToken, ReplyToken, Service, TunnelHandle},
    io::{
        Action, BootstrapPeer, BootstrapTrouble, CallError, Destination, PortError, TunnelChange,
    },
    rsa::JobResult,
    status::{Audit, LocalNetwork, Readiness, TunnelView},
};

/// Settings of both cores.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// Of the transport.
    pub transport: deut_transport::config::Config,
    /// Of the DHT.
    pub kademlia: deut_kademlia::Config,
    /// True if this node ever carries a persona.
    pub persona: bool,
}

/// Everything that happens in the world, datagrams apart.
#[derive(Debug)]
pub enum CoreInput {
    /// Something the application wants.
    Command(CoreCommand),
    /// The answer to [`Action::Job`].
    JobDone {
        /// As in the output.
        ticket: JobTicket,
        /// The result of the work.
        result: JobResult,
    },
    /// The answer to [`Action::OpenPort`].
    PortOpened {
        /// As in the output.
        token: PortToken,
        /// The named port is open, or the reason why not.
        result: Result<(), PortError>,
    },
    /// This machine has begun or ceased to send what it is given.
    Local(LocalNetwork),
    /// The instant that `Wait` named has come (early or late does no harm).
    Timeout,
}

/// Commands of the application. The caller chooses tickets; no two open ones of a kind may be equal.
#[derive(Debug)]
pub enum CoreCommand {
    /// Join through these peers (replaces the list).
    Bootstrap(Vec<BootstrapPeer>),
    /// An application's own RPC; ends in exactly one `Response` or `CallFailed`.
    Call {
        /// Names the call in its `Response` or `CallFailed`.
        ticket: u64,
        /// From 256 on.
        service: Service,
        /// Whom to ask.
        to: Destination,
        /// At most 1,016 bytes.
        body: Vec<u8>,
    },
    /// Ends a query; its outcome is still told.
    Cancel(QueryTicket),
    /// Ends an application's call; `CallFailed` is still told.
    CancelCall(u64),
    /// Echo through every own tunnel; ends in one `Echoes`.
    EchoAll(u64),
    /// Starts a query; ends in exactly one `Done`.
    Query(QueryTicket, Query),
    /// Answer an application's request.
    Reply {
        /// From [`CoreEvent::Request`].
        to: ReplyToken,
        /// At most 1,046 bytes.
        body: Vec<u8>,
    },
    /// Close all tunnels politely and send nothing more.
    Shutdown,
}

/// Work of the core for its driver, in order, until `Wait`.
#[derive(Debug)]
pub enum CoreOutput {
    /// Something for the world, which the driver does.
    Do(Action),
    /// Something the application may care about.
    Event(CoreEvent),
    /// Nothing more to do until then (`None`: until an input).
    Wait {
        /// When to call with [`CoreInput::Timeout`].
        until: Option<Mono>,
        /// The thing that is due then, for people who debug.
        why: &'static str,
    },
}

/// News for the application.
#[derive(Clone, Debug)]
pub enum CoreEvent {
    /// A bootstrap peer cannot be used.
    Bootstrap {
        /// The address on the list of peers.
        address: SocketAddr,
        /// The reason, as the transport tells it.
        trouble: BootstrapTrouble,
    },
    /// An application's call is over without an answer.
    CallFailed {
        /// The ticket of [`CoreCommand::Call`].
        ticket: u64,
        /// The reason, as the transport tells it.
        why: CallError,
    },
    /// The outcome of a query.
    Done(QueryTicket, Box<QueryOutcome>),
    /// All echoes are back or lost.
    Echoes {
        /// Of which command.
        ticket: u64,
        /// One for each tunnel that was up: its view then, and its round-trip time in µs.
        echoes: Vec<(TunnelView, Option<u64>)>,
    },
    /// A new persona is on.
    Persona {
        /// Its public key.
        key: [u8; 32],
    },
    /// One step of a query.
    Progress(QueryTicket, Progress),
    /// Readiness changed.
    Ready(Readiness),
    /// A request for an application came to the persona.
    Request {
        /// For the answer; valid for 10 s.
        reply: ReplyToken,
        /// From 256 on.
        service: Service,
        /// At most 1,016 bytes.
        body: Vec<u8>,
    },
    /// An application's call was answered.
    Response {
        /// The ticket of [`CoreCommand::Call`].
        ticket: u64,
        /// The body of the answer.
        body: Vec<u8>,
    },
    /// A newer version of a mutable record that this node publishes was seen: ours is no longer announced.
    Superseded {
        /// The sequence number of ours.
        published: i64,
        /// The one of the version that was seen.
        seen: i64,
    },
    /// One of our tunnels changed.
    Tunnel {
        /// The tunnel.
        handle: TunnelHandle,
        /// Up or down, with its pool.
        change: TunnelChange,
    },
}

/// Sizes of both cores against their caps; see [`super::Core::audit`].
#[derive(Clone, Debug, Default)]
pub struct CoreAudit {
    /// Sizes of the transport's collections against their caps.
    pub transport: Audit,
    /// Sizes and counters of the DHT.
    pub kademlia: deut_kademlia::Audit,
}

/// The pool that carries application calls: they are the user's own, like lookups.
pub(super) const APPLICATION_POOL: PoolId = PoolId::Lookup;
