//! The boundary of the crate: what goes in, what comes out, and the words both use.
//!
//! One call order: any number of [`crate::Kademlia::handle_input`], after each of them
//! [`crate::Kademlia::poll_output`] until it returns [`DhtOutput::Wait`]. No output may be dropped.
use crate::{
    contact::Contact,
    id::NodeId,
    identity::PersonaSecret,
    mutable::{MutableKey, MutableRecord},
};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// Monotonic time in microseconds since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mono(pub u64);

impl Mono {
    /// This time plus `micros` microseconds, stopping at the largest value.
    #[must_use]
    pub const fn plus(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to this time, 0 if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Wall-clock time in seconds since 1970. Only expiries use it, and clocks may differ by ±120 s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unix(pub u64);

/// Both clocks, read once per batch of inputs by the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For timers.
    pub mono: Mono,
    /// For expiries.
    pub unix: Unix,
}

/// Which plane an RPC belongs to, so which tunnel pool carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnBehalf {
    /// The persona's own maintenance: persona pool; the request carries its contact.
    Persona,
    /// A user's query: lookup pool; the request carries nobody's contact.
    User,
}

/// Names one outgoing RPC; chosen by this crate, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RpcTicket(pub u64);

/// Names one incoming request; chosen by the caller, given back with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IncomingTicket(pub u64);

/// Names one query; chosen by the caller, must not be in use by a running query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueryTicket(pub u64);

/// RPCs that belong together: they share the two reply tunnels of one lookup. Chosen by this crate,
/// never used twice, ended by exactly one [`DhtOutput::GroupEnded`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group(pub u64);

/// Any number that is the same for the same sending tunnel of ours; tells failures over one tunnel
/// from failures over several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TunnelTag(pub u64);

/// How an RPC failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was never sent: no fault of the recipient's.
    NotSent,
    /// All its copies left by this tunnel of ours.
    Over(TunnelTag),
    /// Its copies left by several tunnels of ours.
    OverSeveral,
}

/// The bytes of one RPC: a request of at most [`MAX_REQUEST_BODY`], an answer of at most [`MAX_ANSWER_BODY`].
pub type Body = Vec<u8>;

/// Longest request body in bytes (what the transport's message layout leaves of 1,232).
pub const MAX_REQUEST_BODY: usize = 1_016;
/// Longest answer body in bytes.
pub const MAX_ANSWER_BODY: usize = 1_046;

/// Where one tunnel endpoint listens on behalf of its master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointAddress {
    /// Address of the machine that hosts the endpoint, not of the persona's own.
    pub ip: IpAddr,
    /// The port of that one tunnel.
    pub port: u16,
}

/// What a peer entry announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Announced {
    /// A plain address that nobody verified. Whoever announces it makes it public.
    Address(SocketAddr),
    /// A persona's Ed25519 public key; its endpoint addresses are found by FIND_NODE(SHA-1(key)).
    Persona([u8; 32]),
}

/// Whether this node's persona can be found by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonaReach {
    /// Its public key.
    pub key: [u8; 32],
    /// The endpoint addresses in its contact; empty while there is none.
    pub addresses: Vec<EndpointAddress>,
    /// Nodes among the closest to it that hold a contact which still leads to it, as far as it knows.
    pub held_by: usize,
    /// How many of the closest it knows, eight at most.
    pub of: usize,
}

impl PersonaReach {
    /// Whether whoever looks for it finds its addresses: a search asks the closest, and half of them have it.
    #[must_use]
    pub fn stands(&self) -> bool {
        !self.addresses.is_empty() && self.held_by > 0 && self.held_by * 2 >= self.of
    }
}

/// What a user asks for.
#[derive(Clone, PartialEq, Eq)]
pub enum Query {
    /// Announce on an infohash, and keep it announced until the node stops.
    Announce {
        /// The first 20 bytes of the torrent's hash; never leaves this crate in clear.
        infohash: [u8; 20],
        /// What readers shall find.
        what: Announced,
    },
    /// The eight closest nodes to a point.
    FindNode {
        /// The point.
        target: NodeId,
    },
    /// The current version of a mutable record: of those that the closest nodes give, the one with the
    /// highest sequence number.
    GetMutable {
        /// Which.
        of: MutableKey,
        /// Versions with a lower number are not taken: who has seen a version cannot be given an older one.
        min_seq: Option<i64>,
    },
    /// Who announced on an infohash, with personas resolved to their current contacts.
    GetPeers {
        /// The first 20 bytes of the torrent's hash.
        infohash: [u8; 20],
    },
    /// An immutable value.
    GetValue {
        /// SHA-1 of the value.
        key: NodeId,
    },
    /// Store a version of a mutable record, and keep it published until the node stops, a newer one is
    /// put, or a newer one is seen. It comes signed: no secret is needed to announce it again.
    PutMutable {
        /// The version.
        record: MutableRecord,
        /// Store it only over the version with this sequence number, or where there is none.
        cas: Option<i64>,
    },
    /// Store a value of at most [`crate::store::MAX_VALUE`] bytes, and keep it published until the node stops.
    PutValue {
        /// The value.
        value: Vec<u8>,
    },
}

/// Names the kind of query only: what users ask for does not belong in a log.
impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Announce { .. } => "Announce(..)",
            Self::FindNode { .. } => "FindNode(..)",
            Self::GetMutable { .. } => "GetMutable(..)",
            Self::GetPeers { .. } => "GetPeers(..)",
            Self::GetValue { .. } => "GetValue(..)",
            Self::PutMutable { .. } => "PutMutable(..)",
            Self::PutValue { .. } => "PutValue(..)",
        })
    }
}

/// Everything that can happen to the DHT.
#[derive(Debug)]
pub enum DhtInput {
    /// Ends a query without a result: [`QueryResult::Cancelled`] is its outcome.
    Cancel(QueryTicket),
    /// No answer within the full timeout, or it could not be sent.
    Failed(RpcTicket, Failure),
    /// The endpoint addresses of the persona's tunnels, each with its end. A changed set gives a newly
    /// signed contact. Empty: the persona neither answers nor advertises.
    OwnAddresses(Vec<(EndpointAddress, Unix)>),
    /// The persona's key, or none to switch the persona off. A new key starts an empty table and store.
    Persona(Option<PersonaSecret>),
    /// A request that came out of a tunnel of the persona.
    Request(IncomingTicket, Body),
    /// The answer to an RPC, late ones included.
    Response(RpcTicket, Body),
    /// Contacts as one endpoint gave them; untrusted.
    Seeds(OnBehalf, Vec<Body>),
    /// The RPC has no answer yet after the short timeout (the transport sends it again by itself).
    Slow(RpcTicket),
    /// Starts a query.
    Start(QueryTicket, Query),
    /// The time of the last [`DhtOutput::Wait`] has come (calling it early does no harm).
    Timeout,
}

/// Everything the DHT wants done.
#[derive(Debug)]
pub enum DhtOutput {
    /// Our newest signed contact: register it at the endpoints of the persona's tunnels.
    Advertise(Body),
    /// The answer to a request.
    Answer {
        /// Which request.
        to: IncomingTicket,
        /// The answer.
        body: Body,
    },
    /// The outcome of a query, exactly once per started query.
    Done(QueryTicket, QueryOutcome),
    /// No further RPC belongs to this group, and answers still under way are no longer needed.
    GroupEnded(Group),
    /// One step of a query.
    Progress(QueryTicket, Progress),
    /// Send a request.
    Send {
        /// Comes back with the answer.
        ticket: RpcTicket,
        /// The group whose reply tunnels serve it.
        group: Group,
        /// The query that caused it; none for maintenance and for re-announcing.
        query: Option<QueryTicket>,
        /// The recipient, with a verified signature.
        to: Contact,
        /// The request.
        body: Body,
        /// The pool to use.
        on_behalf: OnBehalf,
    },
    /// A newer version of a mutable record that this node publishes was seen: ours is no longer announced.
    Superseded {
        /// The record's key in the DHT.
        key: NodeId,
        /// The sequence number of the version that was published.
        published: i64,
        /// The one of the version that was seen.
        seen: i64,
    },
    /// Ends the drain: nothing to do until `until`; none means until the next input.
    Wait {
        /// When to call with [`DhtInput::Timeout`].
        until: Option<Mono>,
        /// What for, for logs.
        why: &'static str,
    },
    /// The endpoints of that pool brought nobody new for a while: let one tunnel give way to another.
    WantOtherEndpoints(OnBehalf),
    /// This plane needs contacts: ask endpoints of that pool for some. At most one per second.
    WantSeeds(OnBehalf),
}

/// One step of a running query, for people who watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A node was asked.
    Asked {
        /// Which.
        node: NodeId,
        /// How many leading bits it shares with the target.
        shared_bits: u32,
    },
    /// A node answered.
    Answered {
        /// Which.
        node: NodeId,
        /// Contacts in its answer that passed verification.
        contacts: usize,
    },
    /// A node failed: no answer, or an answer that was refused.
    Failed {
        /// Which.
        node: NodeId,
    },
    /// An announcement was found; it is told again when a persona's contact is found, and when it answers there.
    Found(FoundPeer),
    /// A lookup is over without the answer of this node, which it had asked.
    GivenUp {
        /// Which.
        node: NodeId,
    },
    /// A version of the mutable record was found.
    FoundVersion {
        /// The node that gave it.
        node: NodeId,
        /// Its sequence number.
        seq: i64,
    },
    /// A node answered that it does not take the record.
    Refused {
        /// Which.
        node: NodeId,
    },
    /// A node did not answer in time yet; its slot went to another.
    Slow {
        /// Which.
        node: NodeId,
    },
    /// A node took the record.
    Stored {
        /// Which.
        node: NodeId,
    },
    /// No contacts are known; waiting for seeds.
    WaitingForContacts,
}

/// Something announced on an infohash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPeer {
    /// What was announced. An address is what its announcer claims, nothing more.
    pub what: Announced,
    /// How many nodes gave it to us.
    pub given_by: usize,
    /// The current contact of an announced persona, where it was found.
    pub contact: Option<Contact>,
    /// Whether the persona answers at the addresses in its contact; none if that is not known. Always none for an address.
    pub reachable: Option<bool>,
}

/// How a query ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryOutcome {
    /// What came out.
    pub result: QueryResult,
    /// What it took.
    pub stats: QueryStats,
}

/// What came out of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryResult {
    /// It was cancelled.
    Cancelled,
    /// Nodes keep another version of the mutable record, signed by its key, that stands against the one that
    /// was put. That one is not published any further; nodes that took it keep it until it ends.
    Conflict {
        /// The version that stands: the newest of those that nodes gave.
        kept: MutableRecord,
        /// How many nodes took the new one nevertheless.
        at: usize,
    },
    /// The current version of a mutable record.
    Mutable {
        /// It, with its signature.
        record: MutableRecord,
        /// How many nodes gave it.
        given_by: usize,
        /// How many nodes gave an older one.
        older_by: usize,
    },
    /// The closest nodes that answered, closest first.
    Nodes(Vec<Contact>),
    /// The closest nodes that answered (see the statistics) do not know it; or nobody answered.
    NotFound,
    /// Only versions of the mutable record below the wanted sequence number were found; this is the newest.
    OnlyOlder {
        /// Its sequence number.
        seq: i64,
    },
    /// Who announced.
    Peers(Vec<FoundPeer>),
    /// The query was not run.
    Refused(Refusal),
    /// The record is kept and announced again from time to time, whatever `at` says.
    Stored {
        /// Its key in the DHT.
        key: NodeId,
        /// How many nodes took it.
        at: usize,
        /// How many were asked to.
        of: usize,
    },
    /// The value.
    Value(Vec<u8>),
}

/// Why a query was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An address with port 0, or an unspecified, multicast or broadcast one.
    #[error(
        "nobody could connect to this address: its port is 0, or its IP address is unspecified, multicast or broadcast"
    )]
    BadAddress,
    /// This node publishes another version of the mutable record, with this sequence number, which is not
    /// lower than the new one's or not the expected one.
    #[error("this node publishes the mutable record with sequence number {0}")]
    OtherVersionPublished(i64),
    /// The ticket belongs to a running query.
    #[error("this ticket is in use")]
    TicketInUse,
    /// `Config::max_published` records are already kept.
    #[error("too many records are published by this node")]
    TooManyPublished,
    /// `Config::max_queries` queries are already running.
    #[error("too many queries are running")]
    TooManyQueries,
    /// The value is longer than [`crate::store::MAX_VALUE`].
    #[error("the value has {0} bytes, more than the 800 that fit")]
    ValueTooLarge(usize),
}

/// How many nodes a network has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkRange {
    /// The estimate.
    pub about: u64,
    /// It is improbable that there are fewer.
    pub least: u64,
    /// It is improbable that there are more.
    pub most: u64,
}

impl NetworkRange {
    /// All were seen.
    pub(crate) const fn exactly(nodes: u64) -> Self {
        Self {
            about: nodes,
            least: nodes,
            most: nodes,
        }
    }
}

/// What a query took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Length of the longest chain of answers: 1 = only nodes known at the start were asked.
    pub rounds: u32,
    /// RPCs sent, those that store included.
    pub sent: u32,
    /// RPCs answered acceptably.
    pub answered: u32,
    /// RPCs that failed or brought a refused answer.
    pub failed: u32,
    /// Nodes among the eight closest to the target that answered.
    pub closest_answered: u32,
    /// Estimated number of nodes in the network, from how dense it is around the points that lookups went to lately;
    /// none if nobody answered.
    pub network_estimate: Option<u64>,
    /// The same with its range.
    pub network_range: Option<NetworkRange>,
    /// If nodes gave only a part of the announcements that they keep: so many there are at least, very probably, by how
    /// often each was given (the lower end of the 95 % interval of Chao's estimate).
    pub peers_at_least: Option<u64>,
    /// Duration in microseconds.
    pub micros: u64,
}
