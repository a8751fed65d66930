//! The node's report on itself.

use std::{fmt, net::SocketAddr};

use deut_common::ids::RelayId;

use crate::ids::{PoolId, TunnelHandle};

/// A node's readiness for lookups, with reasons in words for the user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Number of lookup tunnels that are up.
    pub tunnels_up: usize,
    /// Number of lookup tunnels wanted.
    pub tunnels_wanted: usize,
    /// Number of tunnels from which on lookups start.
    pub ready_at: usize,
    /// Number of verified relays.
    pub relays: usize,
    /// True if `tunnels_up` has reached `ready_at`.
    pub ready: bool,
    /// The reasons why it is not ready or is degraded, the most important first.
    pub reasons: Vec<Reason>,
}

/// A reason why a node is not ready or is degraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// No bootstrap peer has answered yet.
    NoBootstrapPeer,
    /// No relay that was verified before answers; all are asked again and again.
    NobodyAnswers,
    /// The list of peers is empty, and a client cannot be the first of its network.
    NoPeersListed,
    /// The list of peers is empty and nobody has dialled us: this node is the first of its network.
    FirstOfItsNetwork,
    /// Fewer relays are known than a tunnel needs.
    FewRelays,
    /// Tunnels are being built.
    Building,
    /// Builds fail; they are tried again with growing pauses.
    BuildsFail,
    /// With fewer than three tunnels a lookup must send through one of its reply tunnels.
    FewTunnels,
    /// The node has been told to stop.
    ShuttingDown,
    /// This machine's wall clock differs from those of the relays.
    ClockOff {
        /// Seconds ahead of theirs; negative: behind.
        ahead_s: i64,
    },
    /// The process or its machine did nothing for a while or could not send. The tunnels are being tested.
    StoodStill {
        /// Seconds for which it stood still; 0 if it only could not send.
        seconds: u64,
    },
    /// The system refuses to send.
    SendingRefused {
        /// Number of datagrams refused since that began.
        times: u64,
        /// The reason that the system gives.
        why: SendRefusal,
    },
    /// The address that the node listens on no longer belongs to this machine.
    AddressGone,
}

impl Reason {
    /// A name for scripts, which never changes.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoBootstrapPeer => "no-bootstrap-peer",
            Self::NobodyAnswers => "nobody-answers",
            Self::NoPeersListed => "no-peers-listed",
            Self::FirstOfItsNetwork => "first-of-its-network",
            Self::FewRelays => "few-relays",
            Self::Building => "building",
            Self::BuildsFail => "builds-fail",
            Self::FewTunnels => "few-tunnels",
            Self::ShuttingDown => "shutting-down",
            Self::ClockOff { .. } => "clock-off",
            Self::StoodStill { .. } => "stood-still",
            Self::SendingRefused { .. } => "sending-refused",
            Self::AddressGone => "address-gone",
        }
    }

    /// Advice for the operator, if the fault lies with this machine.
    #[must_use]
    pub const fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::ClockOff { .. } => Some(
                "set the clock of this machine, for example by NTP: relays refuse whoever is two minutes off; it is noticed at once",
            ),
            Self::SendingRefused { .. } => Some(
                "let this machine send UDP (firewall, routes); the node goes on by itself when it can",
            ),
            Self::AddressGone => Some(
                "give the address back to this machine, or start the node with another --listen",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fixed = match *self {
            Self::ClockOff { ahead_s } => {
                let (by, way) = (
                    About(ahead_s.unsigned_abs()),
                    if ahead_s < 0 { "behind" } else { "ahead" },
                );
                return write!(f, "this machine's clock seems off by about {by} ({way})");
            }
            Self::StoodStill { seconds: 0 } => {
                "sending works again: which tunnels still stand is being found out"
            }
            Self::StoodStill { seconds } => {
                let by = About(seconds);
                return write!(
                    f,
                    "this node stood still for {by}: which tunnels still stand is being found out"
                );
            }
            Self::SendingRefused { times, why } => {
                let why = match why {
                    SendRefusal::Forbidden => {
                        "a firewall or another rule of this machine forbids it"
                    }
                    SendRefusal::NoRoute => "there is no route",
                    SendRefusal::Other => "the system gives no clear reason",
                };
                return write!(
                    f,
                    "sending is refused ({times} times in a row of seconds): {why}"
                );
            }
            Self::AddressGone => {
                "the address it listens on is not of this machine any more; it goes on when it is back"
            }

            Self::NoBootstrapPeer => "no bootstrap peer has answered yet",
            Self::NobodyAnswers => {
                "none of the known relays answers; they are asked again and again"
            }
            Self::NoPeersListed => {
                "no peers are listed to join through, and a client cannot be the first of its network"
            }
            Self::FirstOfItsNetwork => {
                "no other relay is known: this node is the first of its network"
            }
            Self::FewRelays => "too few relays are known to build a tunnel",
            Self::Building => "tunnels are being built",
            Self::BuildsFail => "tunnel builds fail; trying again",
            Self::FewTunnels => "fewer than three tunnels: lookups share their reply tunnels",
            Self::ShuttingDown => "shutting down",
        };
        f.write_str(fixed)
    }
}

/// A duration in one unit, as exact as a reader needs it.
struct About(u64);

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        let seconds = self.0;
        let rounded = |unit: u64| seconds.saturating_add(unit / 2) / unit;
        match seconds {
            0..600 => write!(f, "{seconds} s"),
            600..5_400 => write!(f, "{} min", rounded(MINUTE)),
            5_400..129_600 => write!(f, "{} h", rounded(HOUR)),
            _ => write!(f, "{} days", rounded(DAY)),
        }
    }
}

/// One of our own tunnels as shown to the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelView {
    /// The tunnel's handle.
    pub handle: TunnelHandle,
    /// The pool that it belongs to.
    pub pool: PoolId,
    /// The way it was built.
    pub path: PathKind,
    /// Number of relays in it, the endpoint included: 1 to 12.
    pub hops: usize,
    /// The neighbour at its near end.
    pub first_hop: RelayId,
    /// The relay at its far end.
    pub endpoint: RelayId,
    /// The address that messages for it go to.
    pub address: SocketAddr,
    /// True if our own directory or another endpoint vouched for the endpoint's descriptor.
    pub confirmed: bool,
    /// True if messages may use it.
    pub up: bool,
    /// Seconds since the walk was answered.
    pub age_s: u64,
    /// Seconds until its planned end.
    pub left_s: u64,
    /// Messages sent through it.
    pub sent: u64,
    /// Messages that arrived through it.
    pub received: u64,
    /// Time from the start of the build to the answer, µs.
    pub build_us: u64,
}

/// Counters of the whole transport since the start. They never decrease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams accepted, on the relay port and on endpoint ports.
    pub accepted: u64,
    /// Datagrams dropped. [`crate::DropCounts`] has them by reason.
    pub dropped: u64,
    /// Cells forwarded for others as a relayer.
    pub relayed_cells: u64,
    /// Messages sent to the world as the endpoint of another node's tunnel.
    pub endpoint_sent: u64,
    /// HELLOs sent, repeats included.
    pub hellos_sent: u64,
    /// Echoes to our HELLOs that were accepted.
    pub hellos_echoed: u64,
    /// Echoes sent to others' HELLOs.
    pub echoes_sent: u64,
    /// Messages delivered into tunnels that end here.
    pub endpoint_delivered: u64,
    /// Coins that fell on "endpoint".
    pub coins_endpoint: u64,
    /// Coins that fell on "relayer".
    pub coins_relayer: u64,
    /// Walks forwarded to a next hop.
    pub walks_forwarded: u64,
    /// Own walks started.
    pub walks_started: u64,
    /// Own walks that were answered.
    pub walks_succeeded: u64,
    /// Requests sent as messages, copies included.
    pub requests_sent: u64,
    /// Answers accepted.
    pub answers_received: u64,
    /// Requests that came to the persona.
    pub requests_received: u64,
    /// Datagrams sent from all ports.
    pub datagrams_sent: u64,
    /// RSA key pairs made.
    pub rsa_keys: u64,
}

/// The size of every collection with its cap, for the operator and for tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// One entry for each collection.
    pub sizes: Vec<Size>,
}

/// Name, size and cap of one collection.
pub type Size = (&'static str, usize, usize);

impl Audit {
    /// Returns true if every collection is within its cap.
    #[must_use]
    pub fn within_caps(&self) -> bool {
        self.sizes.iter().all(|(_, now, cap)| now <= cap)
    }
}

/// The way a tunnel was built. The onion path will add a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathKind {
    /// Each hop picked the next one.
    Walk,
}

/// The state of this machine's network: does it send the datagrams it is given? The driver sees that; the core cannot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LocalNetwork {
    /// It sends.
    #[default]
    Works,
    /// The system refuses to send most datagrams.
    Refuses {
        /// Number of datagrams refused since that began.
        times: u64,
        /// The reason, as far as the system gives one.
        why: SendRefusal,
    },
    /// The address that the node listens on no longer belongs to this machine.
    AddressGone,
}

/// The reason why the system refuses to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SendRefusal {
    /// A firewall or another rule of this machine.
    Forbidden,
    /// There is no route: the machine has lost its network.
    NoRoute,
    /// Any other reason.
    Other,
}
