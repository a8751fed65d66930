//! Troubles that a node cannot see from outside: it stood still, its clock jumped, or its machine does not send.

use deut_common::time::Now;

use super::Transport;
use crate::status::LocalNetwork;

/// If an input comes this much later than the earliest deadline, the process or its machine stood still. Neighbours give up a
/// silent link after some 20 s, and it may have been silent before.
const STILL_US: u64 = 5_000_000;
/// The wall clock was set if it went this much more or less than the monotonic clock.
const JUMP_S: u64 = 5;

#[derive(Default)]
pub(super) struct Standing {
    pub(super) local: LocalNetwork,
    /// Seconds for which the node could not act, kept until its tunnels are proven.
    pub(super) still_s: u64,
}

impl Transport {
    /// Takes the time, and notices if it is later than it should be or the wall clock jumped.
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

    /// The driver reports if this machine sends.
    pub(super) fn local_network(&mut self, network: LocalNetwork) {
        let before = std::mem::replace(&mut self.standing.local, network);
        if before != LocalNetwork::Works && network == LocalNetwork::Works {
            self.doubt_all(0);
        }
        // Also while the machine does not send: only a send shows that it works again.
        if self.net.directory.len() == 0 {
            self.net.directory.start_over(&mut self.net.cx);
        }
    }

    /// Neighbours may have given us up meanwhile. Sessions with the first hops of own tunnels are renewed, and every tunnel has to
    /// prove itself before it counts again.
    fn doubt_all(&mut self, still_s: u64) {
        self.standing.still_s = still_s;
        let neighbours = self.master.doubt_all(&mut self.net.cx);
        for (link, relay) in neighbours {
            self.net.renew(link, relay);
        }
    }
}
