//! The messages of the control socket.

use std::{net::SocketAddr, time::Duration};

use deut::{
    NodeId, Progress,
    status::{ReachStatus, ReadinessStatus},
};
use serde::{Deserialize, Serialize};

use super::report::Peer;
use crate::exit::Failure;

/// Longest request line in bytes, its end included.
pub const MAX_REQUEST: usize = 64 * 1024;

/// Longest time a client may ask the daemon to try, in milliseconds.
pub const MAX_TIMEOUT_MS: u64 = 600_000;

/// A request of a client to the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Announce on a magnet link, and keep it announced.
    Announce {
        /// The magnet link as it was typed.
        magnet: String,
        /// A plain address; without one the persona's key.
        #[serde(default)]
        address: Option<SocketAddr>,
        /// How long to try.
        timeout_ms: u64,
    },
    /// The daemon's `[[peer]]` block.
    BootstrapLine,
    /// Find the announcers on a magnet link, or the value of a key.
    Get {
        /// The link, or 40 hex digits.
        target: String,
        /// For a link: go on asking for all who announced.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        all: bool,
        /// How long to try.
        timeout_ms: u64,
    },
    /// The current version of a mutable record.
    GetMutable {
        /// 64 hex digits.
        public_key: String,
        /// The salt in hex digits.
        #[serde(default)]
        salt_hex: String,
        /// Versions with a lower sequence number are not taken.
        #[serde(default)]
        min_seq: Option<i64>,
        /// End after so many lookups that somebody answered; none: as long as another one could bring more.
        #[serde(default)]
        lookups: Option<u32>,
        /// How long to try.
        timeout_ms: u64,
    },
    /// An echo through each own tunnel.
    Ping,
    /// Store a value, and keep it published.
    Put {
        /// The value in hex digits.
        value_hex: String,
        /// How long to try.
        timeout_ms: u64,
    },
    /// Store a version of a mutable record, signed already, and keep it published.
    PutMutable {
        /// 64 hex digits.
        public_key: String,
        /// The salt in hex digits.
        #[serde(default)]
        salt_hex: String,
        /// The sequence number.
        seq: i64,
        /// The bencoded value in hex digits.
        value_hex: String,
        /// 128 hex digits.
        signature: String,
        /// Store it only over the version with this sequence number.
        #[serde(default)]
        cas: Option<i64>,
        /// How long to try.
        timeout_ms: u64,
    },
    /// Tell whether lookups can start.
    Ready {
        /// How long to wait for it.
        #[serde(default)]
        wait_ms: u64,
    },
    /// Everything about the daemon, tunnels and relays included.
    Status,
}

impl Request {
    /// Reads a line of at most [`MAX_REQUEST`] bytes, its end included or not.
    ///
    /// # Errors
    /// It is no request.
    pub fn parse(line: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(line).map_err(bad_request)
    }

    /// The time that the client gives; none for what takes a moment.
    pub fn time(&self) -> Option<Duration> {
        match self {
            Self::Announce { timeout_ms, .. }
            | Self::Get { timeout_ms, .. }
            | Self::GetMutable { timeout_ms, .. }
            | Self::Put { timeout_ms, .. }
            | Self::PutMutable { timeout_ms, .. } => {
                Some(Duration::from_millis((*timeout_ms).min(MAX_TIMEOUT_MS)))
            }
            Self::BootstrapLine | Self::Ping | Self::Ready { .. } | Self::Status => None,
        }
    }

    /// So much of it is over.
    pub fn take_time(&mut self, over: Duration) {
        match self {
            Self::Announce { timeout_ms, .. }
            | Self::Get { timeout_ms, .. }
            | Self::GetMutable { timeout_ms, .. }
            | Self::Put { timeout_ms, .. }
            | Self::PutMutable { timeout_ms, .. } => {
                let over = u64::try_from(over.as_millis()).unwrap_or(u64::MAX);
                *timeout_ms = (*timeout_ms).min(MAX_TIMEOUT_MS).saturating_sub(over);
            }
            Self::BootstrapLine | Self::Ping | Self::Ready { .. } | Self::Status => {}
        }
    }
}

/// The failure that a client is told whose line is no request.
pub fn bad_request(why: impl std::fmt::Display) -> Failure {
    Failure::bad_input(format!("not a request: {why}"))
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It worked; what came out depends on the request. The last line.
    Done(serde_json::Value),
    /// It failed. The last line.
    Error(Failure),
    /// Something happened on the way.
    Step(Step),
}

/// One step of a longer request, for people who watch. Nodes are named by the first 8 hex digits of their ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Step {
    /// A node answered.
    Answered {
        /// The node, by the first 8 hex digits of its id.
        node: String,
        /// Contacts in its answer.
        contacts: usize,
    },
    /// A node was asked.
    Asked {
        /// The node, by the first 8 hex digits of its id.
        node: String,
        /// Leading bits that it shares with the target.
        shared_bits: u32,
    },
    /// A node gave no answer, or one that was refused.
    Failed {
        /// The node, by the first 8 hex digits of its id.
        node: String,
    },
    /// An announcement was found, or more is known of one.
    Found {
        /// How many nodes gave it so far.
        given_by: usize,
        /// The announcement as it is known now.
        #[serde(default)]
        peer: Option<Peer>,
    },
    /// A version of the mutable record was found.
    FoundVersion {
        /// The node that keeps it.
        node: String,
        /// Its sequence number.
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
    /// Not ready yet.
    NotReady(ReadinessStatus),
    /// The record is stored; now others must find the persona that it names.
    Persona(ReachStatus),
    /// Ready: enough tunnels stand.
    Ready(ReadinessStatus),
    /// A node answered that it does not take the record.
    Refused {
        /// The node, by the first 8 hex digits of its id.
        node: String,
    },
    /// A node takes its time; another one is asked besides.
    Slow {
        /// The node, by the first 8 hex digits of its id.
        node: String,
    },
    /// A node took the record.
    Stored {
        /// The node, by the first 8 hex digits of its id.
        node: String,
    },
    /// A bootstrap peer cannot be used.
    Trouble {
        /// As written in `bootstrap.toml`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_plain_json() {
        for (request, json) in [
            (Request::Status, r#"{"do":"status"}"#),
            (Request::BootstrapLine, r#"{"do":"bootstrap-line"}"#),
            (
                Request::Ready { wait_ms: 5 },
                r#"{"do":"ready","wait_ms":5}"#,
            ),
            (
                Request::Get {
                    target: "x".into(),
                    all: false,
                    timeout_ms: 1,
                },
                r#"{"do":"get","target":"x","timeout_ms":1}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&request).expect("serialises"), json);
            assert_eq!(
                serde_json::from_str::<Request>(json).expect("parses"),
                request
            );
        }
        let announce: Request =
            serde_json::from_str(r#"{"do":"announce","magnet":"m","timeout_ms":5}"#)
                .expect("parses");
        assert_eq!(
            announce,
            Request::Announce {
                magnet: "m".into(),
                address: None,
                timeout_ms: 5
            }
        );
    }

    #[test]
    fn unknown_requests_and_fields_are_refused() {
        for json in [
            r#"{"do":"dance"}"#,
            r#"{"do":"get","target":"x","timeout_ms":1,"more":2}"#,
            r#"{"do":"get"}"#,
            "[]",
            "1",
        ] {
            assert!(serde_json::from_str::<Request>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn answers_survive_the_socket() {
        let step = Answer::Step(Step::Asked {
            node: "0123abcd".into(),
            shared_bits: 3,
        });
        let json = serde_json::to_string(&step).expect("serialises");
        assert_eq!(
            json,
            r#"{"step":{"kind":"asked","node":"0123abcd","shared_bits":3}}"#
        );
        assert_eq!(serde_json::from_str::<Answer>(&json).expect("parses"), step);
        let ready = Answer::Step(Step::Ready(ReadinessStatus::default()));
        let json = serde_json::to_string(&ready).expect("serialises");
        assert_eq!(
            serde_json::from_str::<Answer>(&json).expect("parses"),
            ready
        );
    }
}
