//! Compares this machine's wall clock with those of verified relays. It only warns: no decision depends on it, and no clock is set.

use std::{collections::BTreeMap, net::SocketAddr};

use deut_common::time::{Mono, Unix};

use super::crowd::prefix_of;
use crate::context::Context;

/// Number of prefixes whose word is kept; the oldest makes room.
pub(super) const KEPT: usize = 32;
/// Time for which a word counts. Every relay of a directory is asked again sooner.
const FRESH_MS: u64 = 1_800_000;
/// Number of prefixes needed for a judgement: one liar among three cannot move their median beyond the others.
const ENOUGH: usize = 3;
/// A difference is reported from this many seconds on, and no longer below `UNSAID_S`. Handshakes fail from 120 s on.
const SAID_S: u64 = 90;
const UNSAID_S: u64 = 60;
/// A hundred years. The numbers come from strangers, and nothing sensible is further off.
const MOST_S: i64 = 3_200_000_000;

/// The difference between this machine's clock and that of one relay of a prefix.
struct Word {
    ahead_s: i64,
    at: Mono,
}

/// The judgement that follows from all words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClockOff {
    /// Seconds ahead of the others; negative: behind.
    pub(crate) ahead_s: i64,
    /// Fewer than three prefixes say so. That is enough for a node that gets nowhere, but not for one that works.
    pub(crate) few: bool,
}

#[derive(Default)]
pub(crate) struct Clocks {
    words: BTreeMap<SocketAddr, Word>,
    off: Option<ClockOff>,
}

impl Clocks {
    /// A verified relay told the time. Each prefix has one word, its newest.
    pub(super) fn hear(&mut self, cx: &Context, from: SocketAddr, theirs: Unix) {
        let signed = |unix: Unix| i64::try_from(unix.0).unwrap_or(i64::MAX);
        let ahead_s = signed(cx.now.unix)
            .saturating_sub(signed(theirs))
            .clamp(-MOST_S, MOST_S);
        let at = cx.mono();
        let prefix = prefix_of(cx.config.policy.profile, from);
        self.words.retain(|_, word| at < word.at.plus_ms(FRESH_MS));
        if self.words.len() >= KEPT
            && !self.words.contains_key(&prefix)
            && let Some(oldest) = self
                .words
                .iter()
                .min_by_key(|(_, word)| word.at)
                .map(|(prefix, _)| *prefix)
        {
            self.words.remove(&oldest);
        }
        self.words.insert(prefix, Word { ahead_s, at });
        self.judge();
    }

    /// Forgets all words: the clock jumped, and they were about another time.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The difference that is reported at present.
    pub(crate) const fn off(&self) -> Option<ClockOff> {
        self.off
    }

    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    fn judge(&mut self) {
        let mut ahead: Vec<i64> = self.words.values().map(|word| word.ahead_s).collect();
        ahead.sort_unstable();
        let few = ahead.len() < ENOUGH;
        let (low, high) = match (few, ahead.as_slice()) {
            (_, []) => (0, 0),
            // A few must all agree.
            (true, [first, .., last]) => (*first, *last),
            (true, [only]) => (*only, *only),
            (false, all) => {
                let middle = |at: usize| all.get(at).copied().unwrap_or(0);
                (middle((all.len() - 1) / 2), middle(all.len() / 2))
            }
        };
        let ahead_s = if low.signum() == high.signum() {
            if low.abs() <= high.abs() { low } else { high }
        } else {
            0
        };
        self.off = self.settle(ClockOff { ahead_s, few });
    }

    /// Keeps the old number while the new one differs by some seconds only, so that readiness does not change with every word.
    fn settle(&self, now: ClockOff) -> Option<ClockOff> {
        let size = now.ahead_s.unsigned_abs();
        let least = if self.off.is_some() { UNSAID_S } else { SAID_S };
        if size < least {
            return None;
        }
        let before = self.off.filter(|before| before.few == now.few);
        let near = |before: &ClockOff| before.ahead_s.abs_diff(now.ahead_s) <= (size / 10).max(15);
        Some(before.filter(near).unwrap_or(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Config, Role},
        policy::{Policy, Profile},
    };
    use deut_common::time::Now;

    const TIME: u64 = 1_800_000_000;

    fn shared(profile: Profile) -> Context {
        let policy = Policy::new("example", profile).expect("a short name");
        let now = Now {
            mono: Mono(0),
            unix: Unix(TIME),
        };
        Context::new(Config::new(policy, Role::Client), [1; 32], now)
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// The report after these relays told how far we are ahead of them.
    fn said(profile: Profile, words: &[(&str, i64)]) -> Option<(i64, bool)> {
        let (cx, mut clocks) = (shared(profile), Clocks::default());
        for (from, ahead_s) in words {
            let theirs = Unix(TIME.saturating_add_signed(-ahead_s));
            clocks.hear(&cx, at(from), theirs);
        }
        clocks.off().map(|off| (off.ahead_s, off.few))
    }

    #[test]
    fn a_median_of_three_prefixes_is_said_both_ways_and_a_small_one_is_not() {
        let told = |ahead: i64| {
            said(
                Profile::Production,
                &[
                    ("8.1.0.1:4000", ahead - 1),
                    ("8.2.0.1:4000", ahead),
                    ("8.3.0.1:4000", ahead + 1),
                ],
            )
        };
        for ahead in [200, 3_600, 86_400, -200, -3_600, -86_400] {
            assert_eq!(told(ahead), Some((ahead, false)));
        }
        for ahead in [0, 60, -60] {
            assert_eq!(told(ahead), None);
        }
    }

    #[test]
    fn a_liar_or_a_prefix_full_of_liars_moves_nothing() {
        let honest = [("8.1.0.1:4000", 1), ("8.2.0.1:4000", -1)];
        for lie in [-86_400, 86_400, i64::MAX / 2] {
            let mut words = honest.to_vec();
            words.extend([
                ("8.3.0.1:4000", lie),
                ("8.3.0.2:4000", lie),
                ("8.3.9.2:4000", lie),
            ]);
            assert_eq!(said(Profile::Production, &words), None, "{lie}");
            // The twin: where prefixes do not count these are three of five.
            let clamped = lie.clamp(-(TIME as i64), MOST_S);
            let test = said(Profile::Test, &words).map(|(ahead, few)| (ahead.signum(), few));
            assert_eq!(test, Some((clamped.signum(), false)), "{lie}");
        }
    }

    #[test]
    fn one_or_two_must_agree_and_are_called_few() {
        let one = ("8.1.0.1:4000", 300);
        assert_eq!(said(Profile::Production, &[one]), Some((300, true)));
        let two = |other| said(Profile::Production, &[one, ("8.2.0.1:4000", other)]);
        assert_eq!(two(400), Some((300, true)));
        assert_eq!(two(0), None);
        assert_eq!(two(-300), None);
    }

    #[test]
    fn the_number_stays_while_it_wavers_and_the_words_are_bounded() {
        let (cx, mut clocks) = (shared(Profile::Test), Clocks::default());
        let mut said = Vec::new();
        for port in 4_000..4_200 {
            let from = SocketAddr::from(([10, 0, 0, 1], port));
            clocks.hear(&cx, from, Unix(TIME - 200 - u64::from(port % 9)));
            said.push(clocks.off().expect("it is off").ahead_s);
        }
        said.drain(..2);
        said.dedup();
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(clocks.len(), KEPT);
        clocks.forget();
        assert_eq!((clocks.off(), clocks.len()), (None, 0));
    }
}
