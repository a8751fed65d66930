//! Decides when a plane asks endpoints for contacts.
use deut_common::time::Mono;

use crate::config::Config;

/// Asks often while there are no contacts, less and less often while there are few, and now and then in any case: isolated parts of
/// a network find each other through endpoints that they share.
#[derive(Debug, Default)]
pub(crate) struct Seeding {
    last: Option<Mono>,
    /// The most live contacts since there were enough for a while, and the requests since they grew beyond that or other endpoints
    /// were wanted. Contacts that come and go are no growth, so nobody can drive our tunnels from endpoint to endpoint that way.
    most: usize,
    in_vain: u32,
    /// Number of times that other endpoints were wanted since then.
    moves: u32,
}

/// Number of requests in vain, while there are few contacts, after which other endpoints are wanted. It doubles each time, at most
/// six times.
const PATIENCE: u32 = 3;

impl Seeding {
    /// The earliest time to ask again, given the number of live contacts.
    pub(crate) fn due(
        &self,
        contacts: usize,
        enough: usize,
        config: &Config,
        now: Mono,
    ) -> Option<Mono> {
        let interval = match contacts {
            0 => config.seeds_interval,
            few if few > self.most && few < enough => config.seeds_interval,
            few if few < enough => {
                let growing = config.seeds_interval << self.in_vain.saturating_sub(1).min(8);
                growing.min(config.seeds_interval_low)
            }
            _ => config.seeds_interval_enough,
        };
        Some(self.last.map_or(now, |last| last.plus_us(interval)))
    }

    /// Registers a request for seeds. True if it is due.
    pub(crate) fn ask(
        &mut self,
        contacts: usize,
        enough: usize,
        config: &Config,
        now: Mono,
    ) -> bool {
        let due = self
            .due(contacts, enough, config, now)
            .is_some_and(|due| due <= now);
        if due {
            self.last = Some(now);
            self.in_vain = self.in_vain.saturating_add(1);
        }
        // Enough contacts for a moment are no new start: there must still be enough at the next request.
        if contacts >= enough && due {
            (self.most, self.in_vain, self.moves) = (0, 0, 0);
        } else if contacts > self.most {
            (self.most, self.in_vain, self.moves) = (contacts, 0, 0);
        }
        due
    }

    /// Returns true if the same endpoints were asked in vain for too long; true only once each time. Nodes whose tunnels end at
    /// endpoints that no others use know only each other, and stay so until a tunnel ends elsewhere.
    pub(crate) fn wants_other_endpoints(&mut self) -> bool {
        let wants = self.in_vain >= PATIENCE << self.moves.min(6);
        if wants {
            self.in_vain = 0;
            self.moves = self.moves.saturating_add(1);
        }
        wants
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds of half an hour in which other endpoints are wanted, given the number of contacts in each second.
    fn moves(contacts: impl Fn(u64) -> usize) -> Vec<u64> {
        let (mut seeding, config) = (Seeding::default(), Config::production());
        (0..1_800)
            .filter(|second| {
                seeding.ask(contacts(*second), 8, &config, Mono(second * 1_000_000));
                seeding.wants_other_endpoints()
            })
            .collect()
    }

    /// The seconds up to `within` in which seeds are asked for, given the number of contacts in each second.
    fn asked(within: u64, contacts: impl Fn(u64) -> usize) -> Vec<u64> {
        let (mut seeding, config) = (Seeding::default(), Config::production());
        (0..within)
            .filter(|second| seeding.ask(contacts(*second), 8, &config, Mono(second * 1_000_000)))
            .collect()
    }

    #[test]
    fn who_knows_nobody_asks_each_second_who_knows_few_less_and_less_often_until_they_grow() {
        assert_eq!(asked(5, |_| 0), [0, 1, 2, 3, 4]);
        assert_eq!(asked(50, |_| 2), [0, 1, 2, 4, 8, 16, 26, 36, 46]);
        let growing = |second| if second < 20 { 2 } else { 3 };
        assert_eq!(
            asked(40, growing),
            [0, 1, 2, 4, 8, 16, 20, 21, 22, 24, 28, 36]
        );
        assert_eq!(asked(1_300, |_| 8), [0, 600, 1_200]);
    }

    #[test]
    fn few_contacts_that_do_not_grow_want_other_endpoints_less_and_less_often() {
        assert_eq!(moves(|_| 2), [4, 30, 116, 322, 768, 1_694]);
    }

    #[test]
    fn contacts_that_come_and_go_bring_about_no_more_moves() {
        let flapping =
            |period: u64| moves(move |second| 2 + usize::from((second / period).is_multiple_of(2)));
        assert!(!flapping(1).is_empty());
        for period in [1, 2, 3, 5, 10, 20, 30, 60, 120] {
            assert!(flapping(period).len() <= moves(|_| 2).len(), "{period}");
        }
        let nearly_enough =
            |period: u64| moves(move |second| 7 + usize::from((second / period).is_multiple_of(2)));
        for period in [1, 2, 3, 5, 10, 20, 30, 60, 120, 300] {
            let (count, steady) = (nearly_enough(period).len(), moves(|_| 7).len());
            assert!(count <= steady, "{period}: {count} instead of {steady}");
        }
        let at_times_alone = moves(|second| usize::from(second % 9 < 4));
        assert!(at_times_alone.len() <= moves(|_| 0).len());
    }

    #[test]
    fn enough_contacts_or_growing_ones_want_none() {
        assert!(moves(|_| 8).is_empty());
        assert!(
            moves(|second| usize::try_from(second / 250).unwrap_or(0)).len()
                < moves(|_| 2).len() * 8
        );
        assert!(moves(|second| if second < 4 { 2 } else { 8 }).is_empty());
    }
}
