//! Getters, which change nothing.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use deut_common::time::Now;

use super::Transport;
use crate::{
    drop_reason::DropCounts,
    io::RelayView,
    master::Around,
    status::{Audit, Counters, Readiness, TunnelView},
    wire::descriptor::Descriptor,
};

impl Transport {
    /// The node's readiness for lookups, with the reasons if it is not ready.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let directory = &self.net.directory;
        let around = Around {
            relays: directory.len(),
            lonely: directory.lonely(&self.net.cx),
            clock: directory.clock_off(),
            local: self.standing.local,
            stood_still_s: self.standing.still_s,
        };
        self.master.readiness(&self.net.cx, &around)
    }

    /// Own tunnels, oldest first.
    #[must_use]
    pub fn tunnels(&self, now: Now) -> Vec<TunnelView> {
        self.master.views(now.mono)
    }

    /// All verified relays.
    #[must_use]
    pub fn relays(&self) -> Vec<RelayView> {
        let links = &self.net.links;
        let view = |relay: &Arc<Descriptor>| RelayView {
            id: relay.id(),
            address: relay.address,
            linked: links
                .of_relay(relay.id())
                .is_some_and(|link| links.is_up(link)),
        };
        self.net.directory.all().map(view).collect()
    }

    /// Addresses on the list of peers at which a relay answers at present.
    #[must_use]
    pub fn answering_peers(&self) -> Vec<SocketAddr> {
        self.net.directory.answering_peers().collect()
    }

    /// Counters since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.net.cx.counters.clone()
    }

    /// Dropped datagrams by reason since the start.
    #[must_use]
    pub const fn drops(&self) -> &DropCounts {
        &self.net.cx.drops
    }

    /// Number of descriptors refused, by the rule that they broke.
    #[must_use]
    pub const fn refused_descriptors(&self) -> &BTreeMap<&'static str, u64> {
        self.net.directory.refusals()
    }

    /// Our own descriptor; `None` for a client.
    #[must_use]
    pub fn own_descriptor(&self) -> Option<[u8; 196]> {
        self.net.own.descriptor().map(|own| *own.bytes())
    }

    /// Numbers of tunnels that we carry for others: those we relay, and those that end here.
    #[must_use]
    pub fn transit(&self) -> (usize, usize) {
        (self.relayer.len(), self.endpoint.len())
    }

    /// The size of every collection with its cap.
    #[must_use]
    pub fn audit(&self) -> Audit {
        let limits = &self.net.cx.config.limits;
        let transit = limits.transit_tunnels;
        let mut sizes = self.net.sizes();
        sizes.extend([
            ("walks", self.walks.len(), transit + limits.own_tunnels),
            ("relayed tunnels", self.relayer.len(), transit),
            self.requests.size(limits),
        ]);
        sizes.extend(self.endpoint.sizes(limits));
        sizes.extend(self.master.sizes(limits));
        sizes.extend(self.calls.sizes(limits));
        Audit { sizes }
    }
}
