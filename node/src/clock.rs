//! The only source of time for the cores and the driver. One reading serves a whole batch.
#![allow(clippy::disallowed_methods, reason = "this is the one place that may")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deut_common::time::{Mono, Now, Unix};

/// A clock that counts from the start of one node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Duration,
}

impl Clock {
    /// Starts a clock.
    pub(crate) fn start() -> Self {
        Self { origin: uptime() }
    }

    /// Reads both clocks.
    pub(crate) fn now(&self) -> Now {
        let mono = u64::try_from(self.elapsed().as_micros()).unwrap_or(u64::MAX);
        // A machine whose clock is set before 1970 sees every descriptor as not yet valid, but still runs.
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            mono: Mono(mono),
            unix: Unix(unix.as_secs()),
        }
    }

    /// The instant of a monotonic time, for a timer. It is at most a day ahead, so that it cannot overflow.
    pub(crate) fn instant(&self, at: Mono) -> tokio::time::Instant {
        let ahead = Duration::from_micros(at.0).saturating_sub(self.elapsed());
        tokio::time::Instant::now() + ahead.min(Duration::from_secs(86_400))
    }

    fn elapsed(&self) -> Duration {
        uptime().saturating_sub(self.origin)
    }
}

/// Time since boot. It goes on while the machine sleeps: others do not wait for it, so deadlines must not either.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn uptime() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(now).unwrap_or_default()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn uptime() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(now).unwrap_or_default()
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
