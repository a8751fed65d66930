//! The work of the lookup commands on a node: that of a daemon, or a short-lived one in this process.

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

/// Amount by which the pause before the next lookup grows each time.
const PAUSE: Duration = Duration::from_millis(500);

/// The pause between lookups for all announcers.
const BREATH: Duration = Duration::from_millis(100);

/// Time between two checks of the troubles of bootstrap peers.
const WATCH: Duration = Duration::from_millis(250);

/// A node, a deadline and a receiver of steps.
pub(crate) struct Work {
    pub(super) node: Node,
    deadline: Instant,
    pub(super) within: Duration,
    steps: mpsc::Sender<Step>,
    /// True if the node goes on publishing afterwards.
    pub(super) keeps: bool,
    /// Largest number of lookups of `get` that were answered.
    pub(super) lookups: Option<u32>,
    /// True if `get` continues to search for further announcers.
    all: bool,
    /// True once an announcer that can be reached was reported.
    found: AtomicBool,
}

impl Work {
    /// Works with this node for at most this long.
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

    /// The same, for a daemon: it keeps the records that it was to store, and publishes them later.
    pub(crate) fn of_daemon(self) -> Self {
        Self {
            keeps: true,
            ..self
        }
    }

    /// The same, but it ends after this many lookups that were answered.
    pub(crate) fn at_most(self, lookups: Option<u32>) -> Self {
        Self { lookups, ..self }
    }

    /// The same, but it continues until all announcers are found, as far as possible.
    pub(crate) fn for_all(&self, all: bool) -> Self {
        Self {
            all,
            ..self.limited(self.lookups)
        }
    }

    /// The same for a part of the work, which ends after this many lookups that were answered.
    pub(super) fn limited(&self, lookups: Option<u32>) -> Self {
        Self {
            node: self.node.clone(),
            steps: self.steps.clone(),
            lookups,
            found: AtomicBool::new(false),
            ..*self
        }
    }

    /// Returns true if it has reported an announcer that can be reached.
    pub(super) fn has_found(&self) -> bool {
        self.found.load(Ordering::Relaxed)
    }

    /// Returns true if there is time left.
    pub(super) fn has_time(&self) -> bool {
        Instant::now() < self.deadline
    }

    /// Searches until it is found, the time is over, or further lookups would bring nothing.
    ///
    /// # Errors
    /// If the node has not joined in time, no node answered, or none has it.
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

    /// Merges further lookups into the first one that found an announcer, each with its own tunnels.
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

    /// One lookup, whose steps are reported. Once the time is over, it gives what it has found until then, or `None` if that is
    /// nothing. If it is dropped the query ends, but what a daemon was to publish when the time is over goes on.
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

    /// Waits for a growing time; false once there is no time for another lookup.
    pub(super) async fn pause(&self, number: u32) -> bool {
        self.wait(PAUSE * number.min(8)).await
    }

    /// Waits for this long; false once the time is over.
    pub(super) async fn wait(&self, pause: Duration) -> bool {
        let next = Instant::now() + pause;
        sleep_until(next.min(self.deadline)).await;
        next < self.deadline
    }

    pub(super) async fn tell(&self, step: Step) {
        // Nobody may be watching any more, but the work goes on.
        let _ = self.steps.send(step).await;
    }

    /// Waits for enough tunnels, and reports meanwhile why they are missing.
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

    /// Reports every change until the node is ready or has stopped.
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
                // A name may have many addresses: one step is enough for all of them.
                let words = (trouble.written, trouble.trouble);
                if !told.contains(&words) {
                    told.push(words.clone());
                    let (peer, trouble) = words;
                    self.tell(Step::Trouble { peer, trouble }).await;
                }
            }
            // The troubles of peers change without a change of readiness.
            if let Ok(Err(_stopped)) = timeout(WATCH, watch.changed()).await {
                return;
            }
        }
    }
}

/// A query on a task of its own. It is cancelled when this is dropped, unless it was released by `leave`.
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

    /// Waits for the outcome of the query.
    pub(super) async fn end(&mut self) -> Result<QueryOutcome, Failure> {
        let Some(task) = &mut self.0 else {
            return Err(cancelled());
        };
        match task.await {
            Ok(outcome) => Ok(outcome?),
            Err(_aborted) => Err(cancelled()),
        }
    }

    /// Lets the query go on by itself. The DHT ends it within 20 s.
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

/// The result of a lookup, if it is of the kind that was searched for.
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
