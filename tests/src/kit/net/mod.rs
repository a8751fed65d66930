//! Many real cores in lock-step on a virtual clock: an event heap, wires that lose and delay, address translators, cuts,
//! crashes, and taps on the wire. One seed, one history: see [`Net::trace`].

mod driving;
mod event;
mod invariants;
mod lives;
mod nat;
mod node;
mod trace;
mod traffic;
mod wire;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
};

use event::Entry;
pub use {
    nat::Mapping,
    node::{Misconduct, Node, Tally},
    trace::Trace,
    wire::Wire,
};

use deut::core::{CoreCommand, CoreConfig, CoreEvent, CoreInput};
use deut_common::{
    suite::SuiteRef,
    time::{Mono, Now, Unix},
};
use deut_kademlia::{Contact, Query, QueryOutcome, QueryTicket};
use deut_transport::{
    policy::{Policy, Profile},
    rsa::RsaSuite,
};
use rand::{SeedableRng, rngs::StdRng};

use crate::{curves, stand_in::StandIn};

/// Wall time at the start of every virtual network.
pub const START_UNIX: u64 = 1_800_000_000;
/// The relay port of every virtual node; its endpoint ports follow.
pub const RELAY_PORT: u16 = 4_000;
/// Of every virtual relay, right after its relay port.
pub const ENDPOINT_PORTS: u16 = 1_024;

/// Both clocks so many µs after the start of a virtual network.
#[must_use]
pub const fn clock(us: u64) -> Now {
    Now {
        mono: Mono(us),
        unix: Unix(START_UNIX + us / 1_000_000),
    }
}

/// A datagram as somebody on the wire sees it.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// µs since the start.
    pub at: u64,
    /// Sender.
    pub from: SocketAddr,
    /// Receiver.
    pub to: SocketAddr,
    /// The payload.
    pub bytes: Vec<u8>,
}

/// Changes a node's settings before it starts.
pub type Tune = fn(&mut CoreConfig);

/// Sees, changes or swallows (by clearing) what is on the wire.
pub type Tap = Box<dyn FnMut(&mut Sighting)>;

/// Which events a network keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All.
    All,
    /// Outcomes of queries.
    Outcomes,
}

/// What the nodes of a network do their public-key operations with.
#[derive(Clone)]
pub struct Suites {
    /// RSA.
    pub rsa: Arc<dyn RsaSuite>,
    /// Curves.
    pub curves: SuiteRef,
}

impl Suites {
    /// Stand-ins for both, new for each network.
    #[must_use]
    pub fn stand_in() -> Self {
        Self {
            rsa: Arc::new(StandIn),
            curves: curves::remembered(),
        }
    }
}

/// With real curves.
impl<R: RsaSuite + 'static> From<Arc<R>> for Suites {
    fn from(rsa: Arc<R>) -> Self {
        let rsa: Arc<dyn RsaSuite> = rsa;
        rsa.into()
    }
}

/// With real curves.
impl From<Arc<dyn RsaSuite>> for Suites {
    fn from(rsa: Arc<dyn RsaSuite>) -> Self {
        let curves = SuiteRef::default();
        Self { rsa, curves }
    }
}

/// The network.
pub struct Net {
    /// All nodes, dead ones too.
    pub nodes: Vec<Node>,
    by_ip: BTreeMap<IpAddr, usize>,
    heap: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
    now: u64,
    rng: StdRng,
    /// How the wire behaves.
    pub wire: Wire,
    /// Somebody on every wire.
    pub tap: Option<Tap>,
    suites: Suites,
    queries: u64,
    /// Datagrams sent in all.
    pub datagrams: u64,
    /// Their payloads in bytes.
    pub bytes: u64,
    /// Steps made.
    pub steps: u64,
    /// Which events are kept.
    pub keep: Keep,
    /// Nodes on different sides do not hear each other.
    pub cut: bool,
    /// Peers that newcomers join through.
    pub bootstrap: usize,
    /// Wall clocks of newcomers are ahead of the network's by so many seconds: each by one of these.
    pub skew: RangeInclusive<i64>,
    /// How long address translators of newcomers remember whom their node wrote to, µs.
    pub translator_life_us: u64,
    trace: Trace,
    /// The last contacts of nodes that are gone, the newest at the end; no more than 4,000.
    pub gone: VecDeque<Contact>,
    /// Gave an outcome since the last [`Net::take_done`].
    done: Vec<(usize, QueryTicket)>,
}

impl Net {
    /// An empty network; everything in it follows from `seed`.
    #[must_use]
    pub fn new(seed: u64, suites: impl Into<Suites>) -> Self {
        Self {
            nodes: Vec::new(),
            by_ip: BTreeMap::new(),
            heap: BinaryHeap::new(),
            sequence: 0,
            now: 0,
            rng: StdRng::seed_from_u64(seed),
            wire: Wire::default(),
            tap: None,
            suites: suites.into(),
            queries: 0,
            datagrams: 0,
            bytes: 0,
            steps: 0,
            keep: Keep::All,
            cut: false,
            bootstrap: 2,
            skew: 0..=0,
            translator_life_us: nat::LIFE_US,
            trace: Trace::default(),
            gone: VecDeque::new(),
            done: Vec::new(),
        }
    }

    /// A network of `count` full nodes that join through the first two.
    #[must_use]
    pub fn of_relays(seed: u64, suites: impl Into<Suites>, count: usize, tune: Tune) -> Self {
        let mut net = Self::new(seed, suites);
        for _ in 0..count {
            net.add_relay(tune);
        }
        net
    }

    /// The policy of every virtual network.
    #[must_use]
    pub fn policy() -> Policy {
        Policy::new("bottle", Profile::Test).expect("a short name")
    }

    /// µs since the start.
    #[must_use]
    pub const fn now_us(&self) -> u64 {
        self.now
    }

    /// Both clocks.
    #[must_use]
    pub const fn now(&self) -> Now {
        clock(self.now)
    }

    /// Both clocks as this node reads them.
    #[must_use]
    pub fn now_at(&self, node: usize) -> Now {
        let mut now = self.now();
        now.unix = Unix(now.unix.0.saturating_add_signed(self.nodes[node].skew_s));
        now
    }

    /// The hash of all that happened up to now.
    #[must_use]
    pub const fn trace(&self) -> u64 {
        self.trace.value()
    }

    /// Gives a node a command.
    pub fn command(&mut self, node: usize, command: CoreCommand) {
        self.input(node, CoreInput::Command(command));
    }

    /// Starts a query; its outcome appears among the node's events.
    pub fn query(&mut self, node: usize, query: Query) -> QueryTicket {
        self.queries += 1;
        let ticket = QueryTicket(self.queries);
        self.command(node, CoreCommand::Query(ticket, query));
        ticket
    }

    /// Starts a query and runs until it is over (at most a virtual minute).
    pub fn ask(&mut self, node: usize, query: Query) -> QueryOutcome {
        let ticket = self.query(node, query);
        let until = self.now + 60_000_000;
        loop {
            if let Some(outcome) = self.outcome(node, ticket) {
                return outcome;
            }
            assert!(self.now < until && self.step(), "the query is not answered");
        }
    }

    /// The outcome of a query, once it is there.
    #[must_use]
    pub fn outcome(&self, node: usize, ticket: QueryTicket) -> Option<QueryOutcome> {
        self.nodes[node]
            .events
            .iter()
            .rev()
            .find_map(|(_, event)| match event {
                CoreEvent::Done(done, outcome) if *done == ticket => Some((**outcome).clone()),
                _ => None,
            })
    }

    /// The outcomes since the last call, taken out of the nodes' events.
    pub fn take_done(&mut self) -> Vec<(usize, QueryTicket, QueryOutcome)> {
        let mut outcomes = Vec::new();
        for (node, ticket) in std::mem::take(&mut self.done) {
            let events = &mut self.nodes[node].events;
            let at = events.iter().position(
                |(_, event)| matches!(event, CoreEvent::Done(done, _) if *done == ticket),
            );
            if let Some((_, CoreEvent::Done(_, outcome))) = at.map(|at| events.remove(at)) {
                outcomes.push((node, ticket, *outcome));
            }
        }
        outcomes
    }

    /// Gives a node an input and does what it says.
    pub fn input(&mut self, node: usize, input: CoreInput) {
        let now = self.now_at(node);
        self.nodes[node].core.handle_input(now, input);
        self.drain(node);
    }

    /// Runs until `done` or for `us` of virtual time; whether `done` came true.
    pub fn run_until(&mut self, us: u64, mut done: impl FnMut(&Self) -> bool) -> bool {
        let until = self.now + us;
        loop {
            if done(self) {
                return true;
            }
            match self.heap.peek() {
                Some(Reverse(entry)) if entry.at <= until => {
                    self.step();
                }
                _ => {
                    self.now = until;
                    return done(self);
                }
            }
        }
    }

    /// Runs for `us` of virtual time.
    pub fn run(&mut self, us: u64) {
        self.run_until(us, |_| false);
    }

    /// Runs until all nodes are ready; panics after two virtual minutes.
    pub fn run_ready(&mut self) {
        let ready = self.run_until(120_000_000, |net| {
            net.nodes
                .iter()
                .all(|node| !node.alive || node.core.readiness().ready)
        });
        let states: Vec<_> = self
            .nodes
            .iter()
            .map(|node| node.core.readiness())
            .filter(|r| !r.ready)
            .collect();
        assert!(ready, "not ready: {states:?}");
    }
}
