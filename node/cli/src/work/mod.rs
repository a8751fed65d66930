//! The work of the lookup commands with a node: a daemon, or a short-lived one in the process.

mod all;
pub(crate) mod failed;
mod hybrid;
mod seen;
pub(crate) mod storing;
pub mod target;

use std::sync::atomic::{AtomicBool, Ordering};

use deut::{Node, Progress, Query, QueryOutcome, QueryResult, Stopped, status::ReadinessStatus};
use deut_kademlia::{Magnet, bencode};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Duration, Instant, sleep_until, timeout, timeout_at},
};

use crate::{
    exit::{Exit, Failure},
    report::{Effort, Got, Named, Peer, hex, unhex},
    step::Step,
};
use all::All;
use failed::{Misses, not_ready};
use seen::Seen;
use target::Target;

/// The pause before the next lookup grows by this.
const PAUSE: Duration = Duration::from_millis(500);

/// The pause between lookups for all who announced.
const BREATH: Duration = Duration::from_millis(100);

/// How often the troubles of bootstrap peers are looked at.
const WATCH: Duration = Duration::from_millis(250);

/// A node, a deadline and somebody who watches.
pub(crate) struct Work {
    pub(super) node: Node,
    deadline: Instant,
    pub(super) within: Duration,
    steps: mpsc::Sender<Step>,
    /// True if the node goes on publishing when this is over.
    pub(super) keeps: bool,
    /// Lookups of `get` that somebody answered, at most.
    pub(super) lookups: Option<u32>,
    /// True if `get` goes on asking for others who announced.
    all: bool,
    /// True once somebody was told who can be reached.
    found: AtomicBool,
}

impl Work {
    /// Works with this node for this long at most.
    pub(crate) fn new(node: Node, within: Duration, steps: mpsc::Sender<Step>) -> Self {
        Self {
            node,
            deadline: Instant::now() + within,
            within,
            steps,
            keeps: false,
            lookups: None,
            all: false,
            found: AtomicBool::new(false),
        }
    }

    /// The same, for a daemon: what it was to store it keeps, and publishes later.
    pub(crate) fn of_daemon(self) -> Self {
        Self {
            keeps: true,
            ..self
        }
    }

    /// The same with an end after so many lookups that somebody answered.
    pub(crate) fn at_most(self, lookups: Option<u32>) -> Self {
        Self { lookups, ..self }
    }

    /// The same, asking on for all who announced.
    pub(crate) fn for_all(&self, all: bool) -> Self {
        Self {
            all,
            ..self.limited(self.lookups)
        }
    }

    /// The same for a part of it, with an end after so many lookups that somebody answered.
    pub(super) fn limited(&self, lookups: Option<u32>) -> Self {
        Self {
            node: self.node.clone(),
            steps: self.steps.clone(),
            lookups,
            found: AtomicBool::new(false),
            ..*self
        }
    }

    /// Tells whether it has told of somebody who can be reached.
    pub(super) fn has_found(&self) -> bool {
        self.found.load(Ordering::Relaxed)
    }

    /// Tells whether there is any left.
    pub(super) fn has_time(&self) -> bool {
        Instant::now() < self.deadline
    }

    /// Looks until it is found, the time is over or there is nothing more to learn.
    ///
    /// # Errors
    /// Not joined in time, nobody answered, or nobody knows it.
    pub(crate) async fn get(&self, target: &Target) -> Result<Got, Failure> {
        self.ready().await?;
        if let Target::Magnet(magnet) = target {
            return self.peers_of(magnet).await;
        }
        let got = self.look_for(target).await?;
        match (target, got) {
            (
                Target::Named(_),
                Got::Mutable {
                    record, value_hex, ..
                },
            ) => self.named(record, &value_hex).await,
            (_, got) => Ok(got),
        }
    }

    /// The peers of the torrent that a mutable record names.
    async fn named(&self, record: Named, value_hex: &str) -> Result<Got, Failure> {
        let value = unhex(value_hex).unwrap_or_default();
        let infohash = bencode::infohash(&value).ok_or_else(|| {
            let text = format!("sequence number {} of the record names no torrent", record.seq);
            Failure::new(Exit::NotFound, text).hint(
                "its value is no dictionary with 20 bytes under `ih`; `deut get --mutable` shows it",
            )
        })?;
        let torrent = Target::Magnet(Magnet::First(infohash));
        let mut got = self.look_for(&torrent).await?;
        if let Got::Peers { through, .. } = &mut got {
            *through = Some(record);
        }
        Ok(got)
    }

    pub(super) async fn look_for(&self, target: &Target) -> Result<Got, Failure> {
        match self.find(target).await? {
            got @ Got::Peers { .. } if self.all => self.go_on(target, got).await,
            got => Ok(got),
        }
    }

    /// Puts further lookups together with the first one that found somebody, each with tunnels of its own.
    async fn go_on(&self, target: &Target, first: Got) -> Result<Got, Failure> {
        let mut all = All::new(first);
        while let Some(number) = all.next() {
            if !self.wait(BREATH).await {
                break;
            }
            let Some((outcome, took)) = self.lookup(number, target.query()).await? else {
                break;
            };
            let effort = Effort::new(number, took, &outcome.stats);
            match outcome.result {
                // The peers found so far are a result.
                QueryResult::Refused(_) | QueryResult::Cancelled => break,
                result => {
                    let got = found(result, target, effort);
                    all.add(got.as_ref().map_or(&[], Got::peers), effort);
                }
            }
        }
        Ok(all.into_got())
    }

    async fn find(&self, target: &Target) -> Result<Got, Failure> {
        let mut misses = Misses::default();
        for number in 1.. {
            let Some((outcome, took)) = self.lookup(number, target.query()).await? else {
                break;
            };
            let effort = Effort::new(number, took, &outcome.stats);
            match outcome.result {
                QueryResult::Refused(why) => return Err(why.into()),
                QueryResult::Cancelled => return Err(cancelled()),
                QueryResult::OnlyOlder { seq } => misses.only_older(seq),
                result => match found(result, target, effort) {
                    Some(got) if got.leads_somewhere() => return Ok(got),
                    Some(got) => misses.unreachable(got),
                    None => {}
                },
            }
            misses.count(effort);
            let enough = self.lookups.is_some_and(|most| misses.answered() >= most);
            if enough || misses.are_certain() || !self.pause(number).await {
                break;
            }
        }
        Err(target.advise(misses.failure(self.within)))
    }

    /// One lookup with its steps told. Once the time is over what it has found until then; if that is nothing, none. If it is
    /// dropped the query ends, but what a daemon was to publish when the time is over goes on.
    pub(super) async fn lookup(
        &self,
        number: u32,
        query: Query,
    ) -> Result<Option<(QueryOutcome, Duration)>, Failure> {
        self.tell(Step::Lookup { number }).await;
        let (sender, mut progress) = mpsc::channel(256);
        let (start, mut seen) = (Instant::now(), Seen::default());
        let mut running = Running::start(&self.node, query, Some(sender));
        let outcome = {
            let mut ended = std::pin::pin!(timeout_at(self.deadline, running.end()));
            loop {
                tokio::select! {
                    biased;
                    Some(step) = progress.recv() => {
                        seen.count(&step);
                        self.found.fetch_or(seen.leads_somewhere(), Ordering::Relaxed);
                        self.tell(Step::from(step)).await;
                    }
                    outcome = &mut ended => break outcome,
                }
            }
        };
        match outcome {
            Ok(outcome) => Ok(Some((outcome?, start.elapsed()))),
            Err(_elapsed) => {
                if self.keeps {
                    running.leave();
                }
                Ok(seen.outcome().map(|outcome| (outcome, start.elapsed())))
            }
        }
    }

    /// Waits a growing time; false once there is no time for another lookup.
    pub(super) async fn pause(&self, number: u32) -> bool {
        self.wait(PAUSE * number.min(8)).await
    }

    /// Waits so long; false once the time is over.
    pub(super) async fn wait(&self, pause: Duration) -> bool {
        let next = Instant::now() + pause;
        sleep_until(next.min(self.deadline)).await;
        next < self.deadline
    }

    pub(super) async fn tell(&self, step: Step) {
        // Nobody may be watching any more; the work goes on.
        let _ = self.steps.send(step).await;
    }

    /// Waits for enough tunnels and tells what is missing meanwhile.
    pub(super) async fn ready(&self) -> Result<(), Failure> {
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
                // A name may have many addresses: one step for all of them.
                let words = (trouble.written, trouble.trouble);
                if !told.contains(&words) {
                    told.push(words.clone());
                    let (peer, trouble) = words;
                    self.tell(Step::Trouble { peer, trouble }).await;
                }
            }
            // Troubles of peers change without a change of readiness.
            if let Ok(Err(_stopped)) = timeout(WATCH, watch.changed()).await {
                return;
            }
        }
    }
}

/// A query on a task of its own; it is cancelled when this is dropped, unless it was left to itself.
pub(super) struct Running(Option<JoinHandle<Result<QueryOutcome, Stopped>>>);

impl Running {
    pub(super) fn start(
        node: &Node,
        query: Query,
        progress: Option<mpsc::Sender<Progress>>,
    ) -> Self {
        let node = node.clone();
        Self(Some(tokio::spawn(async move {
            node.query(query, progress).await
        })))
    }

    /// Waits for its outcome.
    pub(super) async fn end(&mut self) -> Result<QueryOutcome, Failure> {
        let Some(task) = &mut self.0 else {
            return Err(cancelled());
        };
        match task.await {
            Ok(outcome) => Ok(outcome?),
            Err(_aborted) => Err(cancelled()),
        }
    }

    /// It goes on by itself; the DHT ends it within 20 s.
    pub(super) fn leave(&mut self) {
        self.0 = None;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// The result of a lookup, if it is of the kind that was looked for.
fn found(result: QueryResult, target: &Target, effort: Effort) -> Option<Got> {
    Some(match (result, target) {
        (QueryResult::Peers(peers), Target::Magnet(magnet)) if !peers.is_empty() => Got::Peers {
            infohash: hex(&magnet.infohash()),
            peers: peers.iter().map(Peer::from).collect(),
            through: None,
            swarms: Vec::new(),
            effort,
        },
        (QueryResult::Value(value), Target::Key(key)) => Got::Value {
            key: key.to_string(),
            value_hex: hex(&value),
            value_text: String::from_utf8(value).ok(),
            effort,
        },
        (
            QueryResult::Mutable {
                record,
                given_by,
                older_by,
            },
            Target::Mutable(..) | Target::Named(_),
        ) => {
            let text = bencode::string(record.value()).map(<[u8]>::to_vec);
            Got::Mutable {
                record: Named::from(&record),
                value_hex: hex(record.value()),
                value_text: text.and_then(|text| String::from_utf8(text).ok()),
                given_by,
                older_by,
                effort,
            }
        }
        _ => return None,
    })
}

pub(super) fn cancelled() -> Failure {
    Failure::new(
        Exit::Internal,
        "the lookup was cancelled: the node is stopping",
    )
}
