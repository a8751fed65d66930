//! Decides when the next build of a pool may start.

use deut_common::time::Mono;

use crate::{context::Context, ids::PoolId, timers::Timer};

/// Builds wait for this many relays, or for `PATIENCE_MS` after the first one.
const ENOUGH_RELAYS: usize = 3;
const PATIENCE_MS: u64 = 2_000;
/// From this many failed builds in a row on, the operator is told.
const MANY_FAILURES: u32 = 3;

/// The pauses of one pool.
#[derive(Default)]
pub(super) struct Pool {
    failures: u32,
    not_before: Mono,
    first_relay: Option<Mono>,
}

impl Pool {
    /// The time at which the next build may start. Call it when a build is wanted, with the number of known relays.
    pub(super) fn next_build(&mut self, now: Mono, relays: usize) -> Mono {
        let patience = self.first_relay.get_or_insert(now).plus_ms(PATIENCE_MS);
        if relays < ENOUGH_RELAYS {
            self.not_before.max(patience)
        } else {
            self.not_before
        }
    }

    /// A build failed: the next one waits, longer after each failure.
    pub(super) fn failed(&mut self, cx: &mut Context, pool: PoolId) {
        let (first, most) = cx.config.times.build_backoff_ms;
        self.failures = self.failures.saturating_add(1);
        let doublings = self.failures.min(9).saturating_sub(1);
        let pause = first.saturating_mul(1 << doublings).min(most);
        self.not_before = cx.mono().plus_ms(pause);
        cx.timers.set_earlier(Timer::Pool(pool), self.not_before);
    }

    /// A build succeeded: the next may start at once.
    pub(super) fn succeeded(&mut self, cx: &mut Context, pool: PoolId) {
        self.failures = 0;
        self.not_before = cx.mono();
        cx.timers.set_earlier(Timer::Pool(pool), cx.mono());
    }

    pub(super) const fn keeps_failing(&self) -> bool {
        self.failures >= MANY_FAILURES
    }
}
