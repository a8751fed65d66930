//! The messages of the control socket.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{exit::Failure, step::Step};

/// Longest request line in bytes, including its line end.
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
        /// A plain address; without it the persona's key is announced.
        #[serde(default)]
        address: Option<SocketAddr>,
        /// Time to try for, in milliseconds.
        timeout_ms: u64,
    },
    /// The daemon's `[[peer]]` block.
    BootstrapLine,
    /// Find the announcers on a magnet link, or the value of a key.
    Get {
        /// The magnet link, or a key of 40 hex digits.
        target: String,
        /// For a link: continue until all announcers are found, as far as possible.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        all: bool,
        /// Time to try for, in milliseconds.
        timeout_ms: u64,
    },
    /// The current version of a mutable record.
    GetMutable {
        /// The public key that signs it, 64 hex digits.
        public_key: String,
        /// The salt in hex digits.
        #[serde(default)]
        salt_hex: String,
        /// Versions with a lower sequence number are refused.
        #[serde(default)]
        min_seq: Option<i64>,
        /// End after this many lookups that were answered; `None`: continue while another lookup could find more.
        #[serde(default)]
        lookups: Option<u32>,
        /// Time to try for, in milliseconds.
        timeout_ms: u64,
    },
    /// Send an echo through each own tunnel.
    Ping,
    /// Store a value, and keep it published.
    Put {
        /// The value in hex digits.
        value_hex: String,
        /// Time to try for, in milliseconds.
        timeout_ms: u64,
    },
    /// Store a version of a mutable record that is already signed, and keep it published.
    PutMutable {
        /// The public key that signs it, 64 hex digits.
        public_key: String,
        /// The salt in hex digits.
        #[serde(default)]
        salt_hex: String,
        /// The sequence number.
        seq: i64,
        /// The bencoded value in hex digits.
        value_hex: String,
        /// The signature, 128 hex digits.
        signature: String,
        /// Store it only over the version with this sequence number.
        #[serde(default)]
        cas: Option<i64>,
        /// Time to try for, in milliseconds.
        timeout_ms: u64,
    },
    /// Report if lookups can start.
    Ready {
        /// Time to wait for that, in milliseconds.
        #[serde(default)]
        wait_ms: u64,
    },
    /// Everything about the daemon, including its tunnels and relays.
    Status,
}

impl Request {
    /// Reads a line of at most [`MAX_REQUEST`] bytes, with or without its line end.
    ///
    /// # Errors
    /// If the line is no request.
    pub fn parse(line: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(line).map_err(bad_request)
    }

    /// The time that the client gives; `None` for requests that take only a moment.
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

    /// Subtracts time that has passed from the client's.
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

/// The failure for a client whose line is no request.
pub fn bad_request(why: impl std::fmt::Display) -> Failure {
    Failure::bad_input(format!("not a request: {why}"))
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It succeeded, and the value depends on the request. This is the last line.
    Done(serde_json::Value),
    /// It failed. This is the last line.
    Error(Failure),
    /// A step on the way.
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
