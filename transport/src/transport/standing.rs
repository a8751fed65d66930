//! What a node cannot see from outside: that it stood still, that its clock jumped, that its machine does not send.

use deut_common::time::Now;

use super::Transport;
use crate::status::LocalNetwork;

/// Later than this after what was due first: the process or its machine stood still. Neighbours give a silent link up
/// after some 20 s, and it may have been silent before.
const STILL_US: u64 = 5_000_000;
/// The wall clock went so much more or less than the other: it was set.
const JUMP_S: u64 = 5;

/// See the module.
#[derive(Default)]
pub(super) struct Standing {
    pub(super) local: LocalNetwork,
    /// For how long the node could not act, until its tunnels are proven.
    pub(super) still_s: u64,
}

impl Transport {
    /// Takes the time, and sees whether it is later than it should be.
    pub fn look(&mut self, now: Now) {
        let before = std::mem::replace(&mut self.net.cx.now, now);
        if now == before || self.master.is_shutting_down() {
            return;
        }
        if let Some((due, _)) = self.net.cx.timers.next() {
            let late = now.mono.since(due.max(before.mono));
            if late >= STILL_US {
                self.doubt_all(now.mono.since(before.mono) / 1_000_000);
            }
        }
        let went = now.mono.since(before.mono) / 1_000_000;
        if now.unix.0.abs_diff(before.unix.0.saturating_add(went)) >= JUMP_S {
            self.net.clock_jumped();
        }
    }

    /// The driver tells what its machine does.
    pub(super) fn local_network(&mut self, network: LocalNetwork) {
        let before = std::mem::replace(&mut self.standing.local, network);
        if before != LocalNetwork::Works && network == LocalNetwork::Works {
            self.doubt_all(0);
        }
        // Also while it does not work: only what is sent shows that it works again.
        if self.net.directory.len() == 0 {
            self.net.directory.start_over(&mut self.net.cx);
        }
    }

    /// Neighbours may have given us up meanwhile. Sessions with the first hops of own tunnels are renewed and every tunnel has
    /// to prove itself; until then it counts for nothing.
    fn doubt_all(&mut self, still_s: u64) {
        self.standing.still_s = still_s;
        let neighbours = self.master.doubt_all(&mut self.net.cx);
        for (link, relay) in neighbours {
            self.net.renew(link, relay);
        }
    }
}
