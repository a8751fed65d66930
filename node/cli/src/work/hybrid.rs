//! Torrents of two versions (BEP 52). A client that knows only one of the two hashes is in one of two swarms, so both are searched
//! and both are announced on.

use std::pin::pin;

use deut::{Announced, Query};
use deut_kademlia::Magnet;

use super::{Work, target::Target};
use crate::{
    exit::{Exit, Failure},
    report::{Effort, Got, OtherSwarm, Peer, Stored, Swarm, hex},
};

/// Each of the two first does one lookup of its own. If one finds something, nobody waits until the other is known to be empty.
const AT_FIRST: Option<u32> = Some(1);

impl Work {
    /// The announcers on either infohash of a torrent. Both are searched at the same time by lookups that share nothing: as with
    /// two torrents, only somebody who knows both hashes can tell that they belong together.
    pub(super) async fn peers_of(&self, magnet: &Magnet) -> Result<Got, Failure> {
        let Some((first, second)) = magnet.split() else {
            return self.look_for(&Target::Magnet(*magnet)).await;
        };
        let (first, second) = (Target::Magnet(first), Target::Magnet(second));
        let once = self.limited(AT_FIRST);
        let [found, also] =
            <[_; 2]>::from(tokio::join!(once.look_for(&first), once.look_for(&second)));
        let open = is_open(&found) && is_open(&also);
        if !open || !self.has_time() {
            return either(magnet, found, also);
        }
        let [one, two] = [(); 2].map(|()| self.limited(self.lookups));
        let (mut first, mut second) = (pin!(one.look_for(&first)), pin!(two.look_for(&second)));
        // Peers that were reported already belong in the result.
        tokio::select! {
            end = &mut first => match end {
                Ok(got) if !two.has_found() => Ok(in_swarms(magnet, [Some(got), None])),
                end => either(magnet, end, second.await),
            },
            end = &mut second => match end {
                Ok(got) if !one.has_found() => Ok(in_swarms(magnet, [None, Some(got)])),
                end => either(magnet, first.await, end),
            },
        }
    }

    /// Announces on each infohash of a torrent, on both at the same time.
    pub(super) async fn announce_on(
        &self,
        magnet: &Magnet,
        what: Announced,
        report: Stored,
    ) -> Result<Stored, Failure> {
        let on = |infohash| Query::Announce { infohash, what };
        let Some(other) = magnet.other_infohash() else {
            return self.store(on(magnet.infohash()), report).await;
        };
        let second = Stored {
            key: hex(&other),
            ..report.clone()
        };
        let names = [report.key.clone(), second.key.clone()];
        let (first, second) = tokio::join!(
            self.store(on(magnet.infohash()), report),
            self.store(on(other), second),
        );
        on_both(names, first, second)
    }
}

/// Returns true if another lookup may find more: nodes were asked but had nothing, or none of the announcers can be reached.
fn is_open(end: &Result<Got, Failure>) -> bool {
    matches!(end, Err(failure) if matches!(failure.kind, Exit::NotFound | Exit::Unreachable))
}

/// Merges the results of both infohashes.
fn either(
    magnet: &Magnet,
    first: Result<Got, Failure>,
    second: Result<Got, Failure>,
) -> Result<Got, Failure> {
    match (first, second) {
        (Err(first), Err(second)) => Err(missed(magnet, first, second)),
        (first, second) => Ok(in_swarms(magnet, [first.ok(), second.ok()])),
    }
}

/// The reason why neither search found anything useful.
fn missed(magnet: &Magnet, first: Failure, second: Failure) -> Failure {
    use Exit::{NotFound, NotJoined, Unreachable};
    let [found, also] = [&first, &second].map(|failure| {
        let found = failure.found.clone();
        found.and_then(|found| serde_json::from_value(found).ok())
    });
    let failure = match (first.kind, second.kind) {
        (NotFound, NotFound) | (Unreachable, Unreachable) => Failure {
            message: format!("{}; as version 2: {}", first.message, second.message),
            ..first
        },
        // The more specific failure counts: there were announcers, or nodes answered.
        (NotFound, Unreachable) | (NotJoined, NotFound | Unreachable) => second,
        _ => first,
    };
    if failure.kind != Unreachable {
        return failure;
    }
    Failure {
        found: serde_json::to_value(in_swarms(magnet, [found, also])).ok(),
        ..failure
    }
}

/// The peers of both swarms, each once, and the members of each swarm.
fn in_swarms(magnet: &Magnet, found: [Option<Got>; 2]) -> Got {
    let infohashes = [Some(magnet.infohash()), magnet.other_infohash()];
    let (mut all, mut swarms) = (Vec::<Peer>::new(), Vec::new());
    let mut effort: Option<Effort> = None;
    for ((version, infohash), got) in (1..).zip(infohashes.into_iter().flatten()).zip(found) {
        let mut who = Vec::new();
        if let Some(Got::Peers {
            peers,
            effort: spent,
            ..
        }) = got
        {
            effort = Some(effort.map_or(spent, |before| before.beside(spent)));
            for peer in peers {
                who.push(peer.name());
                match all.iter_mut().find(|known| known.name() == peer.name()) {
                    Some(known) => known.add(peer),
                    None => all.push(peer),
                }
            }
        }
        swarms.push(Swarm {
            infohash: hex(&infohash),
            version,
            who,
        });
    }
    Got::Peers {
        infohash: hex(&magnet.infohash()),
        peers: all,
        through: None,
        swarms,
        effort: effort.unwrap_or_default(),
    }
}

/// The result counts as stored if both are. The outcome of the other is reported in any case.
fn on_both(
    names: [String; 2],
    first: Result<Stored, Failure>,
    second: Result<Stored, Failure>,
) -> Result<Stored, Failure> {
    let half = |stored: &Stored, name: &str, why: Failure| Failure {
        message: format!(
            "announced on {} at {} of {} nodes, but not on {name}: {}",
            stored.key, stored.stored_at, stored.of, why.message
        ),
        ..why
    };
    let [name, other_name] = names;
    match (first, second) {
        (Ok(first), Ok(second)) => Ok(Stored {
            other: Some(OtherSwarm {
                key: second.key,
                stored_at: second.stored_at,
                of: second.of,
            }),
            effort: first.effort.beside(second.effort),
            ..first
        }),
        (Ok(stored), Err(why)) => Err(half(&stored, &other_name, why)),
        (Err(why), Ok(stored)) => Err(half(&stored, &name, why)),
        (Err(why), Err(_)) => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hybrid() -> Magnet {
        Magnet::Hybrid([1; 20], [2; 32])
    }

    fn address(last: u8, given_by: usize) -> Peer {
        let address = ([192, 0, 2, last], 6881).into();
        Peer::Unverified { address, given_by }
    }

    fn found(peers: Vec<Peer>, rpcs: u32) -> Got {
        Got::Peers {
            infohash: String::new(),
            peers,
            through: None,
            swarms: Vec::new(),
            effort: Effort {
                lookups: 1,
                rpcs,
                ..Effort::default()
            },
        }
    }

    fn unknown(text: &str) -> Failure {
        Failure::new(Exit::NotFound, text)
    }

    #[test]
    fn who_is_in_both_swarms_is_one_peer() {
        let first = found(vec![address(1, 3), address(2, 1)], 10);
        let second = found(vec![address(2, 4), address(3, 5)], 7);
        let got = either(&hybrid(), Ok(first), Ok(second)).expect("found");
        let Got::Peers {
            infohash,
            peers,
            swarms,
            effort,
            ..
        } = got
        else {
            panic!("no peers")
        };
        assert_eq!(infohash, hex(&[1; 20]));
        assert_eq!(peers, [address(1, 3), address(2, 5), address(3, 5)]);
        let who = |swarm: &Swarm| (swarm.version, swarm.infohash.clone(), swarm.who.join(" "));
        let expected = [
            (1, hex(&[1; 20]), "192.0.2.1:6881 192.0.2.2:6881".into()),
            (2, hex(&[2; 20]), "192.0.2.2:6881 192.0.2.3:6881".into()),
        ];
        assert_eq!(swarms.iter().map(who).collect::<Vec<_>>(), expected);
        assert_eq!((effort.rpcs, effort.lookups), (17, 1));
    }

    #[test]
    fn one_swarm_is_enough_and_the_other_is_told_to_be_empty() {
        let got = either(
            &hybrid(),
            Err(unknown("a")),
            Ok(found(vec![address(9, 1)], 1)),
        );
        let Ok(Got::Peers { peers, swarms, .. }) = got else {
            panic!("{got:?}")
        };
        assert_eq!(peers, [address(9, 1)]);
        assert!(swarms[0].who.is_empty() && swarms[1].who.len() == 1);
        let both = either(&hybrid(), Err(unknown("a")), Err(unknown("b"))).expect_err("unknown");
        assert_eq!(both.kind, Exit::NotFound);
        assert_eq!(both.message, "a; as version 2: b");
    }

    #[test]
    fn who_cannot_be_reached_says_more_than_nobody() {
        let unreachable = |last| Failure {
            found: serde_json::to_value(found(vec![address(last, 1)], 1)).ok(),
            ..Failure::new(Exit::Unreachable, "found 1")
        };
        let one = either(&hybrid(), Err(unknown("a")), Err(unreachable(2))).expect_err("nobody");
        assert_eq!(
            (one.kind, one.message.as_str()),
            (Exit::Unreachable, "found 1")
        );
        let swarms =
            |failure: &Failure| failure.found.as_ref().expect("an object")["swarms"].clone();
        assert_eq!(swarms(&one)[0]["who"], serde_json::json!([]));
        assert_eq!(
            swarms(&one)[1]["who"],
            serde_json::json!(["192.0.2.2:6881"])
        );
        let both = either(&hybrid(), Err(unreachable(1)), Err(unreachable(2)));
        let both = both.expect_err("nobody");
        assert_eq!(
            swarms(&both)[0]["who"],
            serde_json::json!(["192.0.2.1:6881"])
        );
    }

    #[test]
    fn half_an_announcement_is_a_failure_that_says_which_half() {
        let stored = |key: &str| Stored {
            stored_at: 8,
            of: 8,
            ..crate::work::storing::named(key.into())
        };
        let names = || ["a".to_owned(), "b".to_owned()];
        let none = || Failure::new(Exit::NotStored, "none took it");
        let both = on_both(names(), Ok(stored("a")), Ok(stored("b"))).expect("stored");
        let other = both.other.expect("the other");
        assert_eq!((both.key.as_str(), other.key.as_str()), ("a", "b"));
        for (first, second, says) in [
            (
                Ok(stored("a")),
                Err(none()),
                "announced on a at 8 of 8 nodes, but not on b",
            ),
            (
                Err(none()),
                Ok(stored("b")),
                "announced on b at 8 of 8 nodes, but not on a",
            ),
        ] {
            let failure = on_both(names(), first, second).expect_err("half");
            assert_eq!(failure.kind, Exit::NotStored);
            assert!(failure.message.starts_with(says), "{failure:?}");
        }
    }
}
