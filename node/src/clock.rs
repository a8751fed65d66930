//! The only reader of clocks. One reading serves a whole batch.
#![allow(clippy::disallowed_methods, reason = "this is the one place that may")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use deut_transport::api::{Mono, Now, Unix};

/// Counts from the start of one node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts counting.
    pub(crate) fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Reads both clocks.
    pub(crate) fn now(&self) -> Now {
        let mono = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX);
        // A machine whose clock stands before 1970 sees every descriptor as not yet valid; it still runs.
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            mono: Mono(mono),
            unix: Unix(unix.as_secs()),
        }
    }

    /// The instant of a monotonic time, for a timer. Never later than a day ahead, so that it cannot overflow.
    pub(crate) fn instant(&self, at: Mono) -> tokio::time::Instant {
        let day = self
            .origin
            .elapsed()
            .saturating_add(Duration::from_secs(86_400));
        let offset = Duration::from_micros(at.0).min(day);
        tokio::time::Instant::from_std(self.origin + offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_starts_at_zero_and_wall_time_is_this_century() {
        let clock = Clock::start();
        let now = clock.now();
        assert!(now.mono.0 < 1_000_000);
        assert!(now.unix.0 > 1_700_000_000);
        assert!(clock.now().mono >= now.mono);
    }

    #[test]
    fn a_timer_without_end_is_a_day_ahead() {
        let clock = Clock::start();
        let ahead = clock.instant(Mono(u64::MAX)) - clock.instant(clock.now().mono);
        assert!(ahead > Duration::from_secs(80_000) && ahead < Duration::from_secs(90_000));
    }
}
