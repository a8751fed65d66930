//! Nodes that failed lately. The next lookup must not begin by waiting for them, although other nodes go on naming them.
//!
//! A doubt is about the addresses that failed: a contact with newer ones, which only the node itself can sign, is asked like any
//! other, but is doubted as soon as it is slow. The doubt ends with an answer, for which a doubted node still gets the chance (see
//! [`crate::lookup`]), and otherwise after a time that grows with each failure.
use std::num::NonZeroUsize;

use deut_common::{hasher::KeyedState, time::Mono};
use lru::LruCache;

use crate::{config::Config, contact::Contact, id::NodeId, lookup::Trust};

/// The certainty that the node failed, and not one of our tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::user) enum Evidence {
    /// It failed over one of our tunnels. Only a second failure over another one says more.
    Weak,
    /// It failed over several of our tunnels.
    Strong,
}

#[derive(Debug)]
struct Doubt {
    contact: Contact,
    /// The time at which it failed once with weak evidence.
    suspected: Option<Mono>,
    until: Mono,
    /// Number of failures in a row.
    times: u32,
}

pub(super) struct Doubts {
    failed: LruCache<NodeId, Doubt, KeyedState>,
    least: u64,
    most: u64,
}

impl Doubts {
    pub(super) fn new(config: &Config, hasher: &KeyedState) -> Self {
        let cap = NonZeroUsize::new(config.max_doubted).unwrap_or(NonZeroUsize::MIN);
        Self {
            failed: LruCache::with_hasher(cap, hasher.clone()),
            least: config.doubt.0,
            most: config.doubt.1,
        }
    }

    /// A node did not answer, or not as it should. True if it is doubted from now on.
    pub(super) fn failed(&mut self, contact: &Contact, evidence: Evidence, now: Mono) -> bool {
        let doubt = self.failed.get_or_insert_mut(contact.id(), || Doubt {
            contact: contact.clone(),
            suspected: None,
            until: Mono(0),
            times: 0,
        });
        let has_moved = is_elsewhere(contact, &doubt.contact);
        if has_moved {
            doubt.contact = contact.clone();
        } else if doubt.until > now {
            return false;
        }
        let lately = doubt
            .suspected
            .is_some_and(|at| now.since(at) <= self.least);
        if evidence == Evidence::Weak && !lately {
            doubt.suspected = Some(now);
            doubt.until = Mono(0);
            return false;
        }
        let micros = self.least.saturating_mul(1 << doubt.times.min(16));
        doubt.until = now.plus_us(micros.min(self.most));
        doubt.times = doubt.times.saturating_add(1);
        doubt.suspected = None;
        true
    }

    /// A node answered.
    pub(super) fn answered(&mut self, id: &NodeId) {
        self.failed.pop(id);
    }

    /// The degree to which lookups may count on it. Newer addresses may have been signed before it failed.
    pub(super) fn trust(&self, contact: &Contact, now: Mono) -> Trust {
        match self.failed.peek(&contact.id()) {
            Some(doubt) if doubt.until > now && !is_elsewhere(contact, &doubt.contact) => {
                Trust::Doubted
            }
            Some(doubt) if doubt.times > 0 => Trust::Suspected,
            _ => Trust::Usual,
        }
    }

    /// Returns true if lookups should not count on it.
    pub(super) fn is_doubted(&self, contact: &Contact, now: Mono) -> bool {
        self.trust(contact, now) == Trust::Doubted
    }
}

/// Returns true if `contact` is later than `than` and has other addresses.
fn is_elsewhere(contact: &Contact, than: &Contact) -> bool {
    contact.replaces(than) && contact.addresses() != than.addresses()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{address, contact, contact_at};

    const MINUTE: u64 = 60_000_000;

    fn doubts(cap: usize) -> Doubts {
        let config = Config {
            max_doubted: cap,
            ..Config::test()
        };
        Doubts::new(&config, &KeyedState([1; 16]))
    }

    #[test]
    fn a_doubt_lasts_a_minute_then_two_and_ends_with_an_answer() {
        let (mut doubts, one) = (doubts(8), contact(1, 10));
        let mut now = Mono(1);
        for minutes in [1, 2, 4, 8, 8] {
            assert!(doubts.failed(&one, Evidence::Strong, now));
            assert!(doubts.is_doubted(&one, now.plus_us(minutes * MINUTE - 1)));
            now = now.plus_us(minutes * MINUTE);
            assert_eq!(doubts.trust(&one, now), Trust::Suspected, "{minutes}");
        }
        doubts.failed(&one, Evidence::Strong, now);
        doubts.answered(&one.id());
        assert_eq!(doubts.trust(&one, now), Trust::Usual);
        doubts.failed(&one, Evidence::Strong, now);
        assert!(
            !doubts.is_doubted(&one, now.plus_us(MINUTE)),
            "it begins anew"
        );
    }

    #[test]
    fn further_failures_meanwhile_do_not_lengthen_it() {
        let (mut doubts, one) = (doubts(8), contact(1, 10));
        assert!(doubts.failed(&one, Evidence::Strong, Mono(1)));
        (2..50).for_each(|at| assert!(!doubts.failed(&one, Evidence::Strong, Mono(at))));
        assert!(!doubts.is_doubted(&one, Mono(1 + MINUTE)));
    }

    #[test]
    fn one_tunnel_of_ours_condemns_nobody_two_do() {
        let (mut doubts, one) = (doubts(8), contact(1, 10));
        assert!(!doubts.failed(&one, Evidence::Weak, Mono(1)));
        assert!(!doubts.is_doubted(&one, Mono(1)));
        assert!(
            !doubts.failed(&one, Evidence::Weak, Mono(2 * MINUTE)),
            "long ago"
        );
        assert!(doubts.failed(&one, Evidence::Weak, Mono(2 * MINUTE + 1)));
        assert!(doubts.is_doubted(&one, Mono(2 * MINUTE + 2)));
    }

    #[test]
    fn newer_addresses_are_trusted_older_contacts_and_the_same_addresses_are_not() {
        let mut doubts = doubts(8);
        let (old, at_failure) = (contact_at(1, 10, address("10.0.0.9:2009")), contact(1, 20));
        let (renewed, moved) = (contact(1, 30), contact_at(1, 30, address("10.0.0.8:2008")));
        doubts.failed(&at_failure, Evidence::Strong, Mono(1));
        assert!(doubts.is_doubted(&old, Mono(2)) && doubts.is_doubted(&renewed, Mono(2)));
        assert_eq!(doubts.trust(&moved, Mono(2)), Trust::Suspected);
        assert!(
            doubts.failed(&moved, Evidence::Strong, Mono(2)),
            "it fails there too"
        );
        assert!(doubts.is_doubted(&moved, Mono(3)) && doubts.is_doubted(&at_failure, Mono(3)));
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut doubts = doubts(8);
        (1..=100).for_each(|number| {
            doubts.failed(&contact(number, 10), Evidence::Strong, Mono(1));
        });
        assert_eq!(doubts.failed.len(), 8);
        assert!(doubts.is_doubted(&contact(100, 10), Mono(2)));
        assert!(!doubts.is_doubted(&contact(1, 10), Mono(2)));
    }
}
