//! Decides when a tunnel moves to another endpoint, in a pool whose endpoints bring no contacts.

use deut_common::time::Mono;

/// Unit of the pauses.
const PAUSE_MS: u64 = 1_000;
/// A pool that asks again within this time still knows nobody; a pool that knows some nodes asks only now and then.
const STILL_MS: u64 = 2_000;
/// In a network that has just started nobody has registered anything yet.
const FIRST_MS: u64 = 5_000;
/// This many tunnels may move with short pauses, since in a network of few relays several in a row may end at the same one. Then
/// the pauses double, `DOUBLINGS` times.
const QUICK: u32 = 5;
const DOUBLINGS: u32 = 5;
/// Quick moves come back when no tunnel has moved for this long. Contacts do not bring them back: a relay that hosts an endpoint
/// could hand out dead ones for ever and drive our tunnels to more and more relays.
const REST_MS: u64 = 600_000;

/// The state of a pool whose endpoints bring no contacts.
#[derive(Debug, Default)]
pub(super) struct Barren {
    /// The time at which contacts were last wanted.
    wanted: Option<Mono>,
    /// They had been wanted shortly before that, too.
    still: bool,
    /// Earliest time of the next move; `None` before contacts were wanted.
    not_before: Option<Mono>,
    last: Mono,
    moves: u32,
}

impl Barren {
    /// Contacts are wanted.
    pub(super) fn want(&mut self, now: Mono) {
        self.still = self.wanted.is_some_and(|at| now < at.plus_ms(STILL_MS));
        self.wanted = Some(now);
        self.not_before.get_or_insert(now.plus_ms(FIRST_MS));
    }

    /// All endpoints were asked in vain. `true` if a tunnel may move now, which counts as a move.
    pub(super) fn may_move(&mut self, now: Mono) -> bool {
        if !self.still || self.not_before.is_none_or(|at| now < at) {
            return false;
        }
        if now >= self.last.plus_ms(REST_MS) {
            self.moves = 0;
        }
        self.moves = self.moves.saturating_add(1);
        let doublings = self.moves.saturating_sub(QUICK).clamp(1, DOUBLINGS);
        self.not_before = Some(now.plus_ms(PAUSE_MS << doublings));
        self.last = now;
        true
    }
}

/// Time for which a tunnel that moves stays, ms. It is short: a pool that knows nobody is known to nobody.
pub(super) const STAYS_MS: u64 = 2 * PAUSE_MS;

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds in which tunnels move, for a pool that asks in the seconds for which `asks` holds.
    fn moves(seconds: u64, asks: impl Fn(u64) -> bool) -> Vec<u64> {
        let mut barren = Barren::default();
        let second = |second: &u64| {
            let now = Mono(second * 1_000_000);
            asks(*second) && {
                barren.want(now);
                barren.may_move(now)
            }
        };
        (0..seconds).filter(second).collect()
    }

    #[test]
    fn whoever_knows_nobody_moves_quickly_five_times_and_then_less_and_less_often() {
        assert_eq!(
            moves(180, |_| true),
            [5, 7, 9, 11, 13, 15, 17, 21, 29, 45, 77, 109, 141, 173]
        );
    }

    #[test]
    fn whoever_asks_now_and_then_stays() {
        assert!(moves(1_000, |second| second % 2 == 0).is_empty());
    }

    /// The contacts die at once: the pool asks for some seconds, stops, and asks again.
    #[test]
    fn nobody_brings_quick_moves_back_by_handing_out_contacts() {
        let steady = moves(600, |_| true).len();
        for period in 3..120 {
            let driven = moves(600, |second| second % period < period - 1);
            assert!(driven.len() <= steady, "{period}: {driven:?}");
        }
        // Control: rest brings quick moves back.
        let twice = moves(1_400, |second| !(60..700).contains(&second));
        assert!(twice.contains(&701) && twice.contains(&709), "{twice:?}");
    }
}
