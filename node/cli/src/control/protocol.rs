//! The messages of the control socket.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{exit::Failure, step::Step};

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

#[cfg(test)]
mod tests {
    use deut::status::ReadinessStatus;

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
