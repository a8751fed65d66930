//! Chooses the changes of readiness that the daemon reports: those that last.

use deut::status::ReadinessStatus;
use tokio::time::{Duration, Instant};

/// A change is reported when it has lasted this long, but readiness itself at once.
const LASTS: Duration = Duration::from_secs(2);

/// The state that was reported last, and the time since which it is no longer true.
#[derive(Debug, Default)]
pub(super) struct Damper {
    told: Option<ReadinessStatus>,
    other_since: Option<Instant>,
}

impl Damper {
    /// Takes the present state, and returns it if it is to be reported. Call it from time to time without a change, too.
    pub(super) fn see(&mut self, now: ReadinessStatus, at: Instant) -> Option<ReadinessStatus> {
        let told = self.told.as_ref();
        if told.is_some_and(|told| (told.ready, &told.reasons) == (now.ready, &now.reasons)) {
            self.other_since = None;
            return None;
        }
        let since = *self.other_since.get_or_insert(at);
        let became_ready = now.ready && told.is_some_and(|told| !told.ready);
        let lasted = at.saturating_duration_since(since) >= LASTS;
        if told.is_some() && !became_ready && !lasted {
            return None;
        }
        self.other_since = None;
        self.told = Some(now.clone());
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(ready: bool, reason: &str) -> ReadinessStatus {
        ReadinessStatus {
            ready,
            reasons: vec![reason.into()],
            ..ReadinessStatus::default()
        }
    }

    /// The reports for these states, each seen at its millisecond.
    fn told(seen: &[(u64, bool, &str)]) -> Vec<(u64, bool, String)> {
        let (mut damper, start) = (Damper::default(), Instant::now());
        let tell = |&(ms, ready, reason): &(u64, bool, &str)| {
            let told = damper.see(status(ready, reason), start + Duration::from_millis(ms))?;
            Some((ms, told.ready, told.reasons.concat()))
        };
        seen.iter().filter_map(tell).collect()
    }

    #[test]
    fn the_first_state_and_that_it_is_ready_are_told_at_once() {
        let seen = [
            (0, false, "a"),
            (10, false, "a"),
            (20, true, ""),
            (30, true, ""),
        ];
        let expected = [(0, false, "a".to_owned()), (20, true, String::new())];
        assert_eq!(told(&seen), expected);
    }

    #[test]
    fn what_comes_and_goes_is_not_told() {
        let flapping: Vec<_> = (0..100)
            .map(|turn| (turn * 900, turn % 2 == 0, "x"))
            .collect();
        assert_eq!(told(&flapping).len(), 1);
    }

    #[test]
    fn a_change_that_lasts_is_told_once_also_where_its_reasons_change() {
        let seen = [
            (0, true, ""),
            (1_000, false, "a"),
            (2_000, false, "b"),
            (2_900, false, "c"),
            (3_000, false, "d"),
            (4_500, false, "d"),
            (6_000, false, "d"),
        ];
        let expected = [(0, true, String::new()), (3_000, false, "d".to_owned())];
        assert_eq!(told(&seen), expected);
    }
}
