//! How long to wait for an answer, learned from the answers that came.

use std::collections::VecDeque;

use crate::config::Times;

/// Number of round trips that are remembered.
const REMEMBERED: usize = 256;
/// With fewer round trips the default timeouts apply.
const ENOUGH: usize = 16;

/// The round-trip times of one pool.
#[derive(Debug, Default)]
pub(super) struct Patience {
    round_trips_us: VecDeque<u64>,
    short_ms: Option<u64>,
}

impl Patience {
    /// A copy of a request was answered after `us` microseconds.
    pub(super) fn answered(&mut self, us: u64, times: &Times) {
        self.round_trips_us.push_back(us);
        if self.round_trips_us.len() > REMEMBERED {
            self.round_trips_us.pop_front();
        }
        if self.round_trips_us.len() >= ENOUGH {
            self.short_ms = Some(self.learned(times));
        }
    }

    /// A timeout in ms that is longer than nearly all answers took, but not twice as long.
    fn learned(&self, times: &Times) -> u64 {
        let mut sorted: Vec<u64> = self.round_trips_us.iter().copied().collect();
        sorted.sort_unstable();
        let percentile = |percent: usize| {
            let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
            sorted.get(at).copied().unwrap_or(0)
        };
        let (p10, p90) = (percentile(10) / 1_000, percentile(90) / 1_000);
        let (least, most) = times.call_short_range_ms;
        (p10 + 100).max(p90 * 6 / 5).clamp(least, most)
    }

    /// Wait for an answer before the request is sent another way, ms.
    pub(super) fn short_ms(&self, times: &Times) -> u64 {
        self.short_ms.unwrap_or(times.call_short_ms)
    }

    /// Wait before each copy after the second, ms. It is shorter: by then some tunnel of the other side is probably dead, and a
    /// lookup is waiting.
    pub(super) fn again_ms(&self, times: &Times) -> u64 {
        self.short_ms(times) / 2
    }

    /// Time after which a call fails, ms: long enough for all its copies.
    pub(super) fn full_ms(&self, times: &Times) -> u64 {
        let learned = self.short_ms.map(|short| short * 6);
        let (least, most) = (times.call_full_ms / 2, times.call_full_ms);
        learned.map_or(most, |learned| learned.clamp(least, most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(round_trips_ms: &[u64]) -> (u64, u64) {
        let (times, mut patience) = (Times::default(), Patience::default());
        for ms in round_trips_ms {
            patience.answered(ms * 1_000, &times);
        }
        (patience.short_ms(&times), patience.full_ms(&times))
    }

    #[test]
    fn a_second_and_six_until_sixteen_answers_came() {
        assert_eq!(after(&[20; 15]), (1_000, 6_000));
        assert_eq!(after(&[20; 16]), (150, 3_000));
    }

    #[test]
    fn later_copies_follow_in_half_the_time() {
        let (times, mut patience) = (Times::default(), Patience::default());
        assert_eq!(patience.again_ms(&times), 500);
        for _ in 0..40 {
            patience.answered(500_000, &times);
        }
        assert_eq!(patience.again_ms(&times), 300);
    }

    #[test]
    fn between_the_slow_answers_and_the_bounds() {
        assert_eq!(after(&[500; 40]), (600, 3_600));
        let mut mixed = vec![300; 80];
        mixed.extend([900; 20]);
        assert_eq!(after(&mixed), (1_080, 6_000));
        assert_eq!(after(&[9_000; 40]), (2_500, 6_000));
    }

    #[test]
    fn old_answers_are_forgotten() {
        let mut all = vec![2_000; 256];
        all.extend([500; 256]);
        assert_eq!(after(&all), (600, 3_600));
    }
}
