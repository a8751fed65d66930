//! Merges many lookups to find all announcers, since nodes give samples that differ each time.

use std::cmp::Reverse;

use crate::report::{Effort, Got, Peer};

/// After this many lookups in a row without a new announcer there is hardly one left.
const QUIET: u32 = 3;
/// Largest number of lookups. With eight nodes that keep a hundred entries each and give seven, a third of this finds nearly all.
const LOOKUPS: u32 = 40;
/// Largest number of peers.
const PEERS: usize = 1_024;

/// The merged result of all lookups so far.
#[derive(Debug)]
pub(super) struct All {
    got: Got,
    quiet: u32,
}

impl All {
    /// Starts from the first lookup that found an announcer.
    pub(super) fn new(mut first: Got) -> Self {
        if let Got::Peers { effort, .. } = &mut first {
            effort.merged = 1;
        }
        Self {
            got: first,
            quiet: 0,
        }
    }

    /// The number of the next lookup; `None` once another one is not worth it.
    pub(super) fn next(&self) -> Option<u32> {
        let Got::Peers { peers, effort, .. } = &self.got else {
            return None;
        };
        let goes_on = self.quiet < QUIET && effort.merged < LOOKUPS && peers.len() < PEERS;
        goes_on.then_some(effort.lookups + 1)
    }

    /// Adds one lookup and the peers that it found.
    pub(super) fn add(&mut self, found: &[Peer], spent: Effort) {
        let Got::Peers { peers, effort, .. } = &mut self.got else {
            return;
        };
        *effort = effort.and_then(spent);
        let mut is_quiet = true;
        for peer in found {
            let room = peers.len() < PEERS;
            match peers.iter_mut().find(|known| known.name() == peer.name()) {
                Some(known) => is_quiet &= !known.learn(peer),
                None if room => {
                    is_quiet = false;
                    peers.push(peer.clone());
                }
                None => {}
            }
        }
        self.quiet = if is_quiet { self.quiet + 1 } else { 0 };
    }

    /// The merged result: first the peers that answer, last those that do not.
    pub(super) fn into_got(mut self) -> Got {
        if let Got::Peers { peers, effort, .. } = &mut self.got {
            peers.sort_by_key(|peer| (rank(peer), Reverse(peer.given_by())));
            let found = peers.len() as u64;
            effort.peers_at_least = effort.peers_at_least.map(|least| least.max(found));
        }
        self.got
    }
}

fn rank(peer: &Peer) -> u8 {
    match peer {
        Peer::Unverified { .. } => 1,
        Peer::Persona {
            reachable,
            addresses,
            ..
        } => match (reachable, addresses.is_empty()) {
            (Some(true), _) => 0,
            (None, false) => 1,
            (None, true) => 2,
            (Some(false), _) => 3,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Peer {
        let address = ([192, 0, 2, last], 6881).into();
        Peer::Unverified {
            address,
            given_by: 1,
        }
    }

    fn persona(reachable: Option<bool>, addresses: usize) -> Peer {
        let at = ([192, 0, 2, 9], 5000).into();
        Peer::Persona {
            key: "aa".into(),
            addresses: vec![at; addresses],
            reachable,
            given_by: 2,
        }
    }

    fn spent(peers_at_least: Option<u64>) -> Effort {
        Effort {
            lookups: 2,
            rpcs: 10,
            lookup_ms: 1.5,
            peers_at_least,
            ..Effort::default()
        }
    }

    fn first(peers: Vec<Peer>) -> All {
        All::new(Got::Peers {
            infohash: String::new(),
            peers,
            through: None,
            swarms: Vec::new(),
            effort: spent(Some(3)),
        })
    }

    #[test]
    fn it_ends_after_some_lookups_that_bring_nobody_new() {
        let mut all = first(vec![address(1)]);
        for number in 2..10 {
            assert_eq!(all.next(), Some(number + 1), "the first was the second");
            all.add(&[address(1), address(number as u8)], spent(None));
        }
        for _ in 0..QUIET {
            assert!(all.next().is_some());
            all.add(&[address(1)], spent(Some(7)));
        }
        assert_eq!(all.next(), None);
        let Got::Peers { peers, effort, .. } = all.into_got() else {
            panic!("no peers")
        };
        assert_eq!(peers.len(), 9);
        let lookups = 1 + 8 + QUIET;
        assert_eq!((effort.merged, effort.lookups), (lookups, lookups + 1));
        assert_eq!(
            (effort.rpcs, effort.lookup_ms),
            (10 * lookups, 1.5 * f64::from(lookups))
        );
        assert_eq!(effort.peers_at_least, Some(9), "not fewer than were found");
    }

    #[test]
    fn lookups_and_peers_have_caps() {
        let mut all = first(vec![address(0)]);
        let mut lookups = 1;
        while all.next().is_some() {
            lookups += 1;
            all.add(&[address(lookups)], spent(None));
        }
        assert_eq!(u32::from(lookups), LOOKUPS);
        let mut all = first(Vec::new());
        let many = (0..2 * PEERS).map(|n| Peer::Unverified {
            address: ([10, 0, (n >> 8) as u8, n as u8], 1).into(),
            given_by: 1,
        });
        all.add(&many.collect::<Vec<_>>(), spent(None));
        assert_eq!((all.next(), all.into_got().peers().len()), (None, PEERS));
    }

    #[test]
    fn the_best_that_is_known_of_a_persona_stays() {
        let mut all = first(vec![address(1), persona(None, 0)]);
        all.add(&[persona(Some(true), 1)], spent(None));
        assert_eq!(all.quiet, 0, "where it is was not known");
        all.add(&[persona(None, 0)], spent(None));
        all.add(&[persona(Some(false), 1)], spent(None));
        assert_eq!(all.quiet, 2);
        assert_eq!(all.into_got().peers(), [persona(Some(true), 1), address(1)]);
    }
}
