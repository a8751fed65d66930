//! The steps of a command, as a daemon sends them and as they are shown.

use deut::{
    NodeId, Progress,
    status::{ReachStatus, ReadinessStatus},
};
use serde::{Deserialize, Serialize};

use crate::report::Peer;

/// One step of a longer request, for display. Nodes are named by the first 8 hex digits of their ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Step {
    /// A node answered.
    Answered {
        /// The node, by the first 8 hex digits of its id.
        node: String,
        /// Number of contacts in its answer.
        contacts: usize,
    },
    /// A node was asked.
    Asked {
        /// The node, by the first 8 hex digits of its id.
        node: String,
        /// Number of leading bits that it shares with the target.
        shared_bits: u32,
    },
    /// A node gave no answer, or one that was refused.
    Failed {
        /// The node, by the first 8 hex digits of its id.
        node: String,
    },
    /// An announcement was found, or more is known about one.
    Found {
        /// Number of nodes that have given it so far.
        given_by: usize,
        /// The announcement as it is known now.
        #[serde(default)]
        peer: Option<Peer>,
    },
    /// A version of the mutable record was found.
    FoundVersion {
        /// The node that keeps it.
        node: String,
        /// The sequence number of the version.
        seq: i64,
    },
    /// A node that was asked is not waited for any longer.
    GivenUp {
        /// The node, by the first 8 hex digits of its id.
        node: String,
    },
    /// A lookup starts, with tunnels of its own.
    Lookup {
        /// The number of the lookup, from 1.
        number: u32,
    },
    /// The node is not ready yet.
    NotReady(ReadinessStatus),
    /// The record is stored. Now others must be able to find the persona that it names.
    Persona(ReachStatus),
    /// The node is ready: enough tunnels are up.
    Ready(ReadinessStatus),
    /// A node answered that it does not accept the record.
    Refused {
        /// The node, by the first 8 hex digits of its id.
        node: String,
    },
    /// A node has not answered in time; another one is asked as well.
    Slow {
        /// The node, by the first 8 hex digits of its id.
        node: String,
    },
    /// A node stored the record.
    Stored {
        /// The node, by the first 8 hex digits of its id.
        node: String,
    },
    /// A bootstrap peer cannot be used.
    Trouble {
        /// The peer's `host:port` as written in `bootstrap.toml`.
        peer: String,
        /// The trouble, in words.
        trouble: String,
    },
    /// No contact is known yet; endpoints were asked for some.
    WaitingForContacts,
}

impl From<Progress> for Step {
    fn from(progress: Progress) -> Self {
        let short = |node: NodeId| node.to_string().chars().take(8).collect();
        match progress {
            Progress::Asked { node, shared_bits } => Self::Asked {
                node: short(node),
                shared_bits,
            },
            Progress::Answered { node, contacts } => Self::Answered {
                node: short(node),
                contacts,
            },
            Progress::Failed { node } => Self::Failed { node: short(node) },
            Progress::Found(peer) => Self::Found {
                given_by: peer.given_by,
                peer: Some(Peer::from(&peer)),
            },
            Progress::FoundVersion { node, seq } => Self::FoundVersion {
                node: short(node),
                seq,
            },
            Progress::GivenUp { node } => Self::GivenUp { node: short(node) },
            Progress::Refused { node } => Self::Refused { node: short(node) },
            Progress::Slow { node } => Self::Slow { node: short(node) },
            Progress::Stored { node } => Self::Stored { node: short(node) },
            Progress::WaitingForContacts => Self::WaitingForContacts,
        }
    }
}
