//! The boundary of the core: its inputs and outputs.
//!
//! There are four families of calls, as the crate documentation says: `handle_*` takes inputs, `poll_output` gives outputs, getters
//! only look, and there is nothing else. After every input, drain `poll_output` until it returns [`Output::Wait`].

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

/// The reason why a port could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortError {
    /// Another program holds it: the core tries another one.
    InUse,
    /// The system refuses more sockets or the address.
    Refused,
}

/// Everything that happens in the world except datagrams, which enter by `handle_datagram`.
#[derive(Debug)]
pub enum Input {
    /// The answer to [`Action::OpenPort`].
    PortOpened {
        /// The token of [`Action::OpenPort`].
        token: PortToken,
        /// `Ok` if the port is open now.
        result: Result<(), PortError>,
    },
    /// The answer to [`Action::Job`]. Unknown tickets are counted and dropped.
    JobDone {
        /// The ticket of [`Action::Job`].
        ticket: JobTicket,
        /// The result of the job.
        result: JobResult,
    },
    /// A wish of the application.
    Command(Command),
    /// A change in whether this machine sends what it is given.
    Local(LocalNetwork),
    /// The instant that `Wait` named has come. A call too early or too late does no harm.
    Timeout,
}

/// The recipient of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The recipient's persona key (Ed25519): seals the request and makes the gate.
    pub key: PersonaKey,
    /// Its endpoint addresses; at most [`Destination::MAX_ADDRESSES`] are used.
    pub at: Vec<SocketAddr>,
}

impl Destination {
    /// A contact holds at most three addresses.
    pub const MAX_ADDRESSES: usize = 3;
}

/// A peer to join through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootstrapPeer {
    /// The address of its relay port.
    pub address: SocketAddr,
    /// Its identity key. Without one the first answer is trusted.
    pub key: Option<[u8; 32]>,
}

/// A request to be made.
#[derive(Clone, Debug)]
pub struct NewCall {
    /// Names this call in later events.
    pub ticket: CallTicket,
    /// The lookup or application call that it belongs to.
    pub group: CallGroup,
    /// The pool whose tunnels carry it.
    pub pool: PoolId,
    /// The protocol of the body.
    pub service: Service,
    /// The recipient.
    pub to: Destination,
    /// The request, at most 1,016 bytes.
    pub body: Vec<u8>,
}

/// A wish of the application.
#[derive(Debug)]
pub enum Command {
    /// Join through these peers, whose names are already resolved. Replaces the list; at most 64 are kept.
    Bootstrap(Vec<BootstrapPeer>),
    /// Send a request. The call ends with exactly one `Response` or `Failed`.
    Call(NewCall),
    /// The group makes no more calls: its reply tunnels get new gates, and its open calls fail with `Cancelled`.
    EndGroup(CallGroup),
    /// Switch the persona on (its Ed25519 secret) or off. A change closes the tunnels of the persona pool.
    Persona(Option<crate::keys::OpeningKey>),
    /// The persona's newest signed contact (at most 129 bytes), to be registered at its endpoints.
    Advertise(Vec<u8>),
    /// Replace one tunnel of this pool: its endpoints brought no new contacts.
    MoveOn(PoolId),
    /// Ask up to four different endpoints of this pool for contacts.
    WantSeeds(PoolId),
    /// Answer a request (at most 1,046 bytes). Unknown tokens are ignored, since the answer came too late.
    Reply {
        /// The token of [`Event::Request`].
        to: ReplyToken,
        /// The answer.
        body: Vec<u8>,
    },
    /// Echo through every own tunnel to its endpoint and back; each gives one `Event::Echo`.
    EchoAll,
    /// Fail all calls, close all tunnels politely, and send nothing more whatever arrives.
    Shutdown,
}

/// The work that the core wants done, in order, until `Wait`.
#[derive(Debug)]
pub enum Output {
    /// Work in the world, for the driver.
    Do(Action),
    /// News for the application.
    Event(Event),
    /// There is nothing more to do until that instant (`None`: until an input).
    Wait {
        /// The instant to call `handle_input` with `Input::Timeout`.
        until: Option<Mono>,
        /// The timer that is due then, for debugging.
        why: &'static str,
    },
}

/// Work of a driver for a core: everything that needs sockets, workers or files.
#[derive(Debug)]
pub enum Action {
    /// Send a datagram.
    Transmit {
        /// The socket to send from.
        from: Port,
        /// The address to send to.
        to: SocketAddr,
        /// The datagram.
        packet: Packet,
    },
    /// Bind this UDP port on the relay's address, then answer with `Input::PortOpened`.
    OpenPort {
        /// Names the port from now on.
        token: PortToken,
        /// The port number, from the configured range.
        port: u16,
    },
    /// Close this port; datagrams in its buffer are lost.
    ClosePort(PortToken),
    /// Public-key work for the worker. The driver serves jobs in the order of `Priority`, from a bounded queue.
    Job {
        /// Goes into [`Input::JobDone`] together with the result.
        ticket: JobTicket,
        /// Its place in the worker's queue.
        priority: Priority,
        /// The job.
        work: Job,
    },
    /// Data worth saving.
    Persist(Persist),
}

/// The order of public-key jobs, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A ciphertext of an RSA exchange, ours or another node's. It takes a millisecond, and somebody waits for it. It must not
    /// queue behind key generation: else the exchanges of a starting network time out and cause still more keys.
    Exchange,
    /// Keys for the first tunnels of a starting node.
    FirstTunnels,
    /// Keys for further own tunnels.
    Own,
    /// Keys generated in advance.
    Refill,
}

/// Data that the driver may write to the data directory.
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
        /// The tunnel.
        handle: TunnelHandle,
        /// The change.
        change: TunnelChange,
    },
    /// A request came through a persona tunnel.
    Request {
        /// Token for the answer, valid for 10 s.
        reply: ReplyToken,
        /// The protocol of the body.
        service: Service,
        /// The request, at most 1,016 bytes.
        body: Vec<u8>,
    },
    /// A call was answered.
    Response {
        /// The call that is answered.
        ticket: CallTicket,
        /// The answer, at most 1,046 bytes.
        body: Vec<u8>,
        /// It came after the short timeout.
        late: bool,
    },
    /// A call passed its short timeout and was sent again another way; an answer may still come.
    Slow {
        /// The call that is slow.
        ticket: CallTicket,
    },
    /// A call is over without an answer.
    Failed {
        /// The call that failed.
        ticket: CallTicket,
        /// The reason.
        why: CallError,
        /// The tunnels that its copies left by. If empty, the recipient was never asked.
        sent_by: Vec<TunnelHandle>,
    },
    /// Contacts that one of our endpoints hosts, not yet verified.
    Seeds {
        /// The pool whose endpoint told them.
        pool: PoolId,
        /// Signed contacts, each at most 129 bytes.
        contacts: Vec<Vec<u8>>,
    },
    /// The persona's endpoint addresses, each with the time at which it ends. Empty while fewer than two tunnels stand.
    OwnAddresses(Vec<(SocketAddr, Unix)>),
    /// The result of an echo that `EchoAll` asked for.
    Echo {
        /// The tunnel that carried the echo.
        handle: TunnelHandle,
        /// Round-trip time in µs; `None` if nothing came back within 3 s.
        round_trip: Option<u64>,
    },
    /// A bootstrap peer cannot be used; reported once per peer and reason.
    Bootstrap {
        /// The address on the bootstrap list.
        address: SocketAddr,
        /// The reason.
        trouble: BootstrapTrouble,
    },
}

/// A change of one of our own tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelChange {
    /// Usable: the RSA exchange is confirmed.
    Up {
        /// The pool that it joins.
        pool: PoolId,
    },
    /// It is gone.
    Down {
        /// The pool that it leaves.
        pool: PoolId,
        /// The reason.
        why: DownReason,
    },
}

/// The reason why one of our own tunnels is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownReason {
    /// Its life is over; a replacement was up before.
    Expired,
    /// Its echoes or answers stayed away.
    Silent,
    /// A neighbour or the endpoint closed it.
    ClosedByPeer,
    /// We closed it.
    Closed,
}

/// The reason why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No answer came in time: 6 s, or less once the usual round trip is known.
    #[error("no answer within 6 s")]
    Timeout,
    /// The pool has too few tunnels.
    #[error("no tunnels are ready yet")]
    NoTunnels,
    /// There is no usable address, the key is unusable, or the body is too large.
    #[error("the destination or the body cannot be used")]
    Unusable,
    /// Its group ended.
    #[error("the lookup it belonged to ended")]
    Cancelled,
    /// Too many calls are open.
    #[error("too many calls are open")]
    Busy,
}

/// The reason why a bootstrap peer cannot be used.
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
    /// Its descriptor breaks a rule.
    #[error("its descriptor is refused")]
    BadDescriptor,
    /// Its descriptor holds by its clock but not by ours.
    #[error("its clock and the clock of this machine are far apart")]
    OtherClock,
    /// It is this node itself.
    #[error("it is this node itself")]
    Ourselves,
}

/// A verified relay as shown to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayView {
    /// Its id.
    pub id: RelayId,
    /// The address of its relay port.
    pub address: SocketAddr,
    /// True while a link to it stands.
    pub linked: bool,
}
