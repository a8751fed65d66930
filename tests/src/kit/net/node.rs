//! One node of a virtual network.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
};

use deut::core::{Core, CoreConfig, CoreEvent};
use deut_kademlia::Contact;
use deut_transport::{
    io::{DownReason, TunnelChange},
    packet::Packet,
};

use crate::{hostile::Cells, kit::ports::Ports};

use super::nat::{Mapping, Nat};

/// Datagrams that wait in the socket of a paused node; more are lost.
pub(super) const SOCKET: usize = 128;

/// What a relayer that does not play by the rules does to the cells that are ready to leave it. For what it does to them
/// before they are sealed see [`Cells`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Misconduct {
    /// Swallowed, out of 1,000.
    pub drops: u32,
    /// Held back by up to this long, µs.
    pub delays_us: u64,
}

/// How often tunnels ended, by reason, how many came up, and what its misconduct came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tunnels that came up.
    pub up: u64,
    /// Tunnels that ended, by reason.
    pub down: BTreeMap<&'static str, u64>,
    /// Cells of others that it swallowed.
    pub swallowed: u64,
    /// Cells of others that it held back.
    pub held_back: u64,
}

/// One node.
pub struct Node {
    /// The very core that the daemon runs.
    pub core: Core,
    /// Its relay port.
    pub address: SocketAddr,
    /// Dead nodes neither hear nor speak.
    pub alive: bool,
    /// Everything it told, with the time; where the network keeps only outcomes, those.
    pub events: Vec<(u64, CoreEvent)>,
    /// Its tunnels.
    pub tally: Tally,
    /// What it does to sealed cells that it forwards.
    pub misconduct: Option<Misconduct>,
    /// Opens the cells of others before they leave.
    pub cells: Option<Cells>,
    /// Its wall clock is ahead of the network's by so many seconds.
    pub skew_s: i64,
    /// Stopped by its operating system: it neither hears nor speaks until it goes on.
    pub paused: bool,
    /// Which side of a cut it is on.
    pub side: u8,
    pub(super) nat: Option<Nat>,
    pub(super) ports: Ports,
    pub(super) due: Option<u64>,
    /// The present second, and how often it was called in it.
    pub(super) wakes: (u64, u32),
    /// The contact that was searched last for what it may not hold.
    pub(super) checked: Option<Contact>,
    /// Counts restarts.
    pub(super) life: u32,
    pub(super) waiting: VecDeque<(SocketAddr, SocketAddr, Packet)>,
    /// Its uplink is busy until then.
    pub(super) free_at: u64,
    /// To start it again.
    pub(super) config: CoreConfig,
    pub(super) key_seed: [u8; 32],
    /// Its public relay keys: identity, link, onion.
    pub relay_keys: [[u8; 32]; 3],
    pub(super) saved: Vec<[u8; 196]>,
}

impl Node {
    /// Its address as others see it.
    #[must_use]
    pub fn outer_ip(&self) -> IpAddr {
        self.nat.as_ref().map_or(self.address.ip(), |nat| nat.outer)
    }

    /// How the translator in front of it maps, if there is one.
    #[must_use]
    pub fn mapping(&self) -> Option<Mapping> {
        self.nat.as_ref().map(|nat| nat.mapping)
    }

    /// How often it started again: what it published in an earlier life it publishes no more.
    #[must_use]
    pub const fn life(&self) -> u32 {
        self.life
    }

    /// Counts what matters for reports.
    pub(super) fn count(&mut self, event: &CoreEvent) {
        if let CoreEvent::Tunnel { change, .. } = event {
            match change {
                TunnelChange::Up { .. } => self.tally.up += 1,
                TunnelChange::Down { why, .. } => {
                    *self.tally.down.entry(name(*why)).or_default() += 1;
                }
            }
        }
    }
}

fn name(why: DownReason) -> &'static str {
    match why {
        DownReason::Closed => "closed",
        DownReason::Expired => "expired",
        DownReason::Silent => "silent",
        DownReason::ClosedByPeer => "closed by peer",
    }
}
