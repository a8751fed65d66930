//! The boundary of the core: what goes in, what comes out.
//!
//! Four families of calls, as in the crate documentation: `handle_*` takes inputs, `poll_output` gives outputs,
//! getters look, and nothing else exists. After every input, drain `poll_output` until it answers [`Output::Wait`].

use std::net::SocketAddr;

use deut_common::{
    ids::{PersonaKey, RelayId},
    time::{Mono, Unix},
};

use crate::status::LocalNetwork;
use crate::{
    ids::{
        CallGroup, CallTicket, JobTicket, PoolId, Port, PortToken, ReplyToken, Service,
        TunnelHandle,
    },
    packet::Packet,
    rsa::{Job, JobResult},
    status::Readiness,
};

/// Why a port could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortError {
    /// Another program holds it: the core tries another one.
    InUse,
    /// The system refuses more sockets or the address.
    Refused,
}

/// What happens in the world, but for datagrams, which enter by `handle_datagram`.
#[derive(Debug)]
pub enum Input {
    /// The answer to [`Action::OpenPort`].
    PortOpened {
        /// As in the output.
        token: PortToken,
        /// Whether the named port is open now.
        result: Result<(), PortError>,
    },
    /// The answer to [`Action::Job`]. Stale tickets are counted and dropped.
    JobDone {
        /// As in the output.
        ticket: JobTicket,
        /// What came of it.
        result: JobResult,
    },
    /// Something the application wants.
    Command(Command),
    /// Whether this machine sends at all changed.
    Local(LocalNetwork),
    /// The instant that `Wait` named has come (early or late does no harm).
    Timeout,
}

/// Whom to send a request to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The recipient's persona key (Ed25519): seals the request and makes the gate.
    pub key: PersonaKey,
    /// Its endpoint addresses, at most [`Destination::MAX_ADDRESSES`] are used.
    pub at: Vec<SocketAddr>,
}

impl Destination {
    /// A contact holds three addresses at most.
    pub const MAX_ADDRESSES: usize = 3;
}

/// A peer to join through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootstrapPeer {
    /// Where its relay port is.
    pub address: SocketAddr,
    /// Its identity key; without one the first answer is trusted.
    pub key: Option<[u8; 32]>,
}

/// A request to be made.
#[derive(Clone, Debug)]
pub struct NewCall {
    /// Names this call in later events.
    pub ticket: CallTicket,
    /// The lookup it belongs to.
    pub group: CallGroup,
    /// Whose tunnels carry it.
    pub pool: PoolId,
    /// Which protocol.
    pub service: Service,
    /// Whom to ask.
    pub to: Destination,
    /// At most 1,016 bytes.
    pub body: Vec<u8>,
}

/// What the application wants.
#[derive(Debug)]
pub enum Command {
    /// Join through these peers (replaces the list; names already resolved). At most 64 are kept.
    Bootstrap(Vec<BootstrapPeer>),
    /// Send a request; ends in exactly one `Response` or `Failed`.
    Call(NewCall),
    /// The group makes no more calls: its reply tunnels get new gates. Open calls of it fail with `Cancelled`.
    EndGroup(CallGroup),
    /// Switch the persona on (its Ed25519 secret) or off. Changing it closes the persona pool's tunnels.
    Persona(Option<crate::keys::OpeningKey>),
    /// The persona's newest signed contact (at most 129 bytes): registered at its endpoints.
    Advertise(Vec<u8>),
    /// Let one tunnel of this pool give way to another: its endpoints brought nobody new.
    MoveOn(PoolId),
    /// Ask up to four different endpoints for contacts.
    WantSeeds(PoolId),
    /// Answer a request (at most 1,046 bytes). Unknown tokens are ignored: the answer came too late.
    Reply {
        /// From [`Event::Request`].
        to: ReplyToken,
        /// The answer.
        body: Vec<u8>,
    },
    /// Echo through every own tunnel to its endpoint and back; one `Event::Echo` each.
    EchoAll,
    /// Fail all calls, close all tunnels politely and send nothing more, whatever arrives.
    Shutdown,
}

/// What the core wants done, in order, until `Wait`.
#[derive(Debug)]
pub enum Output {
    /// Something for the world, which the driver does.
    Do(Action),
    /// Something the application may care about.
    Event(Event),
    /// Nothing more to do until then (`None`: until an input).
    Wait {
        /// When to call with `Input::Timeout`.
        until: Option<Mono>,
        /// What is due then, for people who debug.
        why: &'static str,
    },
}

/// What a driver does for a core: everything that needs sockets, workers or files.
#[derive(Debug)]
pub enum Action {
    /// Send a datagram.
    Transmit {
        /// From which socket.
        from: Port,
        /// Whereto.
        to: SocketAddr,
        /// What.
        packet: Packet,
    },
    /// Bind this UDP port on the relay's address, then answer with `Input::PortOpened`.
    OpenPort {
        /// Names it from now on.
        token: PortToken,
        /// The number, from the configured range.
        port: u16,
    },
    /// Close it; datagrams in its buffer are lost.
    ClosePort(PortToken),
    /// Public-key work for the worker; the driver serves `Priority` order, bounded.
    Job {
        /// Comes back with the result.
        ticket: JobTicket,
        /// Which first.
        priority: Priority,
        /// What.
        work: Job,
    },
    /// Something worth saving.
    Persist(Persist),
}

/// The order of public-key jobs, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A ciphertext of an RSA exchange, ours or another's: a millisecond, and somebody waits for it. It must not queue
    /// behind key generation, or the exchanges of a starting network time out and cause still more keys.
    Exchange,
    /// Keys for the first tunnels of a starting node.
    FirstTunnels,
    /// Keys for further own tunnels.
    Own,
    /// Keys kept in store.
    Refill,
}

/// What the driver may write to the data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Persist {
    /// The verified relays, newest last, as descriptors of 196 bytes; at most 256.
    Relays(Vec<[u8; 196]>),
}

/// News for the application.
#[derive(Clone, Debug)]
pub enum Event {
    /// Readiness changed.
    Ready(Readiness),
    /// One of our tunnels changed.
    Tunnel {
        /// Which.
        handle: TunnelHandle,
        /// How.
        change: TunnelChange,
    },
    /// A request came through a persona tunnel.
    Request {
        /// For the answer; valid for 10 s.
        reply: ReplyToken,
        /// Which protocol.
        service: Service,
        /// At most 1,016 bytes.
        body: Vec<u8>,
    },
    /// A call was answered.
    Response {
        /// Which call.
        ticket: CallTicket,
        /// At most 1,046 bytes.
        body: Vec<u8>,
        /// After the short timeout.
        late: bool,
    },
    /// A call passed its short timeout and was sent again another way; an answer may still come.
    Slow {
        /// Which call.
        ticket: CallTicket,
    },
    /// A call is over without an answer.
    Failed {
        /// Which call.
        ticket: CallTicket,
        /// Why.
        why: CallError,
        /// The tunnels that its copies left by; none: the recipient was never asked.
        sent_by: Vec<TunnelHandle>,
    },
    /// Contacts that an endpoint of ours hosts; unverified.
    Seeds {
        /// For which pool.
        pool: PoolId,
        /// Signed contacts, each at most 129 bytes.
        contacts: Vec<Vec<u8>>,
    },
    /// The persona's endpoint addresses, with the end of each. Empty while fewer than two tunnels stand.
    OwnAddresses(Vec<(SocketAddr, Unix)>),
    /// An echo asked for by `EchoAll`: round-trip time in µs, or none within 3 s.
    Echo {
        /// Through which tunnel.
        handle: TunnelHandle,
        /// µs.
        round_trip: Option<u64>,
    },
    /// A bootstrap peer cannot be used (told once per peer and reason).
    Bootstrap {
        /// Which.
        address: SocketAddr,
        /// Why.
        trouble: BootstrapTrouble,
    },
}

/// What happened to an own tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelChange {
    /// Usable: the RSA exchange is confirmed.
    Up {
        /// Which pool.
        pool: PoolId,
    },
    /// Gone.
    Down {
        /// Which pool.
        pool: PoolId,
        /// Why.
        why: DownReason,
    },
}

/// Why an own tunnel is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownReason {
    /// Its life is over; a replacement stood before.
    Expired,
    /// Echoes or answers stayed away.
    Silent,
    /// A neighbour or the endpoint closed it.
    ClosedByPeer,
    /// We closed it.
    Closed,
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// 6 s passed.
    #[error("no answer within 6 s")]
    Timeout,
    /// The pool has not the tunnels for it.
    #[error("no tunnels are ready yet")]
    NoTunnels,
    /// No usable address, an unusable key, or a body too large.
    #[error("the destination or the body cannot be used")]
    Unusable,
    /// The group ended.
    #[error("the lookup it belonged to ended")]
    Cancelled,
    /// Too many calls are open.
    #[error("too many calls are open")]
    Busy,
}

/// Why a bootstrap peer cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapTrouble {
    /// Nothing came back.
    #[error("no answer")]
    Silent,
    /// It speaks another version or belongs to another network.
    #[error("it belongs to another network or speaks another protocol version")]
    OtherNetwork,
    /// Its identity key is not the one in the file.
    #[error("it answers with another key than the one given")]
    OtherKey,
    /// Its descriptor is refused.
    #[error("its descriptor is refused")]
    BadDescriptor,
    /// Its descriptor holds by its clock and not by ours.
    #[error("its clock and the clock of this machine are far apart")]
    OtherClock,
    /// It is this node itself.
    #[error("it is this node itself")]
    Ourselves,
}

/// A verified relay as shown to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayView {
    /// Its name.
    pub id: RelayId,
    /// Its relay port.
    pub address: SocketAddr,
    /// Whether a link to it stands.
    pub linked: bool,
}
