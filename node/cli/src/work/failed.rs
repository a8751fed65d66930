//! Failures of searches: the node did not join in time, or no node has the record.

use deut::{BootstrapTrouble, NotReady, status::ReadinessStatus};
use tokio::time::Duration;

use crate::report::{Effort, Got};
use crate::{
    exit::{Exit, Failure},
    words::plural,
};

/// Number of nodes that keep a record: the width of a lookup.
const CLOSEST: u32 = 8;

/// Number of lookups, with answers from all of the eight closest and no result, after which no more can be learned.
const CERTAIN: u32 = 3;

/// Number of lookups, in a network of fewer nodes, with answers from all nodes and no result, after which no more can be learned.
/// It is larger, since a node that has just joined, or a network that has just started, does not know all nodes.
const CERTAIN_IF_SMALL: u32 = 6;

/// Lookups that found nothing, and what they allow to conclude.
#[derive(Debug, Default)]
pub(super) struct Misses {
    lookups: u32,
    answered: u32,
    certain: u32,
    certain_if_small: u32,
    only_older: Option<i64>,
    /// The last result with announcers of whom none can be reached.
    unreachable: Option<Got>,
    best: Effort,
}

impl Misses {
    /// Counts one more lookup that found nothing.
    pub(super) fn count(&mut self, effort: Effort) {
        self.lookups += 1;
        self.answered += u32::from(effort.answered > 0);
        if effort.closest_answered >= CLOSEST {
            self.certain += 1;
        }
        if effort.answered > 0 && effort.failed == 0 {
            self.certain_if_small += 1;
        }
        if effort.answered >= self.best.answered {
            self.best = effort;
        }
    }

    /// Only versions of a mutable record below the wanted sequence number were found.
    pub(super) fn only_older(&mut self, seq: i64) {
        self.only_older = self.only_older.max(Some(seq));
    }

    /// Announcements were found, but none of their announcers can be reached. That may change at any time.
    pub(super) fn unreachable(&mut self, got: Got) {
        self.unreachable = Some(got);
    }

    /// Returns true if another lookup would bring nothing new.
    pub(super) const fn are_certain(&self) -> bool {
        if self.unreachable.is_some() {
            return false;
        }
        self.certain >= CERTAIN || self.certain_if_small >= CERTAIN_IF_SMALL
    }

    /// Number of lookups that were answered.
    pub(super) const fn answered(&self) -> u32 {
        self.answered
    }

    /// The failure to report to the user.
    pub(super) fn failure(&self, within: Duration) -> Failure {
        let seconds = within.as_secs();
        if let Some(got) = &self.unreachable {
            return nobody_reached(got, self.lookups, seconds);
        }
        if self.best.answered == 0 {
            let text = format!(
                "no node of the DHT answered within {seconds} s ({} RPCs sent in {} lookups)",
                self.best.rpcs, self.lookups
            );
            return Failure::new(Exit::NotJoined, text)
                .hint("the network may have no nodes with a persona yet; `deut ping` tests the own tunnels");
        }
        if let Some(seq) = self.only_older {
            let text = format!("only sequence number {seq} and older ones were found");
            return Failure::new(Exit::NotFound, text)
                .hint("the nodes that keep the newer version may be away; try again later, or with a lower --min-seq");
        }
        let network = self.best.network_estimate.map_or_else(
            || "the size of the network is unknown".into(),
            |nodes| format!("the network has about {nodes} node{}", plural(nodes)),
        );
        let text = format!(
            "nothing found: asked the {} closest, none knows it; {network} ({} lookup{})",
            self.best.closest_answered,
            self.lookups,
            plural(u64::from(self.lookups)),
        );
        Failure::new(Exit::NotFound, text)
            .hint("nobody announced it in this network, or the entries expired; check the link")
    }
}

/// Announcers are known, but not their addresses, or they do not answer there.
fn nobody_reached(got: &Got, lookups: u32, seconds: u64) -> Failure {
    let peers = got.peers().len();
    let text = format!(
        "found {peers} announcement{}, but none that can be reached now ({lookups} lookup{} in {seconds} s)",
        plural(peers as u64),
        plural(u64::from(lookups)),
    );
    let failure = Failure::new(Exit::Unreachable, text)
        .hint("who announced is gone, or has just started: try again later, or with a longer --timeout; entries expire after 45 minutes");
    Failure {
        found: serde_json::to_value(got).ok(),
        ..failure
    }
}

/// The reason why there were no tunnels in time: the troubles with bootstrap peers if none answered, else the node's reasons.
pub(crate) fn not_ready(
    why: &NotReady,
    troubles: &[BootstrapTrouble],
    within: Duration,
) -> Failure {
    let NotReady::TimedOut(readiness) = why else {
        return Failure::new(Exit::Internal, "the node has stopped");
    };
    let seconds = within.as_secs();
    // A fault of this machine explains all the rest, and is the only one that its user can mend.
    let here = readiness.reasons.iter();
    if let Some((reason, remedy)) = here.filter_map(|here| Some((here, here.remedy()?))).next() {
        let text = format!("not ready within {seconds} s: {reason}");
        return Failure::new(Exit::NotJoined, text).hint(remedy);
    }
    let readiness = ReadinessStatus::from(readiness);
    if readiness.relays == 0 && !troubles.is_empty() {
        let list: Vec<String> = troubles
            .iter()
            .map(|trouble| format!("{} ({})", trouble.written, trouble.trouble))
            .collect();
        let other_network = troubles.iter().all(is_other_network);
        let kind = if other_network {
            Exit::OtherNetwork
        } else {
            Exit::NotJoined
        };
        let text = format!(
            "no bootstrap peer can be used: tried {} for {seconds} s",
            list.join(", ")
        );
        return Failure::new(kind, text).hint(if other_network {
            "`network` and `profile` in bootstrap.toml must be those of the peers, and both sides need the same protocol version"
        } else {
            "check the addresses in bootstrap.toml; a longer --timeout goes on trying, and `deut run` tries for ever"
        });
    }
    let reasons = if readiness.reasons.is_empty() {
        "tunnels are being built".into()
    } else {
        readiness.reasons.join("; ")
    };
    let (up, at, relays) = (readiness.tunnels_up, readiness.ready_at, readiness.relays);
    Failure::new(Exit::NotJoined, format!("not ready within {seconds} s: {up} of {at} tunnels stand, {relays} relays known; {reasons}"))
        .hint("a longer --timeout goes on trying")
}

fn is_other_network(trouble: &BootstrapTrouble) -> bool {
    trouble.trouble == deut_transport::io::BootstrapTrouble::OtherNetwork.to_string()
}

#[cfg(test)]
mod tests {
    use deut::{Readiness, Reason};

    use super::*;
    use crate::report::Peer;

    fn trouble(written: &str, trouble: deut_transport::io::BootstrapTrouble) -> BootstrapTrouble {
        BootstrapTrouble {
            written: written.into(),
            address: None,
            trouble: trouble.to_string(),
        }
    }

    fn timed_out(relays: usize) -> NotReady {
        let reasons = vec![Reason::Building];
        NotReady::TimedOut(Readiness {
            relays,
            ready_at: 4,
            reasons,
            ..Readiness::default()
        })
    }

    #[test]
    fn every_peer_that_was_tried_is_named_with_its_trouble() {
        use deut_transport::io::BootstrapTrouble::{OtherNetwork, Silent};
        let silent = [trouble("a:1", Silent), trouble("b:2", OtherNetwork)];
        let failure = not_ready(&timed_out(0), &silent, Duration::from_secs(30));
        assert_eq!(failure.kind, Exit::NotJoined);
        for part in [
            "a:1 (no answer)",
            "b:2 (it belongs to another network",
            "for 30 s",
        ] {
            assert!(failure.message.contains(part), "{failure:?}");
        }
        let other = [trouble("a:1", OtherNetwork), trouble("b:2", OtherNetwork)];
        let failure = not_ready(&timed_out(0), &other, Duration::from_secs(30));
        assert_eq!(failure.kind, Exit::OtherNetwork);
    }

    #[test]
    fn with_relays_known_the_reasons_count() {
        let troubles = [trouble("a:1", deut_transport::io::BootstrapTrouble::Silent)];
        let failure = not_ready(&timed_out(3), &troubles, Duration::from_secs(9));
        assert_eq!(failure.kind, Exit::NotJoined);
        assert!(
            failure
                .message
                .contains("0 of 4 tunnels stand, 3 relays known; tunnels are being built"),
            "{failure:?}"
        );
    }

    #[test]
    fn what_is_wrong_with_this_machine_comes_first() {
        use deut_transport::{
            io::BootstrapTrouble::{OtherClock, Silent},
            status::SendRefusal,
        };
        let troubles = [trouble("a:1", OtherClock), trouble("b:2", Silent)];
        for (reason, said, remedy) in [
            (
                Reason::ClockOff { ahead_s: -3_600 },
                "this machine's clock seems off by about 60 min (behind)",
                "set the clock",
            ),
            (
                Reason::SendingRefused {
                    times: 12,
                    why: SendRefusal::Forbidden,
                },
                "sending is refused (12 times",
                "let this machine send",
            ),
            (
                Reason::AddressGone,
                "not of this machine any more",
                "give the address back",
            ),
        ] {
            let mut why = timed_out(0);
            let NotReady::TimedOut(readiness) = &mut why else {
                unreachable!()
            };
            readiness.reasons.push(reason);
            let failure = not_ready(&why, &troubles, Duration::from_secs(30));
            assert_eq!(failure.kind, Exit::NotJoined);
            assert!(failure.message.contains(said), "{failure:?}");
            assert!(
                failure.hint.is_some_and(|hint| hint.contains(remedy)),
                "{reason:?}"
            );
        }
    }

    #[test]
    fn in_a_small_network_all_there_are_must_answer_more_often() {
        let all = Effort {
            answered: 2,
            closest_answered: 2,
            network_estimate: Some(2),
            ..Effort::default()
        };
        let (mut misses, mut some) = (Misses::default(), Misses::default());
        for _ in 0..CERTAIN_IF_SMALL {
            assert!(!misses.are_certain());
            misses.count(all);
            some.count(Effort { failed: 1, ..all });
        }
        assert!(misses.are_certain());
        assert!(!some.are_certain(), "somebody did not answer");
        let mut nobody = Misses::default();
        (0..20).for_each(|_| nobody.count(Effort::default()));
        assert!(!nobody.are_certain());
    }

    #[test]
    fn somebody_who_cannot_be_reached_is_an_outcome_of_its_own_and_worth_another_look() {
        let persona = |addresses: &[&str], reachable| Got::Peers {
            infohash: "ab".into(),
            peers: vec![Peer::Persona {
                key: "cd".into(),
                addresses: addresses
                    .iter()
                    .map(|at| at.parse().expect("an address"))
                    .collect(),
                reachable,
                given_by: 3,
            }],
            through: None,
            swarms: Vec::new(),
            effort: Effort::default(),
        };
        let address = ["203.0.113.7:5001"];
        assert!(persona(&address, Some(true)).leads_somewhere());
        assert!(!persona(&address, Some(false)).leads_somewhere());
        assert!(!persona(&address, None).leads_somewhere());
        let got = persona(&[], None);
        assert!(!got.leads_somewhere());
        let mut misses = Misses::default();
        misses.unreachable(got);
        let all = Effort {
            answered: 9,
            closest_answered: 8,
            ..Effort::default()
        };
        (0..20).for_each(|_| misses.count(all));
        assert!(!misses.are_certain(), "it may be reached at any time");
        let failure = misses.failure(Duration::from_secs(30));
        assert_eq!(failure.kind, Exit::Unreachable);
        assert_eq!(
            failure.message,
            "found 1 announcement, but none that can be reached now (20 lookups in 30 s)"
        );
        let object = crate::report::FailureObject::from(&failure);
        let text = serde_json::to_string(&object).expect("serialises");
        let peer = r#""peers":[{"kind":"persona","key":"cd","addresses":[],"reachable":null,"given_by":3}]"#;
        assert!(text.contains(peer), "in their usual order: {text}");
        let object = serde_json::to_value(object).expect("serialises");
        assert_eq!(
            (&object["error"]["code"], &object["peers"][0]["key"]),
            (&16.into(), &"cd".into()),
            "{object}"
        );
    }

    #[test]
    fn a_miss_says_how_many_were_asked_and_how_large_the_network_is() {
        let mut misses = Misses::default();
        let within = Duration::from_secs(30);
        assert_eq!(misses.failure(within).kind, Exit::NotJoined);
        let effort = Effort {
            answered: 9,
            closest_answered: 8,
            network_estimate: Some(16),
            ..Effort::default()
        };
        for _ in 0..CERTAIN {
            assert!(!misses.are_certain());
            misses.count(effort);
        }
        assert!(misses.are_certain());
        assert_eq!(misses.answered(), CERTAIN);
        let failure = misses.failure(within);
        assert_eq!(failure.kind, Exit::NotFound);
        assert_eq!(
            failure.message,
            "nothing found: asked the 8 closest, none knows it; the network has about 16 nodes (3 lookups)"
        );
    }
}
