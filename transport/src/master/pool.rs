//! How many tunnels a pool wants, and when the next build starts.

use deut_common::time::Mono;

use super::{OwnEvent, OwnTunnels, barren::Barren};
use crate::{
    context::Context,
    directory::ClockOff,
    ids::{PoolId, TunnelHandle},
    io::DownReason,
    links::Links,
    relayer::{routes::Routes, walks::Walks},
    status::{LocalNetwork, Readiness, Reason},
    timers::Timer,
};

/// Builds wait for so many relays, or for so long after the first one.
const ENOUGH_RELAYS: usize = 3;
const PATIENCE_MS: u64 = 2_000;

/// Build state of one pool.
pub(super) struct Pool {
    id: PoolId,
    failures: u32,
    not_before: Mono,
    first_relay: Option<Mono>,
    pub(super) barren: Barren,
}

impl Pool {
    pub(super) fn new(id: PoolId) -> Self {
        Self {
            id,
            failures: 0,
            not_before: Mono(0),
            first_relay: None,
            barren: Barren::default(),
        }
    }
}

/// What readiness depends on besides the tunnels.
pub(crate) struct Around {
    /// Verified relays.
    pub(crate) relays: usize,
    /// Why nobody is known, or too few.
    pub(crate) lonely: Option<Reason>,
    /// What others say of our clock.
    pub(crate) clock: Option<ClockOff>,
    /// Whether this machine sends.
    pub(crate) local: LocalNetwork,
    /// For how long the node stood still.
    pub(crate) stood_still_s: u64,
}

impl Around {
    /// What is wrong with this machine.
    fn reasons(&self, ready: bool) -> impl Iterator<Item = Reason> {
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

impl OwnTunnels {
    pub(super) fn pool_mut(&mut self, pool: PoolId) -> &mut Pool {
        match pool {
            PoolId::Lookup => &mut self.lookup,
            PoolId::Persona => &mut self.persona,
        }
    }

    /// How many tunnels a pool should have.
    pub(crate) fn wanted(&self, cx: &Context, pool: PoolId, relays: usize) -> usize {
        if self.shutting_down {
            return 0;
        }
        let most = relays.saturating_mul(cx.config.limits.tunnels_per_relay);
        match pool {
            PoolId::Lookup => cx.config.lookup_tunnels.min(most),
            PoolId::Persona if self.persona_secret.is_some() => cx.config.persona_tunnels.min(most),
            PoolId::Persona => 0,
        }
    }

    fn missing(&self, cx: &Context, pool: PoolId, relays: usize) -> usize {
        let standing = self
            .tunnels
            .values()
            .filter(|t| t.pool == pool && t.counts() && t.was_up)
            .count();
        let wanted = self.wanted(cx, pool, relays);
        // What is doubted mostly stands; but lookups do not wait until that is known.
        let proven = self.proven(pool) + self.building(pool);
        let at_once = cx.config.ready_at.min(wanted).saturating_sub(proven);
        wanted
            .saturating_sub(standing + self.building(pool))
            .max(if standing > self.proven(pool) {
                at_once
            } else {
                0
            })
    }

    /// Starts builds as far as keys, caps and pauses allow; lets surplus suspects go, and plans early replacements.
    pub(crate) fn tend(
        &mut self,
        cx: &mut Context,
        (links, routes, walks): (&mut Links, &mut Routes, &mut Walks),
        pool: PoolId,
        relays: usize,
    ) -> Vec<OwnEvent> {
        let events = self.drop_suspects(cx, links, routes, pool);
        self.replace_outgrown(cx, pool, relays);
        let missing = self.missing(cx, pool, relays);
        let all_missing = missing + self.missing(cx, other(pool), relays);
        let first = self.up(PoolId::Lookup) < cx.config.ready_at;
        self.keys.order(cx, all_missing, first);
        if missing == 0 || relays == 0 {
            return events;
        }
        let now = cx.mono();
        let state = self.pool_mut(pool);
        let patience = state.first_relay.get_or_insert(now).plus_ms(PATIENCE_MS);
        let wait = if relays < ENOUGH_RELAYS {
            patience
        } else {
            Mono(0)
        };
        let at = state.not_before.max(wait);
        if at > now {
            cx.timers.set_earlier(Timer::Pool(pool), at);
            return events;
        }
        let mut left = missing;
        while left > 0
            && self.building(pool) < cx.config.limits.builds_at_once
            && self.len() < cx.config.limits.own_tunnels
        {
            if !self.start_build(cx, walks, pool) {
                break;
            }
            left -= 1;
        }
        events
    }

    /// Suspects leave as soon as two others stand.
    fn drop_suspects(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        routes: &mut Routes,
        pool: PoolId,
    ) -> Vec<OwnEvent> {
        let good = self
            .tunnels
            .values()
            .filter(|t| t.pool == pool && t.is_up() && !t.suspect)
            .count();
        let suspects: Vec<TunnelHandle> = self
            .iter()
            .filter(|(_, t)| t.pool == pool && t.suspect)
            .map(|(handle, _)| handle)
            .collect();
        if good < 2 {
            return Vec::new();
        }
        suspects
            .into_iter()
            .flat_map(|handle| self.down(cx, links, routes, handle, DownReason::Silent))
            .collect()
    }

    /// A build failed: a pause that grows.
    pub(super) fn failed(&mut self, cx: &mut Context, pool: PoolId) {
        let (first, most) = cx.config.times.build_backoff_ms;
        let now = cx.mono();
        let state = self.pool_mut(pool);
        state.failures = state.failures.saturating_add(1);
        let pause = first
            .saturating_mul(1 << state.failures.min(9).saturating_sub(1))
            .min(most);
        state.not_before = now.plus_ms(pause);
        cx.timers.set_earlier(Timer::Pool(pool), now.plus_ms(pause));
    }

    /// A build succeeded: the next may start at once.
    pub(super) fn succeeded(&mut self, cx: &mut Context, pool: PoolId) {
        let now = cx.mono();
        let state = self.pool_mut(pool);
        state.failures = 0;
        state.not_before = now;
        cx.timers.set_earlier(Timer::Pool(pool), now);
    }

    /// Whether lookups can start, and what is missing.
    pub(crate) fn readiness(&self, cx: &Context, around: &Around) -> Readiness {
        let relays = around.relays;
        let up = self.proven(PoolId::Lookup);
        let wanted = self.wanted(cx, PoolId::Lookup, relays);
        let ready_at = cx.config.ready_at.min(cx.config.lookup_tunnels);
        let sends = around.local == LocalNetwork::Works;
        let ready = up >= ready_at && sends && !self.shutting_down;
        let mut reasons = Vec::new();
        if self.shutting_down {
            reasons.push(Reason::ShuttingDown);
        }
        reasons.extend(around.reasons(ready));
        if self.doubts() {
            reasons.push(Reason::StoodStill {
                seconds: around.stood_still_s,
            });
        }
        reasons.extend(around.lonely.filter(|_| relays == 0 || !ready));
        if relays > 0 && wanted < ready_at {
            reasons.push(Reason::FewRelays);
        }
        if up < ready_at && relays > 0 {
            reasons.push(if self.lookup.failures >= 3 {
                Reason::BuildsFail
            } else {
                Reason::Building
            });
        }
        if up > 0 && up < 3 {
            reasons.push(Reason::FewTunnels);
        }
        Readiness {
            tunnels_up: up,
            tunnels_wanted: wanted,
            ready_at,
            relays,
            ready,
            reasons,
        }
    }

    /// Some tunnel has not answered since the node stood still.
    fn doubts(&self) -> bool {
        self.tunnels.values().any(|tunnel| tunnel.doubt.is_some())
    }

    /// The pool of a tunnel in building or standing.
    pub(crate) fn pools(&self) -> [PoolId; 2] {
        [self.lookup.id, self.persona.id]
    }
}

const fn other(pool: PoolId) -> PoolId {
    match pool {
        PoolId::Lookup => PoolId::Persona,
        PoolId::Persona => PoolId::Lookup,
    }
}
