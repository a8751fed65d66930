//! What a node can tell about itself.

use std::{fmt, net::SocketAddr};

use deut_common::ids::RelayId;

use crate::ids::{PoolId, TunnelHandle};

/// Whether lookups can start, and what is missing in words a user can read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Lookup tunnels that are up.
    pub tunnels_up: usize,
    /// Lookup tunnels wanted.
    pub tunnels_wanted: usize,
    /// Tunnels from which on lookups start.
    pub ready_at: usize,
    /// Verified relays known.
    pub relays: usize,
    /// Whether `tunnels_up` reaches `ready_at`.
    pub ready: bool,
    /// Why not, or what is degraded; most important first.
    pub reasons: Vec<Reason>,
}

/// Why a node is not ready or is degraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// No bootstrap peer has answered yet.
    NoBootstrapPeer,
    /// No relay that proved itself before answers: all are asked again and again.
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
    /// This machine's wall clock differs from the relays'.
    ClockOff {
        /// Seconds ahead of theirs; negative: behind.
        ahead_s: i64,
    },
    /// The process or its machine did nothing for a while, or could not send: which tunnels still stand is being found out.
    StoodStill {
        /// For how long; 0 if it only could not send.
        seconds: u64,
    },
    /// The system refuses to send.
    SendingRefused {
        /// Datagrams refused since that began.
        times: u64,
        /// Why.
        why: SendRefusal,
    },
    /// The address that the node listens on is not of this machine any more.
    AddressGone,
}

impl Reason {
    /// A name for scripts; it never changes.
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

    /// What the operator can do, where it is this machine that is wrong.
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

/// A duration in one unit, as exact as anybody needs it.
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

/// One own tunnel as shown to the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelView {
    /// Its name.
    pub handle: TunnelHandle,
    /// Which pool.
    pub pool: PoolId,
    /// How it was built.
    pub path: PathKind,
    /// Relays in it, the endpoint included: 1 to 12.
    pub hops: usize,
    /// The neighbour it starts at.
    pub first_hop: RelayId,
    /// Who ends it.
    pub endpoint: RelayId,
    /// Where messages for it arrive.
    pub address: SocketAddr,
    /// Whether the endpoint's descriptor was verified by our own directory or another endpoint.
    pub confirmed: bool,
    /// Usable.
    pub up: bool,
    /// Seconds since it was built.
    pub age_s: u64,
    /// Seconds until its planned end.
    pub left_s: u64,
    /// Messages sent through it.
    pub sent: u64,
    /// Messages that arrived through it.
    pub received: u64,
    /// Round trip of its build, µs.
    pub build_us: u64,
}

/// Counters and sizes of the whole transport; all monotone since the start but for the sizes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams accepted, relay port and endpoint ports.
    pub accepted: u64,
    /// Datagrams dropped; by reason in [`crate::DropCounts`].
    pub dropped: u64,
    /// Cells forwarded for others as a relayer.
    pub relayed_cells: u64,
    /// Messages sent to the world as the endpoint of somebody's tunnel.
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
    /// Own walks that brought a tunnel.
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

/// Sizes of every collection against its cap, for the operator and for tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// One for each.
    pub sizes: Vec<Size>,
}

/// `(what, now, cap)` of one collection.
pub type Size = (&'static str, usize, usize);

impl Audit {
    /// Every collection is within its cap.
    #[must_use]
    pub fn within_caps(&self) -> bool {
        self.sizes.iter().all(|(_, now, cap)| now <= cap)
    }
}

/// How a tunnel was built. The onion path will add a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathKind {
    /// Each hop picked the next one.
    Walk,
}

/// What this machine does with what it is given to send. The driver sees it; the core cannot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LocalNetwork {
    /// It sends.
    #[default]
    Works,
    /// The system refuses to send most of it.
    Refuses {
        /// Datagrams refused since that began.
        times: u64,
        /// Why, as far as the system says.
        why: SendRefusal,
    },
    /// The address that the node listens on is not of this machine any more.
    AddressGone,
}

/// Why the system refuses to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SendRefusal {
    /// A firewall, or another rule of the machine.
    Forbidden,
    /// There is no route: the network is away.
    NoRoute,
    /// Something else.
    Other,
}
