//! The findings of a lookup so far, for the case that the time is over before the lookup is.

use deut::{FoundPeer, Progress, QueryOutcome, QueryResult, QueryStats};

use crate::report::Peer;

/// Findings collected from the steps of one lookup.
#[derive(Debug, Default)]
pub(super) struct Seen {
    peers: Vec<FoundPeer>,
    stats: QueryStats,
}

impl Seen {
    /// Adds one step.
    pub(super) fn count(&mut self, step: &Progress) {
        match step {
            Progress::Asked { .. } => self.stats.sent += 1,
            Progress::Answered { .. } => self.stats.answered += 1,
            Progress::Failed { .. } => self.stats.failed += 1,
            Progress::Found(peer) => {
                match self.peers.iter_mut().find(|known| known.what == peer.what) {
                    Some(known) => known.clone_from(peer),
                    None => self.peers.push(peer.clone()),
                }
            }
            _ => {}
        }
    }

    /// Returns true if an announcer was found that can be reached.
    pub(super) fn leads_somewhere(&self) -> bool {
        let mut peers = self.peers.iter();
        peers.any(|peer| Peer::from(peer).leads_somewhere())
    }

    /// The peers as if the lookup were over: first those that answer, last those that do not.
    pub(super) fn outcome(self) -> Option<QueryOutcome> {
        let Self { mut peers, stats } = self;
        if peers.is_empty() {
            return None;
        }
        peers.sort_by_key(|peer| match peer.reachable {
            Some(true) => 0,
            None => 1,
            Some(false) => 2,
        });
        let result = QueryResult::Peers(peers);
        Some(QueryOutcome { result, stats })
    }
}

#[cfg(test)]
mod tests {
    use deut::{Announced, NodeId};

    use super::*;

    fn found(last: u8, reachable: Option<bool>) -> Progress {
        let what = match reachable {
            None => Announced::Address(([192, 0, 2, last], 6881).into()),
            Some(_) => Announced::Persona([last; 32]),
        };
        Progress::Found(FoundPeer {
            what,
            given_by: 1,
            contact: None,
            reachable,
        })
    }

    #[test]
    fn what_was_told_is_the_result_once_the_time_is_over() {
        let mut seen = Seen::default();
        let node = NodeId([1; 20]);
        seen.count(&Progress::Asked {
            node,
            shared_bits: 1,
        });
        assert_eq!((seen.leads_somewhere(), seen.peers.len()), (false, 0));
        for step in [found(1, Some(false)), found(2, Some(false))] {
            seen.count(&step);
        }
        assert!(!seen.leads_somewhere());
        seen.count(&found(2, Some(true)));
        assert!(seen.leads_somewhere());
        let outcome = seen.outcome().expect("peers");
        let QueryResult::Peers(peers) = outcome.result else {
            panic!("no peers")
        };
        let reachable: Vec<_> = peers.iter().map(|peer| peer.reachable).collect();
        assert_eq!(reachable, [Some(true), Some(false)]);
        assert_eq!(outcome.stats.sent, 1);
        assert_eq!(Seen::default().outcome(), None);
    }

    #[test]
    fn an_address_is_of_use_at_once() {
        let mut seen = Seen::default();
        seen.count(&found(1, None));
        assert!(seen.leads_somewhere());
    }
}
