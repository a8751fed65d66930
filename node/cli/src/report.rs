//! Results of the commands: the JSON shapes of `docs/operations.md`.

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

/// Bytes from hex digits; none if there is anything else or an odd number.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
}

/// The result of `get`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "kebab-case")]
pub enum Got {
    /// For a magnet link.
    Peers {
        /// 40 hex digits.
        infohash: String,
        /// The announcers that were found.
        peers: Vec<Peer>,
        /// The mutable record that named the torrent, for a link to one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        through: Option<Named>,
        /// Both swarms of a hybrid torrent; none for others.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        swarms: Vec<Swarm>,
        /// RPCs and time that it took.
        #[serde(flatten)]
        effort: Effort,
    },
    /// For a mutable record.
    Mutable {
        /// The version that was found.
        #[serde(flatten)]
        record: Named,
        /// The bencoded value in hex digits, as it is signed.
        value_hex: String,
        /// The value, where it is a byte string and text.
        #[serde(skip_serializing_if = "Option::is_none")]
        value_text: Option<String>,
        /// How many nodes gave this version.
        given_by: usize,
        /// How many nodes gave an older one.
        older_by: usize,
        /// RPCs and time that it took.
        #[serde(flatten)]
        effort: Effort,
    },
    /// For a key.
    Value {
        /// 40 hex digits.
        key: String,
        /// The value in hex digits.
        value_hex: String,
        /// The value, where it is text.
        #[serde(skip_serializing_if = "Option::is_none")]
        value_text: Option<String>,
        /// RPCs and time that it took.
        #[serde(flatten)]
        effort: Effort,
    },
}

impl Got {
    /// The announcers; none for anything but a magnet link.
    pub fn peers(&self) -> &[Peer] {
        match self {
            Self::Peers { peers, .. } => peers,
            _ => &[],
        }
    }

    /// Tells whether it is of use: of those who announced one answers, or gave an address, which nobody can ask.
    pub fn leads_somewhere(&self) -> bool {
        !matches!(self, Self::Peers { .. }) || self.peers().iter().any(Peer::leads_somewhere)
    }
}

impl Peer {
    /// Tells whether it answers, or gave an address, which nobody can ask.
    pub fn leads_somewhere(&self) -> bool {
        match self {
            Self::Persona { reachable, .. } => *reachable == Some(true),
            Self::Unverified { .. } => true,
        }
    }
}

/// One of the two swarms of a hybrid torrent, and who was found in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swarm {
    /// 40 hex digits.
    pub infohash: String,
    /// 1 or 2, of BitTorrent.
    pub version: u8,
    /// The keys of the personas and the addresses.
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
    /// The link of BEP 46.
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

/// Somebody who announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Peer {
    /// A node behind tunnels.
    Persona {
        /// Its persona's key, 64 hex digits.
        key: String,
        /// Its endpoint addresses, those of other people's machines; empty if its current contact was not found.
        addresses: Vec<SocketAddr>,
        /// True if it answers there; none if that is not known.
        #[serde(default)]
        reachable: Option<bool>,
        /// How many nodes gave this entry.
        given_by: usize,
    },
    /// An address that nobody verified.
    Unverified {
        /// As its announcer claims it.
        address: SocketAddr,
        /// How many nodes gave this entry.
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

    /// How many nodes gave it.
    pub(super) const fn given_by(&self) -> usize {
        match self {
            Self::Persona { given_by, .. } | Self::Unverified { given_by, .. } => *given_by,
        }
    }

    /// The same peer as another lookup found it; whether it was not known where it is.
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

    /// The same peer as it was found in another swarm.
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

/// RPCs and time that it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// Lookups started.
    pub lookups: u32,
    /// Milliseconds of the last lookup.
    pub lookup_ms: f64,
    /// RPCs sent by the last lookup.
    pub rpcs: u32,
    /// RPCs answered in the last lookup.
    pub answered: u32,
    /// RPCs that failed in the last lookup.
    pub failed: u32,
    /// Longest chain of answers in the last lookup.
    pub rounds: u32,
    /// Nodes among the eight closest to the target that answered.
    pub closest_answered: u32,
    /// About how many nodes the network has.
    pub network_estimate: Option<u64>,
    /// It is improbable that it has fewer, or more than the second number.
    #[serde(default)]
    pub network_range: Option<(u64, u64)>,
    /// Nodes gave only samples of what was announced: there are very probably so many peers at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers_at_least: Option<u64>,
    /// With `--all`: so many lookups are put together here, milliseconds and RPCs too; 0 for a single one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub merged: u32,
}

// The signature is what serde asks for.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Effort {
    /// That of two lookups at the same time.
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

    /// That of several lookups one after another, and one more.
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

    /// The effort of the `lookups`-th lookup, and how long the asker waited for it.
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
    // Exact up to 2^53 µs, 285 years.
    #[allow(clippy::cast_precision_loss)]
    let micros = micros as f64;
    micros / 1_000.0
}

/// The result of `put` and `announce`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// For `put` the key of the value, 40 hex digits; for `announce` the infohash.
    pub key: String,
    /// The thing announced: `persona` and its key, or an address; none for `put`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<String>,
    /// The version of a mutable record, for `put --mutable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutable: Option<Named>,
    /// The other swarm of a hybrid torrent, for `announce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<OtherSwarm>,
    /// How many nodes took it.
    pub stored_at: usize,
    /// How many were asked to.
    pub of: usize,
    /// True if somebody keeps it published: a daemon does, a short-lived client does not.
    pub kept: bool,
    /// How the announced persona is found; none for `put` and for an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<ReachStatus>,
    /// RPCs and time that it took.
    #[serde(flatten)]
    pub effort: Effort,
}

/// The result of `announce` in the other swarm of a hybrid torrent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherSwarm {
    /// The infohash, 40 hex digits: the start of the hash of version 2.
    pub key: String,
    /// How many nodes took it.
    pub stored_at: usize,
    /// How many were asked to.
    pub of: usize,
}

/// The result of `ping`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Echoes {
    /// Each tunnel with its echo.
    pub tunnels: Vec<Echo>,
    /// Tunnels that answered.
    pub answered: usize,
    /// Tunnels that did not within 3 s.
    pub lost: usize,
    /// Smallest, median and largest round trip in milliseconds; none if nothing answered.
    pub round_trip_ms: Option<[f64; 3]>,
}

/// One tunnel with its echo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Echo {
    /// Number of the tunnel.
    pub handle: u64,
    /// `lookup` or `persona`.
    pub pool: String,
    /// Relays in it, the endpoint included.
    pub hops: usize,
    /// From here to its endpoint and back, in milliseconds; none if lost.
    pub round_trip_ms: Option<f64>,
}

impl Echoes {
    /// Counts and sorts.
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

/// As in [`deut::status::TunnelStatus`].
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

/// A failure as `--json` prints it: with what was found nevertheless, its fields in their usual order.
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
