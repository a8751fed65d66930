//! Storing with a node, for `put` and `announce`. A daemon keeps the records that it was to store.

use std::net::SocketAddr;

use deut::{Announced, MutableRecord, NodeId, Query, QueryResult, status::ReachStatus};
use deut_kademlia::Magnet;
use tokio::time::{Duration, timeout};

use super::{Running, Work, cancelled};
use crate::{
    exit::{Exit, Failure},
    report::{Effort, Named, Stored, hex},
    step::Step,
    words,
};

/// With fewer copies than this it looks around again, since a node that has just joined may know very few others.
const ENOUGH_COPIES: usize = 4;
/// Largest number of tries if it knows no more relays than it asked nodes: there may be no other nodes.
const TRIES_IN_SMALL: u32 = 3;
/// Largest number of tries if it knows more relays, since there are probably nodes behind them.
const TRIES: u32 = 6;
/// If this many answered, they refuse, and every further try is another chance for them to trace it.
const REFUSED_BY: usize = 8;

/// A record that the DHT does not accept is refused within this time.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Time between two checks if others can find the persona.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The state of the search for the persona.
enum Found {
    Yes(ReachStatus),
    NotInTime(ReachStatus),
    /// The persona was replaced by another one, or is off.
    Replaced,
}

impl Work {
    /// Stores a value. The node keeps it published.
    ///
    /// # Errors
    /// If the node has not joined in time, or no node stored it.
    pub(crate) async fn put(&self, value: Vec<u8>) -> Result<Stored, Failure> {
        let key = NodeId::hash_of(&value).to_string();
        self.store(Query::PutValue { value }, named(key)).await
    }

    /// Stores a version of a mutable record. The node keeps it published until a newer one is seen.
    ///
    /// # Errors
    /// If another version takes precedence, the node has not joined in time, or no node stored it.
    pub(crate) async fn put_mutable(
        &self,
        record: MutableRecord,
        cas: Option<i64>,
    ) -> Result<Stored, Failure> {
        let stored = Stored {
            mutable: Some(Named::from(&record)),
            ..named(record.key().dht_key().to_string())
        };
        self.store(Query::PutMutable { record, cas }, stored).await
    }

    /// Announces a plain address, or the persona's key. The node keeps it announced.
    ///
    /// # Errors
    /// If there is no persona, the node has not joined in time, no node stored it, or the persona cannot be found yet.
    pub(crate) async fn announce(
        &self,
        magnet: &Magnet,
        address: Option<SocketAddr>,
    ) -> Result<Stored, Failure> {
        let Some(address) = address else {
            return self.announce_persona(magnet).await;
        };
        let what = Announced::Address(address);
        self.announce_as(magnet, what, address.to_string()).await
    }

    /// Announces the persona, and waits until others can find it: before that, its key leads nowhere.
    async fn announce_persona(&self, magnet: &Magnet) -> Result<Stored, Failure> {
        loop {
            let key = self.node.persona_key().await?.ok_or_else(no_persona)?;
            let shown = format!("persona {}", hex(&key));
            let stored = self
                .announce_as(magnet, Announced::Persona(key), shown)
                .await?;
            match self.persona_found(&key).await? {
                Found::Yes(contact) => {
                    return Ok(Stored {
                        contact: Some(contact),
                        ..stored
                    });
                }
                Found::NotInTime(reach) => return Err(not_found_yet(&stored, &reach, self.within)),
                // The record changes with the persona, and so does the report to the user.
                Found::Replaced => {}
            }
        }
    }

    async fn announce_as(
        &self,
        magnet: &Magnet,
        what: Announced,
        shown: String,
    ) -> Result<Stored, Failure> {
        let stored = Stored {
            announced: Some(shown),
            ..named(hex(&magnet.infohash()))
        };
        self.announce_on(magnet, what, stored).await
    }

    /// Waits until the persona has addresses that nodes around it hold, and reports meanwhile what is missing.
    async fn persona_found(&self, key: &[u8; 32]) -> Result<Found, Failure> {
        let mut last = None;
        loop {
            let reach = self.node.persona_reach().await?;
            let Some(reach) = reach.filter(|reach| reach.key == *key) else {
                return Ok(Found::Replaced);
            };
            let (now, stands) = (ReachStatus::from(&reach), reach.stands());
            if last.as_ref() != Some(&now) {
                self.tell(Step::Persona(now.clone())).await;
                last = Some(now.clone());
            }
            if stands {
                return Ok(Found::Yes(now));
            }
            if !self.wait(LOOK_AGAIN).await {
                return Ok(Found::NotInTime(now));
            }
        }
    }

    /// Stores until enough nodes have the record, and completes the report.
    pub(super) async fn store(&self, query: Query, report: Stored) -> Result<Stored, Failure> {
        if let Err(why) = self.ready().await {
            return Err(self.not_ready_to_store(query, &report.key, why).await);
        }
        let mut best: Option<Stored> = None;
        let (mut asked, mut tries) = (0, 0);
        for number in 1.. {
            tries = number;
            let Some((outcome, took)) = self.lookup(number, query.clone()).await? else {
                break;
            };
            let effort = Effort::new(number, took, &outcome.stats);
            match outcome.result {
                QueryResult::Stored { at, of, .. } => {
                    asked = of.max(asked);
                    if at > best.as_ref().map_or(0, |best| best.stored_at) {
                        best = Some(Stored {
                            stored_at: at,
                            of,
                            effort,
                            ..report.clone()
                        });
                    }
                }
                QueryResult::Conflict { kept, at } => return Err(conflict(&kept, at)),
                QueryResult::Refused(why) => return Err(why.into()),
                QueryResult::Cancelled => return Err(cancelled()),
                _ => {}
            }
            let stored_at = best.as_ref().map_or(0, |best| best.stored_at);
            let relays = self.node.watch_readiness().borrow().relays;
            if is_enough(stored_at, asked, relays, number) || !self.pause(number).await {
                break;
            }
        }
        best.ok_or_else(|| {
            let why = format!("none took it ({asked} were asked, {tries} tries)");
            self.not_stored(&report.key, &why)
        })
    }

    /// There are no tunnels yet, perhaps because this is the first node of its network: a daemon keeps the record.
    async fn not_ready_to_store(&self, query: Query, key: &str, why: Failure) -> Failure {
        if !self.keeps || why.kind != Exit::NotJoined {
            return why;
        }
        let mut running = Running::start(&self.node, query, None);
        let refused = timeout(AT_ONCE, running.end()).await;
        running.leave();
        match refused {
            Ok(Err(failure)) => failure,
            Ok(Ok(outcome)) => match outcome.result {
                QueryResult::Refused(refusal) => refusal.into(),
                QueryResult::Conflict { kept, at } => conflict(&kept, at),
                _ => self.not_stored(key, &why.message),
            },
            Err(_elapsed) => self.not_stored(key, &why.message),
        }
    }

    fn not_stored(&self, key: &str, why: &str) -> Failure {
        if !self.keeps {
            return Failure::new(Exit::NotStored, format!("no node took the record: {why}")).hint(
                "a longer --timeout goes on trying; a daemon would keep it and publish it later",
            );
        }
        let text = format!("{key} is stored at 0 nodes yet: {why}");
        Failure::new(Exit::NotStored, text).hint(
            "the daemon keeps it and publishes it as soon as others come; `deut status` shows whether it is ready",
        )
    }
}

/// Returns true if it should end here, after this many tries. A node that goes on running tries again by itself.
const fn is_enough(stored_at: usize, asked: usize, relays: usize, tries: u32) -> bool {
    let most = if relays > asked {
        TRIES
    } else {
        TRIES_IN_SMALL
    };
    let answered = stored_at > 0 || asked >= REFUSED_BY;
    stored_at >= ENOUGH_COPIES || (answered && tries >= most)
}

/// A report on a record with this name that no node has stored yet.
pub(super) fn named(key: String) -> Stored {
    Stored {
        key,
        announced: None,
        mutable: None,
        other: None,
        stored_at: 0,
        of: 0,
        kept: true,
        contact: None,
        effort: Effort::default(),
    }
}

fn conflict(kept: &MutableRecord, at: usize) -> Failure {
    let taken = match at {
        0 => String::new(),
        at => format!(" ({at} others took the new one)"),
    };
    let text = format!(
        "the network keeps sequence number {} of this record{taken}; the new version is not published",
        kept.seq()
    );
    Failure::conflict(kept.seq(), text)
}

/// The record is stored, but its readers cannot find the persona yet.
fn not_found_yet(stored: &Stored, reach: &ReachStatus, within: Duration) -> Failure {
    let announced = stored.announced.as_deref().unwrap_or_default();
    let (at, of, key) = (stored.stored_at, stored.of, &stored.key);
    let (seconds, missing) = (within.as_secs(), words::reach(reach));
    let text = format!(
        "{announced} is announced on {key} at {at} of {of} nodes, but nobody finds its addresses within {seconds} s: {missing}"
    );
    Failure::new(Exit::NotStored, text).hint(
        "the daemon keeps it announced, and it is found as soon as others know its addresses; `deut status` shows that, a longer --timeout waits for it",
    )
}

fn no_persona() -> Failure {
    Failure::new(Exit::NoPersona, "the daemon has no persona whose key could be announced")
        .hint("outside the test profile it appears 5 to 60 minutes after the start of a reachable relay; --address ip:port needs none, but becomes public")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first try that is enough, if each stores at `stored_at` of `asked` nodes while this many relays are known.
    fn tries(stored_at: usize, asked: usize, relays: usize) -> Option<u32> {
        (1..100).find(|tries| is_enough(stored_at, asked, relays, *tries))
    }

    #[test]
    fn few_copies_are_enough_only_where_there_may_be_no_more_nodes() {
        assert_eq!(tries(4, 8, 100), Some(1));
        assert_eq!((tries(2, 2, 1), tries(3, 3, 3)), (Some(3), Some(3)));
        assert_eq!((tries(1, 1, 7), tries(3, 3, 7)), (Some(6), Some(6)));
        assert_eq!(tries(1, 8, 8), Some(3), "the others refuse");
        assert_eq!(tries(0, 7, 100), None, "until the time is over");
    }

    #[test]
    fn a_persona_that_nobody_finds_is_no_success() {
        let stored = Stored {
            announced: Some("persona cd".into()),
            stored_at: 7,
            of: 8,
            ..named("ab".into())
        };
        let mut reach = ReachStatus::default();
        let within = Duration::from_secs(30);
        let failure = not_found_yet(&stored, &reach, within);
        assert_eq!(failure.kind, Exit::NotStored);
        assert_eq!(
            failure.message,
            "persona cd is announced on ab at 7 of 8 nodes, but nobody finds its addresses within 30 s: its tunnels do not stand yet, so it has no addresses"
        );
        reach.addresses = vec!["203.0.113.7:5001".parse().expect("an address")];
        reach.of = 8;
        reach.held_by = 1;
        let failure = not_found_yet(&stored, &reach, within);
        let known = "it has 1 address, known to 1 of the 8 nodes closest to it";
        assert!(failure.message.ends_with(known), "{failure:?}");
    }

    #[test]
    fn who_refuses_to_store_is_not_asked_until_the_time_is_over() {
        assert_eq!((tries(0, 8, 8), tries(0, 32, 100)), (Some(3), Some(6)));
        assert_eq!(tries(0, 0, 100), None, "control: nobody answered yet");
    }
}
