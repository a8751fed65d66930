//! What the lookup commands do with a node; the same for a daemon and for a short-lived node in the process.

use std::net::SocketAddr;

use deut::{Announced, Node, NodeId, Query, QueryOutcome, QueryResult, handle::ReadinessStatus};
use deut_kademlia::Magnet;
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, sleep_until, timeout, timeout_at},
};

use super::{
    failed::{Misses, not_ready},
    protocol::Step,
    report::{Effort, Got, Peer, Stored, hex},
    target::Target,
};
use crate::exit::{Exit, Failure};

/// The pause before the next lookup grows by this.
const PAUSE: Duration = Duration::from_millis(500);

/// A node that has just joined may know very few others: below so many copies it looks around again, so many times in all.
const ENOUGH_COPIES: usize = 4;
const TRIES_FOR_MORE: u32 = 3;

/// How often the troubles of bootstrap peers are looked at.
const WATCH: Duration = Duration::from_millis(250);

/// A node, a deadline and somebody who watches.
pub(crate) struct Work {
    node: Node,
    deadline: Instant,
    within: Duration,
    steps: mpsc::Sender<Step>,
}

impl Work {
    /// Works with this node for this long at most.
    pub(crate) fn new(node: Node, within: Duration, steps: mpsc::Sender<Step>) -> Self {
        Self {
            node,
            deadline: Instant::now() + within,
            within,
            steps,
        }
    }

    /// Looks until it is found, the time is over or there is nothing more to learn.
    ///
    /// # Errors
    /// Not joined in time, nobody answered, or nobody knows it.
    pub(crate) async fn get(&self, target: &Target) -> Result<Got, Failure> {
        self.ready().await?;
        let mut misses = Misses::default();
        for number in 1.. {
            let Some((outcome, took)) = self.lookup(number, target.query()).await? else {
                break;
            };
            let effort = Effort::new(number, took, &outcome.stats);
            match (outcome.result, target) {
                (QueryResult::Peers(peers), Target::Magnet(magnet)) if !peers.is_empty() => {
                    let peers = peers.iter().map(Peer::from).collect();
                    return Ok(Got::Peers {
                        infohash: hex(&magnet.infohash),
                        peers,
                        effort,
                    });
                }
                (QueryResult::Value(value), Target::Key(key)) => {
                    let (value_hex, value_text) = (hex(&value), String::from_utf8(value).ok());
                    return Ok(Got::Value {
                        key: key.to_string(),
                        value_hex,
                        value_text,
                        effort,
                    });
                }
                (QueryResult::Refused(why), _) => return Err(why.into()),
                (QueryResult::Cancelled, _) => return Err(cancelled()),
                _ => misses.count(effort),
            }
            if misses.are_certain() || !self.pause(number).await {
                break;
            }
        }
        Err(misses.failure(self.within))
    }

    /// Stores a value. The node keeps it published.
    ///
    /// # Errors
    /// Not joined in time, or nobody took it.
    pub(crate) async fn put(&self, value: Vec<u8>) -> Result<Stored, Failure> {
        self.store(Query::PutValue { value }, |key| (key.to_string(), None))
            .await
    }

    /// Announces a plain address, or the persona's key. The node keeps it announced.
    ///
    /// # Errors
    /// There is no persona, not joined in time, or nobody took it.
    pub(crate) async fn announce(
        &self,
        magnet: &Magnet,
        address: Option<SocketAddr>,
    ) -> Result<Stored, Failure> {
        let (what, shown) = match address {
            Some(address) => (Announced::Address(address), address.to_string()),
            None => {
                let key = self.node.persona_key().await?.ok_or_else(no_persona)?;
                (Announced::Persona(key), format!("persona {}", hex(&key)))
            }
        };
        let infohash = magnet.infohash;
        self.store(Query::Announce { infohash, what }, |_| {
            (hex(&infohash), Some(shown.clone()))
        })
        .await
    }

    async fn store(
        &self,
        query: Query,
        name: impl Fn(&NodeId) -> (String, Option<String>),
    ) -> Result<Stored, Failure> {
        self.ready().await?;
        let mut best = None;
        let mut asked = 0;
        for number in 1.. {
            let Some((outcome, took)) = self.lookup(number, query.clone()).await? else {
                break;
            };
            let effort = Effort::new(number, took, &outcome.stats);
            match outcome.result {
                QueryResult::Stored { key, at, of } => {
                    asked = of.max(asked);
                    let (key, announced) = name(&key);
                    let stored = Stored {
                        key,
                        announced,
                        stored_at: at,
                        of,
                        kept: true,
                        effort,
                    };
                    let before = best.as_ref().map_or(0, |best: &Stored| best.stored_at);
                    if at > before {
                        best = Some(stored);
                    }
                }
                QueryResult::Refused(why) => return Err(why.into()),
                QueryResult::Cancelled => return Err(cancelled()),
                _ => {}
            }
            let stored_at = best.as_ref().map_or(0, |best| best.stored_at);
            let enough = stored_at >= ENOUGH_COPIES || (stored_at > 0 && number >= TRIES_FOR_MORE);
            if enough || !self.pause(number).await {
                break;
            }
        }
        best.ok_or_else(|| not_stored(asked, self.within))
    }

    /// One lookup with its steps told; none once the time is over.
    async fn lookup(
        &self,
        number: u32,
        query: Query,
    ) -> Result<Option<(QueryOutcome, Duration)>, Failure> {
        self.tell(Step::Lookup { number }).await;
        let (sender, mut progress) = mpsc::channel(256);
        let steps = async {
            while let Some(step) = progress.recv().await {
                self.tell(Step::from(step)).await;
            }
        };
        let start = Instant::now();
        let query = timeout_at(self.deadline, self.node.query(query, Some(sender)));
        // The sender ends with the query, and so do the steps.
        let (outcome, ()) = tokio::join!(query, steps);
        match outcome {
            Ok(outcome) => Ok(Some((outcome?, start.elapsed()))),
            Err(_elapsed) => Ok(None),
        }
    }

    /// Waits a growing time; false once there is no time for another lookup.
    async fn pause(&self, number: u32) -> bool {
        let next = Instant::now() + PAUSE * number.min(8);
        sleep_until(next.min(self.deadline)).await;
        next < self.deadline
    }

    async fn tell(&self, step: Step) {
        // Nobody may be watching any more; the work goes on.
        let _ = self.steps.send(step).await;
    }

    /// Waits for enough tunnels and tells what is missing meanwhile.
    async fn ready(&self) -> Result<(), Failure> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let waiting = async {
            let end = self.node.ready(left).await;
            end.map(|_| ())
                .map_err(|why| not_ready(&why, &self.node.bootstrap_troubles(), self.within))
        };
        let (end, _) = tokio::join!(waiting, timeout_at(self.deadline, self.watch()));
        end
    }

    /// Tells every change until the node is ready or has stopped.
    async fn watch(&self) {
        let mut watch = self.node.watch_readiness();
        let mut told = Vec::new();
        let mut last = None;
        loop {
            let now = ReadinessStatus::from(&*watch.borrow_and_update());
            if now.ready {
                return self.tell(Step::Ready(now)).await;
            }
            if last.as_ref() != Some(&now) {
                self.tell(Step::NotReady(now.clone())).await;
                last = Some(now);
            }
            for trouble in self.node.bootstrap_troubles() {
                if !told.contains(&trouble) {
                    self.tell(Step::Trouble {
                        peer: trouble.written.clone(),
                        trouble: trouble.trouble.clone(),
                    })
                    .await;
                    told.push(trouble);
                }
            }
            // Troubles of peers change without a change of readiness.
            if let Ok(Err(_stopped)) = timeout(WATCH, watch.changed()).await {
                return;
            }
        }
    }
}

fn cancelled() -> Failure {
    Failure::new(
        Exit::Internal,
        "the lookup was cancelled: the node is stopping",
    )
}

fn not_stored(asked: usize, within: Duration) -> Failure {
    let within = within.as_secs();
    let text = format!("no node took the record within {within} s ({asked} were asked)");
    Failure::new(Exit::NotStored, text)
        .hint("a daemon keeps it and tries again; `deut status` shows whether it is ready")
}

fn no_persona() -> Failure {
    Failure::new(Exit::NoPersona, "the daemon has no persona whose key could be announced")
        .hint("outside the test profile it appears 5 to 60 minutes after the start of a reachable relay; --address ip:port needs none, but becomes public")
}
