//! The number of tunnels that a pool should have, and of builds that it still needs.

use super::{builds::Builds, persona::Persona, table::Tunnels};
use crate::{context::Context, ids::PoolId};

/// Everything that the numbers depend on.
pub(super) struct Demand<'a> {
    pub(super) builds: &'a Builds,
    pub(super) tunnels: &'a Tunnels,
    pub(super) persona: &'a Persona,
    pub(super) shutting_down: bool,
    /// Number of verified relays.
    pub(super) relays: usize,
}

impl Demand<'_> {
    /// The number of tunnels that a pool should have.
    pub(super) fn wanted(&self, cx: &Context, pool: PoolId) -> usize {
        let wanted = match pool {
            _ if self.shutting_down => 0,
            PoolId::Lookup => cx.config.lookup_tunnels,
            PoolId::Persona if self.persona.secret().is_some() => cx.config.persona_tunnels,
            PoolId::Persona => 0,
        };
        wanted.min(
            self.relays
                .saturating_mul(cx.config.limits.tunnels_per_relay),
        )
    }

    /// The number of builds of a pool that are under way, exchanges included.
    pub(super) fn building(&self, pool: PoolId) -> usize {
        self.builds.of(pool) + self.tunnels.building(pool)
    }

    /// The number of builds of a pool that should start.
    pub(super) fn missing(&self, cx: &Context, pool: PoolId) -> usize {
        let standing = self.tunnels.of(pool).filter(|up| up.counts()).count();
        let proven = self.tunnels.proven(pool);
        let (wanted, building) = (self.wanted(cx, pool), self.building(pool));
        let missing = wanted.saturating_sub(standing + building);
        if standing <= proven {
            return missing;
        }
        // Doubted tunnels usually still stand, but lookups do not wait until that is known.
        let at_once = cx.config.ready_at.min(wanted);
        missing.max(at_once.saturating_sub(proven + building))
    }
}
