//! Readiness: lookups can start, or there is a list of reasons why not.

use crate::{
    context::Context,
    directory::ClockOff,
    status::{LocalNetwork, Readiness, Reason},
};

/// With fewer tunnels than this a lookup must send through one of its reply tunnels.
const ENOUGH_TUNNELS: usize = 3;

/// The state of the rest of the node, as far as readiness depends on it.
pub(crate) struct Around {
    /// Number of verified relays.
    pub(crate) relays: usize,
    /// The reason why no relay, or too few, are known.
    pub(crate) lonely: Option<Reason>,
    /// Set if other relays show that our clock is off.
    pub(crate) clock: Option<ClockOff>,
    pub(crate) local: LocalNetwork,
    /// Seconds for which the node stood still.
    pub(crate) stood_still_s: u64,
}

/// The state of the lookup pool.
pub(super) struct Standing {
    pub(super) shutting_down: bool,
    /// Number of tunnels that are known to work.
    pub(super) up: usize,
    pub(super) wanted: usize,
    /// Some tunnels have not answered since the node stood still.
    pub(super) doubted: bool,
    pub(super) builds_fail: bool,
}

impl Around {
    /// Readiness, with the most important reason first.
    pub(super) fn readiness(&self, cx: &Context, tunnels: &Standing) -> Readiness {
        let ready_at = cx.config.ready_at.min(cx.config.lookup_tunnels);
        let sends = self.local == LocalNetwork::Works;
        let ready = tunnels.up >= ready_at && sends && !tunnels.shutting_down;
        let known = self.relays > 0;
        let mut reasons = Vec::new();
        reasons.extend(tunnels.shutting_down.then_some(Reason::ShuttingDown));
        reasons.extend(self.of_this_machine(ready));
        let seconds = self.stood_still_s;
        reasons.extend(tunnels.doubted.then_some(Reason::StoodStill { seconds }));
        reasons.extend(self.lonely.filter(|_| !known || !ready));
        let few_relays = known && tunnels.wanted < ready_at;
        reasons.extend(few_relays.then_some(Reason::FewRelays));
        if known && tunnels.up < ready_at {
            reasons.push(if tunnels.builds_fail {
                Reason::BuildsFail
            } else {
                Reason::Building
            });
        }
        let few = (1..ENOUGH_TUNNELS).contains(&tunnels.up);
        reasons.extend(few.then_some(Reason::FewTunnels));
        Readiness {
            tunnels_up: tunnels.up,
            tunnels_wanted: tunnels.wanted,
            ready_at,
            relays: self.relays,
            ready,
            reasons,
        }
    }

    /// Troubles of this machine.
    fn of_this_machine(&self, ready: bool) -> impl Iterator<Item = Reason> {
        let local = match self.local {
            LocalNetwork::Works => None,
            LocalNetwork::Refuses { times, why } => Some(Reason::SendingRefused { times, why }),
            LocalNetwork::AddressGone => Some(Reason::AddressGone),
        };
        let clock = self.clock.filter(|off| !off.few || !ready);
        let clock = clock.map(|off| Reason::ClockOff {
            ahead_s: off.ahead_s,
        });
        local.into_iter().chain(clock)
    }
}
