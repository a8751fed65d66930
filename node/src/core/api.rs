//! The boundary of the whole node. It is like that of the transport, with the DHT behind it.

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
    /// Settings of the transport.
    pub transport: deut_transport::config::Config,
    /// Settings of the DHT.
    pub kademlia: deut_kademlia::Config,
    /// True if this node is ever to run a persona.
    pub persona: bool,
}

/// Everything that happens in the world except datagrams.
#[derive(Debug)]
pub enum CoreInput {
    /// A wish of the application.
    Command(CoreCommand),
    /// The answer to [`Action::Job`].
    JobDone {
        /// The ticket of [`Action::Job`].
        ticket: JobTicket,
        /// The result of the job.
        result: JobResult,
    },
    /// The answer to [`Action::OpenPort`].
    PortOpened {
        /// The token of [`Action::OpenPort`].
        token: PortToken,
        /// `Ok` if the port is open now, or the reason why not.
        result: Result<(), PortError>,
    },
    /// A change in whether this machine sends what it is given.
    Local(LocalNetwork),
    /// The instant that `Wait` named has come. A call too early or too late does no harm.
    Timeout,
}

/// Commands of the application. The caller chooses the tickets; no two open ones of a kind may be equal.
#[derive(Debug)]
pub enum CoreCommand {
    /// Join through these peers. Replaces the list.
    Bootstrap(Vec<BootstrapPeer>),
    /// Send an application's request. The call ends with exactly one `Response` or `CallFailed`.
    Call {
        /// Names the call in its `Response` or `CallFailed`.
        ticket: u64,
        /// The protocol of the body, from 256 on.
        service: Service,
        /// The recipient.
        to: Destination,
        /// The request, at most 1,016 bytes.
        body: Vec<u8>,
    },
    /// End a query. Its outcome is still reported.
    Cancel(QueryTicket),
    /// End an application's call. `CallFailed` is still reported.
    CancelCall(u64),
    /// Send an echo through every own tunnel. Ends with one `Echoes`.
    EchoAll(u64),
    /// Start a query. It ends with exactly one `Done`.
    Query(QueryTicket, Query),
    /// Answer an application's request.
    Reply {
        /// The token of [`CoreEvent::Request`].
        to: ReplyToken,
        /// The answer, at most 1,046 bytes.
        body: Vec<u8>,
    },
    /// Close all tunnels politely and send nothing more.
    Shutdown,
}

/// Work of the core for its driver, in order, until `Wait`.
#[derive(Debug)]
pub enum CoreOutput {
    /// Work in the world, for the driver.
    Do(Action),
    /// News for the application.
    Event(CoreEvent),
    /// There is nothing more to do until that instant (`None`: until an input).
    Wait {
        /// The instant to call with [`CoreInput::Timeout`].
        until: Option<Mono>,
        /// The timer that is due then, for debugging.
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
        /// The reason that the transport gives.
        trouble: BootstrapTrouble,
    },
    /// An application's call ended without an answer.
    CallFailed {
        /// The ticket of [`CoreCommand::Call`].
        ticket: u64,
        /// The reason that the transport gives.
        why: CallError,
    },
    /// The outcome of a query.
    Done(QueryTicket, Box<QueryOutcome>),
    /// All echoes are back or lost.
    Echoes {
        /// The ticket of [`CoreCommand::EchoAll`].
        ticket: u64,
        /// Each tunnel that was up, with its state then and its round-trip time in µs, or `None` if its echo was lost.
        echoes: Vec<(TunnelView, Option<u64>)>,
    },
    /// A new persona was switched on.
    Persona {
        /// Its public key.
        key: [u8; 32],
    },
    /// A step of a query.
    Progress(QueryTicket, Progress),
    /// Readiness changed.
    Ready(Readiness),
    /// A request for an application came to the persona.
    Request {
        /// Token for the answer, valid for 10 s.
        reply: ReplyToken,
        /// The protocol of the body, from 256 on.
        service: Service,
        /// The request, at most 1,016 bytes.
        body: Vec<u8>,
    },
    /// An application's call was answered.
    Response {
        /// The ticket of [`CoreCommand::Call`].
        ticket: u64,
        /// The answer, at most 1,046 bytes.
        body: Vec<u8>,
    },
    /// A newer version was seen of a mutable record that this node publishes. Ours is no longer announced.
    Superseded {
        /// The sequence number of ours.
        published: i64,
        /// The sequence number of the version that was seen.
        seen: i64,
    },
    /// One of our tunnels changed.
    Tunnel {
        /// The tunnel.
        handle: TunnelHandle,
        /// The change, with the tunnel's pool.
        change: TunnelChange,
    },
}

/// The size of every collection of both cores, with its cap; see [`super::Core::audit`].
#[derive(Clone, Debug, Default)]
pub struct CoreAudit {
    /// The size of each collection of the transport, with its cap.
    pub transport: Audit,
    /// Sizes and counters of the DHT.
    pub kademlia: deut_kademlia::Audit,
}

/// The pool that carries application calls: they are the user's own, like lookups.
pub(super) const APPLICATION_POOL: PoolId = PoolId::Lookup;
