//! Queries of users, the steps that are told on the way, and their results.
use std::fmt;

use crate::{
    contact::Contact,
    id::NodeId,
    records::{
        announced::Announced,
        mutable::{MutableKey, MutableRecord},
    },
};

/// A user's request.
#[derive(Clone, PartialEq, Eq)]
pub enum Query {
    /// Announce on an infohash, and keep it announced until the node stops.
    Announce {
        /// The first 20 bytes of the torrent's hash; never leaves this crate in clear.
        infohash: [u8; 20],
        /// The thing that readers shall find.
        what: Announced,
    },
    /// The eight closest nodes to a point.
    FindNode {
        /// The point, as an id.
        target: NodeId,
    },
    /// The current version of a mutable record: of those that the closest nodes give, the one with the
    /// highest sequence number.
    GetMutable {
        /// The key of the record.
        of: MutableKey,
        /// Versions with a lower number are not taken: who has seen a version cannot be given an older one.
        min_seq: Option<i64>,
    },
    /// The announcements on an infohash, with personas resolved to their current contacts.
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
        /// The version to store, with its signature.
        record: MutableRecord,
        /// Store it only over the version with this sequence number, or where there is none.
        cas: Option<i64>,
    },
    /// Store a value of at most [`crate::MAX_VALUE`] bytes, and keep it published until the node stops.
    PutValue {
        /// The bytes to store.
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

/// One step of a running query, for people who watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A node was asked.
    Asked {
        /// The node's id.
        node: NodeId,
        /// How many leading bits it shares with the target.
        shared_bits: u32,
    },
    /// A node answered.
    Answered {
        /// The node's id.
        node: NodeId,
        /// Contacts in its answer that passed verification.
        contacts: usize,
    },
    /// A node failed: no answer, or an answer that was refused.
    Failed {
        /// The node's id.
        node: NodeId,
    },
    /// An announcement was found; it is told again when a persona's contact is found, and when it answers there.
    Found(FoundPeer),
    /// A lookup is over without the answer of this node, which it had asked.
    GivenUp {
        /// The node's id.
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
        /// The node's id.
        node: NodeId,
    },
    /// A node did not answer in time yet; its slot went to another.
    Slow {
        /// The node's id.
        node: NodeId,
    },
    /// A node took the record.
    Stored {
        /// The node's id.
        node: NodeId,
    },
    /// No contacts are known; waiting for seeds.
    WaitingForContacts,
}

/// Something announced on an infohash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPeer {
    /// The thing announced. An address is only a claim of its announcer.
    pub what: Announced,
    /// How many nodes gave it to us.
    pub given_by: usize,
    /// The current contact of an announced persona, where it was found.
    pub contact: Option<Contact>,
    /// True if the persona answers at the addresses in its contact; none if that is not known. Always none for an address.
    pub reachable: Option<bool>,
}

/// How a query ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryOutcome {
    /// The result.
    pub result: QueryResult,
    /// Its cost, and estimates that came with it.
    pub stats: QueryStats,
}

/// The result of a query.
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
    /// All announcements that were found.
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
    /// The value that was asked for.
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
    /// The value is longer than [`crate::MAX_VALUE`].
    #[error("the value has {0} bytes, more than the 800 that fit")]
    ValueTooLarge(usize),
}

/// How many nodes a network has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkRange {
    /// The best estimate.
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

/// The cost of a query, and estimates that came with it.
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
