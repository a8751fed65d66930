//! Results of the commands, in the JSON shapes of `docs/operations.md`.

use std::{net::SocketAddr, time::Duration};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use deut::{
    Announced, FoundPeer, MutableRecord, PoolId, QueryStats, TunnelEcho, status::ReachStatus,
};
use serde::{Deserialize, Serialize};

use crate::exit::Failure;

/// Bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// Bytes from hex digits; `None` if the number of digits is odd or there is any other character.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
}

/// The result of `get`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "kebab-case")]
pub enum Got {
    /// The result for a magnet link.
    Peers {
        /// The infohash, 40 hex digits.
        infohash: String,
        /// The announcers that were found.
        peers: Vec<Peer>,
        /// The mutable record that named the torrent, if the link was to one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        through: Option<Named>,
        /// Both swarms of a hybrid torrent; empty for other torrents.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        swarms: Vec<Swarm>,
        /// RPCs and time that it took.
        #[serde(flatten)]
        effort: Effort,
    },
    /// The result for a mutable record.
    Mutable {
        /// The version that was found.
        #[serde(flatten)]
        record: Named,
        /// The bencoded value in hex digits, in the form that is signed.
        value_hex: String,
        /// The string in the value, if the value is a byte string and text.
        #[serde(skip_serializing_if = "Option::is_none")]
        value_text: Option<String>,
        /// Number of nodes that gave this version.
        given_by: usize,
        /// Number of nodes that gave an older version.
        older_by: usize,
        /// RPCs and time that it took.
        #[serde(flatten)]
        effort: Effort,
    },
    /// The result for a key.
    Value {
        /// The key, 40 hex digits.
        key: String,
        /// The value in hex digits.
        value_hex: String,
        /// The value as text, if it is text.
        #[serde(skip_serializing_if = "Option::is_none")]
        value_text: Option<String>,
        /// RPCs and time that it took.
        #[serde(flatten)]
        effort: Effort,
    },
}

impl Got {
    /// The announcers; empty for anything but a magnet link.
    pub fn peers(&self) -> &[Peer] {
        match self {
            Self::Peers { peers, .. } => peers,
            _ => &[],
        }
    }

    /// Returns true if the result is useful: at least one announcer answers, or gave an address, which cannot be tested.
    pub fn leads_somewhere(&self) -> bool {
        !matches!(self, Self::Peers { .. }) || self.peers().iter().any(Peer::leads_somewhere)
    }
}

impl Peer {
    /// Returns true if it answers, or gave an address, which cannot be tested.
    pub fn leads_somewhere(&self) -> bool {
        match self {
            Self::Persona { reachable, .. } => *reachable == Some(true),
            Self::Unverified { .. } => true,
        }
    }
}

/// One of the two swarms of a hybrid torrent, and the announcers found in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swarm {
    /// The infohash, 40 hex digits.
    pub infohash: String,
    /// The version of BitTorrent, 1 or 2.
    pub version: u8,
    /// The keys of personas, and the addresses.
    pub who: Vec<String>,
}

/// A version of a mutable record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The public key that signs it, 64 hex digits.
    pub public_key: String,
    /// The salt in hex digits; empty if there is none.
    pub salt_hex: String,
    /// The sequence number.
    pub seq: i64,
}

impl Named {
    /// The magnet link of BEP 46 to this record.
    pub fn link(&self) -> String {
        let salt = match self.salt_hex.as_str() {
            "" => String::new(),
            salt => format!("&s={salt}"),
        };
        format!("magnet:?xs=urn:btpk:{}{salt}", self.public_key)
    }
}

impl From<&MutableRecord> for Named {
    fn from(record: &MutableRecord) -> Self {
        Self {
            public_key: hex(&record.key().public_key()),
            salt_hex: hex(record.key().salt()),
            seq: record.seq(),
        }
    }
}

/// An announcer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Peer {
    /// A node behind tunnels.
    Persona {
        /// Its persona's key, 64 hex digits.
        key: String,
        /// Its endpoint addresses, which belong to other machines; empty if its current contact was not found.
        addresses: Vec<SocketAddr>,
        /// True if it answers there; `None` if that is not known.
        #[serde(default)]
        reachable: Option<bool>,
        /// Number of nodes that gave this entry.
        given_by: usize,
    },
    /// An address, which nobody verified.
    Unverified {
        /// The address that the announcer claims.
        address: SocketAddr,
        /// Number of nodes that gave this entry.
        given_by: usize,
    },
}

impl Peer {
    /// The persona's key, or the address.
    pub fn name(&self) -> String {
        match self {
            Self::Persona { key, .. } => key.clone(),
            Self::Unverified { address, .. } => address.to_string(),
        }
    }

    /// Number of nodes that gave it.
    pub(super) const fn given_by(&self) -> usize {
        match self {
            Self::Persona { given_by, .. } | Self::Unverified { given_by, .. } => *given_by,
        }
    }

    /// Adds what another lookup found of the same peer. True if its addresses were not known before.
    pub(super) fn learn(&mut self, other: &Self) -> bool {
        let most = self.given_by().max(other.given_by());
        let mut is_news = false;
        if let (
            Self::Persona {
                addresses,
                reachable,
                ..
            },
            Self::Persona {
                addresses: others,
                reachable: now,
                ..
            },
        ) = (&mut *self, other)
        {
            is_news = addresses.is_empty() && !others.is_empty();
            if is_news || *now == Some(true) {
                addresses.clone_from(others);
            }
            if *reachable != Some(true) {
                *reachable = now.or(*reachable);
            }
        }
        let (Self::Persona { given_by, .. } | Self::Unverified { given_by, .. }) = self;
        *given_by = most;
        is_news
    }

    /// Adds what was found of the same peer in another swarm.
    pub(super) fn add(&mut self, other: Self) {
        let more = match (&mut *self, &other) {
            (
                Self::Persona { addresses, .. },
                Self::Persona {
                    addresses: others,
                    given_by,
                    ..
                },
            ) => {
                if addresses.is_empty() {
                    addresses.clone_from(others);
                }
                *given_by
            }
            (_, Self::Persona { given_by, .. } | Self::Unverified { given_by, .. }) => *given_by,
        };
        let (Self::Persona { given_by, .. } | Self::Unverified { given_by, .. }) = self;
        *given_by += more;
    }
}

impl From<&FoundPeer> for Peer {
    fn from(peer: &FoundPeer) -> Self {
        let given_by = peer.given_by;
        match peer.what {
            Announced::Address(address) => Self::Unverified { address, given_by },
            Announced::Persona(key) => {
                let contact = peer.contact.iter().flat_map(|contact| contact.addresses());
                let addresses = contact.map(|at| SocketAddr::new(at.ip, at.port)).collect();
                Self::Persona {
                    key: hex(&key),
                    addresses,
                    reachable: peer.reachable,
                    given_by,
                }
            }
        }
    }
}

/// The cost of a lookup and its estimates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// Number of lookups started.
    pub lookups: u32,
    /// Duration of the last lookup in milliseconds.
    pub lookup_ms: f64,
    /// Number of RPCs sent by the last lookup.
    pub rpcs: u32,
    /// Number of RPCs answered in the last lookup.
    pub answered: u32,
    /// Number of RPCs that failed in the last lookup.
    pub failed: u32,
    /// Length of the longest chain of answers in the last lookup.
    pub rounds: u32,
    /// Number of the eight nodes closest to the target that answered.
    pub closest_answered: u32,
    /// Estimated number of nodes in the network.
    pub network_estimate: Option<u64>,
    /// The range of the estimate: fewer or more nodes than these two numbers are improbable.
    #[serde(default)]
    pub network_range: Option<(u64, u64)>,
    /// Set if nodes gave only samples of what was announced: there are very probably at least this many peers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers_at_least: Option<u64>,
    /// With `--all`: number of lookups whose costs are added up here; 0 for a single lookup.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub merged: u32,
}

// serde requires this signature.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Effort {
    /// The effort of two lookups at the same time.
    pub(super) fn beside(self, other: Self) -> Self {
        Self {
            lookups: self.lookups.max(other.lookups),
            lookup_ms: self.lookup_ms.max(other.lookup_ms),
            rpcs: self.rpcs + other.rpcs,
            answered: self.answered + other.answered,
            failed: self.failed + other.failed,
            rounds: self.rounds.max(other.rounds),
            closest_answered: self.closest_answered.min(other.closest_answered),
            network_estimate: self.network_estimate.max(other.network_estimate),
            network_range: self.network_range.max(other.network_range),
            peers_at_least: self.peers_at_least.max(other.peers_at_least),
            merged: self.merged.max(other.merged),
        }
    }

    /// The effort of several lookups one after another, with one more.
    pub(super) fn and_then(self, other: Self) -> Self {
        Self {
            lookups: self.lookups + 1,
            lookup_ms: self.lookup_ms + other.lookup_ms,
            closest_answered: self.closest_answered.max(other.closest_answered),
            network_estimate: other.network_estimate.or(self.network_estimate),
            network_range: other.network_range.or(self.network_range),
            merged: self.merged + 1,
            ..self.beside(other)
        }
    }

    /// The effort of the `lookups`-th lookup, and the time that the asker waited for it.
    pub fn new(lookups: u32, took: Duration, stats: &QueryStats) -> Self {
        Self {
            lookups,
            lookup_ms: milliseconds(u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
            rpcs: stats.sent,
            answered: stats.answered,
            failed: stats.failed,
            rounds: stats.rounds,
            closest_answered: stats.closest_answered,
            network_estimate: stats.network_estimate,
            network_range: stats.network_range.map(|range| (range.least, range.most)),
            peers_at_least: stats.peers_at_least,
            merged: 0,
        }
    }
}

/// Microseconds as milliseconds with three decimals.
pub fn milliseconds(micros: u64) -> f64 {
    // Exact up to 2^53 µs, which is 285 years.
    #[allow(clippy::cast_precision_loss)]
    let micros = micros as f64;
    micros / 1_000.0
}

/// The result of `put` and `announce`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// For `put` the key of the value, for `announce` the infohash; 40 hex digits.
    pub key: String,
    /// The thing announced: `persona` and its key, or an address; `None` for `put`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<String>,
    /// The version of a mutable record, for `put --mutable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutable: Option<Named>,
    /// The other swarm of a hybrid torrent, for `announce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<OtherSwarm>,
    /// Number of nodes that stored it.
    pub stored_at: usize,
    /// Number of nodes that were asked to store it.
    pub of: usize,
    /// True if it is kept published: a daemon does so, a short-lived client does not.
    pub kept: bool,
    /// How well others can find the announced persona; `None` for `put` and for an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<ReachStatus>,
    /// RPCs and time that it took.
    #[serde(flatten)]
    pub effort: Effort,
}

/// The result of `announce` in the other swarm of a hybrid torrent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherSwarm {
    /// The infohash, 40 hex digits: the start of the version 2 hash.
    pub key: String,
    /// Number of nodes that stored it.
    pub stored_at: usize,
    /// Number of nodes that were asked to store it.
    pub of: usize,
}

/// The result of `ping`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Echoes {
    /// Each tunnel with its echo.
    pub tunnels: Vec<Echo>,
    /// Number of tunnels that answered.
    pub answered: usize,
    /// Number of tunnels that did not answer within 3 s.
    pub lost: usize,
    /// Smallest, median and largest round trip in milliseconds; `None` if no tunnel answered.
    pub round_trip_ms: Option<[f64; 3]>,
}

/// One tunnel with its echo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Echo {
    /// The number of the tunnel on the node.
    pub handle: u64,
    /// `lookup` or `persona`.
    pub pool: String,
    /// Number of relays in it, the endpoint included.
    pub hops: usize,
    /// Time to its endpoint and back in milliseconds; `None` if the echo was lost.
    pub round_trip_ms: Option<f64>,
}

impl Echoes {
    /// Counts and sorts the echoes.
    pub fn new(echoes: &[TunnelEcho]) -> Self {
        let tunnels: Vec<Echo> = echoes.iter().map(Echo::from).collect();
        let mut times: Vec<f64> = tunnels
            .iter()
            .filter_map(|echo| echo.round_trip_ms)
            .collect();
        times.sort_by(f64::total_cmp);
        let median = times.get(times.len() / 2);
        let round_trip_ms = match (times.first(), median, times.last()) {
            (Some(first), Some(median), Some(last)) => Some([*first, *median, *last]),
            _ => None,
        };
        Self {
            answered: times.len(),
            lost: tunnels.len() - times.len(),
            tunnels,
            round_trip_ms,
        }
    }
}

impl From<&TunnelEcho> for Echo {
    fn from(echo: &TunnelEcho) -> Self {
        Self {
            handle: echo.view.handle.0,
            pool: pool_name(echo.view.pool).into(),
            hops: echo.view.hops,
            round_trip_ms: echo.round_trip_us.map(milliseconds),
        }
    }
}

/// The name of a pool, as in [`deut::status::TunnelStatus`].
const fn pool_name(pool: PoolId) -> &'static str {
    match pool {
        PoolId::Lookup => "lookup",
        PoolId::Persona => "persona",
    }
}

/// The result of `bootstrap-line`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootstrapLine {
    /// A `[[peer]]` block.
    pub block: String,
}

/// A failure as `--json` prints it, together with any partial result, with the fields in their usual order.
#[derive(Serialize)]
pub struct FailureObject {
    error: serde_json::Value,
    #[serde(flatten)]
    found: Option<Got>,
}

impl From<&Failure> for FailureObject {
    fn from(failure: &Failure) -> Self {
        let found = failure.found.clone();
        Self {
            error: serde_json::json!({ "code": failure.kind.code(), "kind": failure.kind, "message": failure.message, "hint": failure.hint }),
            found: found.and_then(|found| serde_json::from_value(found).ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_back_and_nothing_else_is_read() {
        assert_eq!(hex(&[0, 15, 255]), "000fff");
        assert_eq!(unhex("000fff"), Some(vec![0, 15, 255]));
        assert_eq!(unhex("0F"), Some(vec![15]));
        for bad in ["0", "zz", "+1", "é"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }

    #[test]
    fn found_peers_have_the_documented_shape() {
        let effort = Effort {
            lookups: 1,
            lookup_ms: 1.5,
            rpcs: 2,
            ..Effort::default()
        };
        let address = "203.0.113.7:6881".parse().expect("an address");
        let got = Got::Peers {
            infohash: "ab".into(),
            peers: vec![Peer::Unverified {
                address,
                given_by: 3,
            }],
            through: None,
            swarms: Vec::new(),
            effort,
        };
        let json = serde_json::to_value(&got).expect("serialises");
        assert_eq!(json["found"], "peers");
        assert_eq!(json["peers"][0]["kind"], "unverified");
        assert_eq!(json["peers"][0]["address"], "203.0.113.7:6881");
        assert_eq!(json["lookup_ms"], 1.5);
        assert_eq!(serde_json::from_value::<Got>(json).expect("parses"), got);
    }
}
