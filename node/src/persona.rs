//! Decides when the persona is on, and draws its keys.
//!
//! It appears some time after the start and is replaced about once a day, independently of restarts, so that the starts, stops and
//! clock of a machine do not show which persona lives on it (ADR 0002). Its key is never on disk.

use deut_common::time::Mono;
use deut_transport::policy::Profile;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use zeroize::Zeroizing;

const MINUTE: u64 = 60_000_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// Draws the persona's keys from a generator of its own.
pub(crate) struct PersonaClock {
    rng: StdRng,
    /// The time at which the next key begins; `None` if there is never a persona.
    next: Option<Mono>,
    /// The seed of the next key, if that is not to be random.
    given: Option<Zeroizing<[u8; 32]>>,
}

impl PersonaClock {
    /// A persona that begins in 5 to 60 minutes, or at once in the test profile.
    pub(crate) fn new(wanted: bool, profile: Profile, seed: [u8; 32], now: Mono) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let delay = match profile {
            Profile::Production => rng.random_range(5 * MINUTE..=60 * MINUTE),
            Profile::Test => 0,
        };
        Self {
            rng,
            next: wanted.then(|| now.plus_us(delay)),
            given: None,
        }
    }

    /// Starts the next key at once, from this seed.
    pub(crate) fn set_next(&mut self, now: Mono, seed: [u8; 32]) {
        self.given = Some(Zeroizing::new(seed));
        self.next = Some(now);
    }

    /// The time at which `poll` has something.
    pub(crate) fn due(&self) -> Option<Mono> {
        self.next
    }

    /// The seed of a new key that replaces the old one, if it is time.
    pub(crate) fn poll(&mut self, now: Mono) -> Option<Zeroizing<[u8; 32]>> {
        if self.next.is_none_or(|next| next > now) {
            return None;
        }
        self.next = Some(now.plus_us(self.rng.random_range(DAY / 2..=DAY + DAY / 2)));
        if let Some(given) = self.given.take() {
            return Some(given);
        }
        Some(Zeroizing::new(self.rng.random()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_production_persona_appears_after_5_to_60_minutes() {
        let delays: Vec<u64> = (0..200u8)
            .map(|seed| {
                PersonaClock::new(true, Profile::Production, [seed; 32], Mono(7))
                    .due()
                    .unwrap()
                    .0
                    - 7
            })
            .collect();
        assert!(
            delays
                .iter()
                .all(|delay| (5 * MINUTE..=60 * MINUTE).contains(delay))
        );
        assert!(
            delays.iter().any(|delay| *delay < 15 * MINUTE)
                && delays.iter().any(|delay| *delay > 50 * MINUTE)
        );
    }

    #[test]
    fn a_test_persona_appears_at_once_and_is_replaced_after_12_to_36_hours() {
        let mut clock = PersonaClock::new(true, Profile::Test, [1; 32], Mono(0));
        let mut now = Mono(0);
        let mut keys = Vec::new();
        for _ in 0..50 {
            keys.push(*clock.poll(now).expect("due"));
            assert!(clock.poll(now).is_none(), "only once");
            let next = clock.due().unwrap();
            assert!((DAY / 2..=3 * DAY / 2).contains(&(next.0 - now.0)));
            assert!(clock.poll(Mono(next.0 - 1)).is_none());
            now = next;
        }
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 50);
    }

    #[test]
    fn a_client_never_has_one() {
        let mut clock = PersonaClock::new(false, Profile::Test, [1; 32], Mono(0));
        assert!(clock.due().is_none() && clock.poll(Mono(u64::MAX)).is_none());
    }
}
