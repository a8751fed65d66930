//! Queries of users, the steps reported on the way, and their results.
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
    /// Announce on an infohash, and repeat that until the node stops.
    Announce {
        /// The first 20 bytes of the torrent's hash. They never leave this crate in clear.
        infohash: [u8; 20],
        /// The persona or address that readers are to find.
        what: Announced,
    },
    /// The eight closest nodes to a point.
    FindNode {
        /// The point in the id space.
        target: NodeId,
    },
    /// The current version of a mutable record: the one with the highest sequence number of those that the closest nodes give.
    GetMutable {
        /// The public key and salt of the record.
        of: MutableKey,
        /// Versions with a lower number are refused. A reader who passes the last number seen cannot be given an older version.
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
    /// Store a version of a mutable record, and keep it published until the node stops or a newer version is put or seen. It comes
    /// signed, so no secret is needed to announce it again.
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

/// Shows only the kind of query: users' questions do not belong in a log.
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

/// One step of a running query, for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A node was asked.
    Asked {
        /// The node's id.
        node: NodeId,
        /// Number of leading bits that it shares with the target.
        shared_bits: u32,
    },
    /// A node answered.
    Answered {
        /// The node's id.
        node: NodeId,
        /// Number of contacts in its answer that were accepted.
        contacts: usize,
    },
    /// A node failed: it did not answer, or its answer was refused.
    Failed {
        /// The node's id.
        node: NodeId,
    },
    /// An announcement was found. Reported again when a persona's contact is found, and when the persona answers there.
    Found(FoundPeer),
    /// A lookup ended without the answer of a node that it had asked.
    GivenUp {
        /// The node's id.
        node: NodeId,
    },
    /// A version of the mutable record was found.
    FoundVersion {
        /// The node that gave the version.
        node: NodeId,
        /// The sequence number of the version.
        seq: i64,
    },
    /// A node answered that it does not accept the record.
    Refused {
        /// The node's id.
        node: NodeId,
    },
    /// A node has not answered in time; its place among the RPCs under way went to another.
    Slow {
        /// The node's id.
        node: NodeId,
    },
    /// A node stored the record.
    Stored {
        /// The node's id.
        node: NodeId,
    },
    /// No contacts are known; the query waits for seeds.
    WaitingForContacts,
}

/// An announcement that was found on an infohash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPeer {
    /// The announced persona or address. An address is only a claim of its announcer.
    pub what: Announced,
    /// Number of nodes that gave it to us.
    pub given_by: usize,
    /// The current contact of an announced persona, if it was found.
    pub contact: Option<Contact>,
    /// True if the persona answers at the addresses in its contact; `None` if that is not known, and for every address.
    pub reachable: Option<bool>,
}

/// The end of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryOutcome {
    /// The result.
    pub result: QueryResult,
    /// The cost of the query, and estimates made on the way.
    pub stats: QueryStats,
}

/// The result of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryResult {
    /// It was cancelled.
    Cancelled,
    /// Nodes keep another version of the mutable record, signed by its key, which takes precedence over the one that was put. That
    /// one is no longer published; nodes that stored it keep it until it ends.
    Conflict {
        /// The version that takes precedence: the newest of those that nodes gave.
        kept: MutableRecord,
        /// Number of nodes that stored the new version nevertheless.
        at: usize,
    },
    /// The current version of a mutable record.
    Mutable {
        /// The version with its signature.
        record: MutableRecord,
        /// Number of nodes that gave it.
        given_by: usize,
        /// Number of nodes that gave an older version.
        older_by: usize,
    },
    /// The closest nodes that answered, closest first.
    Nodes(Vec<Contact>),
    /// The closest nodes that answered (see the statistics) do not have it, or no node answered.
    NotFound,
    /// Only versions of the mutable record below the wanted sequence number were found; this is the newest.
    OnlyOlder {
        /// The sequence number of that version.
        seq: i64,
    },
    /// All announcements that were found.
    Peers(Vec<FoundPeer>),
    /// The query was not run.
    Refused(Refusal),
    /// The record is kept and announced again from time to time, even if `at` is 0.
    Stored {
        /// The record's key in the DHT.
        key: NodeId,
        /// Number of nodes that stored it.
        at: usize,
        /// Number of nodes that were asked to store it.
        of: usize,
    },
    /// The value that was asked for.
    Value(Vec<u8>),
}

/// The reason why a query was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The address has port 0, or is an unspecified, multicast or broadcast one.
    #[error(
        "nobody could connect to this address: its port is 0, or its IP address is unspecified, multicast or broadcast"
    )]
    BadAddress,
    /// This node publishes another version of the mutable record, with this sequence number: the new one's number is not higher, or
    /// the expected number is another one.
    #[error("this node publishes the mutable record with sequence number {0}")]
    OtherVersionPublished(i64),
    /// The ticket belongs to a query that is running.
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

/// An estimate of the number of nodes in a network.
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
    /// The size of a network of which all nodes were seen.
    pub(crate) const fn exactly(nodes: u64) -> Self {
        Self {
            about: nodes,
            least: nodes,
            most: nodes,
        }
    }
}

/// The cost of a query, and estimates made on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Length of the longest chain of answers. 1 means that only nodes known at the start were asked.
    pub rounds: u32,
    /// Number of RPCs sent, STOREs included.
    pub sent: u32,
    /// Number of RPCs with an accepted answer.
    pub answered: u32,
    /// Number of RPCs that failed or had an answer that was refused.
    pub failed: u32,
    /// Number of the eight nodes closest to the target that answered.
    pub closest_answered: u32,
    /// Estimated number of nodes in the network, from the density around the points that lookups went to lately; `None` if no node
    /// answered.
    pub network_estimate: Option<u64>,
    /// The same estimate with its range.
    pub network_range: Option<NetworkRange>,
    /// Set if nodes gave only a part of the announcements that they keep. There are very probably at least this many, judging by
    /// how often each was given (the lower end of the 95 % interval of Chao's estimate).
    pub peers_at_least: Option<u64>,
    /// Duration in microseconds.
    pub micros: u64,
}
