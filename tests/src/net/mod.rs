//! Many real cores in lock-step on a virtual clock: an event heap, wires that lose and delay, address translators, cuts,
//! crashes, and taps on the wire. One seed, one history: see [`Net::trace`].

mod event;
mod invariants;
mod nat;
mod node;
mod trace;
mod wire;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
};

use event::{Entry, What};
use nat::Nat;
use node::SOCKET;
pub use {
    nat::Mapping,
    node::{Misconduct, Node, Tally},
    trace::Trace,
    wire::Wire,
};

use deut::core::{Core, CoreCommand, CoreConfig, CoreEvent, CoreInput, CoreOutput};
use deut_kademlia::{Contact, Query, QueryOutcome, QueryTicket};
use deut_transport::{
    Handled, Restored,
    api::{BootstrapPeer, Mono, Now, Persist, Port, Unix},
    config::{Config, Role},
    keys::RelayKeys,
    packet::Packet,
    policy::{Policy, Profile},
    rsa::{Job, JobResult, RsaSuite},
    wire::descriptor::PortRange,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Wall time at the start of every virtual network.
pub const START_UNIX: u64 = 1_800_000_000;
/// The relay port of every virtual node; its endpoint ports follow.
pub const RELAY_PORT: u16 = 4_000;
/// Of every virtual relay, right after its relay port.
pub const ENDPOINT_PORTS: u16 = 1_024;

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
    suite: Arc<dyn RsaSuite>,
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
    pub fn new(seed: u64, suite: Arc<dyn RsaSuite>) -> Self {
        Self {
            nodes: Vec::new(),
            by_ip: BTreeMap::new(),
            heap: BinaryHeap::new(),
            sequence: 0,
            now: 0,
            rng: StdRng::seed_from_u64(seed),
            wire: Wire::default(),
            tap: None,
            suite,
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
    pub fn of_relays(seed: u64, suite: Arc<dyn RsaSuite>, count: usize, tune: Tune) -> Self {
        let mut net = Self::new(seed, suite);
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
        Now {
            mono: Mono(self.now),
            unix: Unix(START_UNIX + self.now / 1_000_000),
        }
    }

    /// Both clocks as this node reads them.
    #[must_use]
    pub fn now_at(&self, node: usize) -> Now {
        let mut now = self.now();
        now.unix = Unix(now.unix.0.saturating_add_signed(self.nodes[node].skew_s));
        now
    }

    fn draw_skew(&mut self) -> i64 {
        // Without skews nothing is drawn: older seeds keep their histories.
        if self.skew == (0..=0) {
            return 0;
        }
        self.rng.random_range(self.skew.clone())
    }

    /// The hash of all that happened up to now.
    #[must_use]
    pub const fn trace(&self) -> u64 {
        self.trace.value()
    }

    /// One more relay.
    pub fn add_relay(&mut self, tune: impl FnOnce(&mut CoreConfig)) -> usize {
        let address = self.next_address();
        let role = Role::Relay {
            address,
            endpoint_ports: Some(PortRange {
                first: RELAY_PORT + 1,
                last: RELAY_PORT + ENDPOINT_PORTS,
            }),
        };
        self.add(role, address, true, tune)
    }

    /// One more client: in no directory, without a persona.
    pub fn add_client(&mut self, tune: impl FnOnce(&mut CoreConfig)) -> usize {
        let address = self.next_address();
        self.add(Role::Client, address, false, tune)
    }

    /// One more client, behind an address translator of its own.
    pub fn add_behind_nat(
        &mut self,
        mapping: Mapping,
        tune: impl FnOnce(&mut CoreConfig),
    ) -> usize {
        let node = self.add_client(tune);
        let IpAddr::V4(inner) = self.nodes[node].address.ip() else {
            unreachable!("virtual networks are IPv4")
        };
        let outer = IpAddr::V4(Ipv4Addr::from(inner.to_bits() + 0x0100_0000));
        self.nodes[node].nat = Some(Nat::new(outer, mapping, self.translator_life_us));
        self.by_ip.remove(&IpAddr::V4(inner));
        self.by_ip.insert(outer, node);
        node
    }

    fn next_address(&self) -> SocketAddr {
        let n = u32::try_from(self.nodes.len()).expect("few nodes") + 1;
        SocketAddr::new(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n)), RELAY_PORT)
    }

    /// One more node at this address, which nobody else has.
    pub fn add(
        &mut self,
        role: Role,
        address: SocketAddr,
        persona: bool,
        tune: impl FnOnce(&mut CoreConfig),
    ) -> usize {
        let mut transport = Config::new(Self::policy(), role);
        transport.lookup_tunnels = 4;
        transport.persona_tunnels = 2;
        let kademlia = deut_kademlia::Config::test();
        let mut config = CoreConfig {
            transport,
            kademlia,
            persona,
        };
        tune(&mut config);
        let restored = Restored {
            key_seed: self.rng.random(),
            relays: Vec::new(),
        };
        let key_seed = restored.key_seed;
        let keys = RelayKeys::from_seed(&key_seed);
        let skew_s = self.draw_skew();
        let mut now = self.now();
        now.unix = Unix(now.unix.0.saturating_add_signed(skew_s));
        let core = Core::new(
            config.clone(),
            Arc::clone(&self.suite),
            restored,
            self.rng.random(),
            now,
        );
        let index = self.nodes.len();
        self.nodes.push(Node {
            core,
            address,
            alive: true,
            events: Vec::new(),
            tally: Tally::default(),
            misconduct: None,
            skew_s,
            paused: false,
            side: 0,
            nat: None,
            ports: BTreeMap::new(),
            numbers: BTreeMap::new(),
            due: None,
            wakes: (0, 0),
            checked: None,
            life: 0,
            waiting: VecDeque::new(),
            free_at: 0,
            config,
            key_seed,
            relay_keys: [keys.identity(), keys.link(), keys.onion()],
            saved: Vec::new(),
        });
        self.by_ip.insert(address.ip(), index);
        self.join(index);
        index
    }

    fn join(&mut self, index: usize) {
        let peers = self
            .nodes
            .iter()
            .take(self.bootstrap.min(index))
            .map(|node| BootstrapPeer {
                address: node.address,
                key: None,
            });
        let peers = peers.collect();
        self.command(index, CoreCommand::Bootstrap(peers));
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
                CoreEvent::Done(done, outcome) if *done == ticket => Some(outcome.clone()),
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
                outcomes.push((node, ticket, outcome));
            }
        }
        outcomes
    }

    /// Keeps the contact of a node that is about to go: what somebody who knew it can still hand out.
    fn remember(&mut self, index: usize) {
        const MOST: usize = 4_000;
        let now = self.now_at(index);
        let node = &self.nodes[index];
        let contact = node.alive.then(|| node.core.persona_contact(now)).flatten();
        // A polite end remembers it before and after.
        let known = self.gone.back().map(Contact::persona_key);
        self.gone
            .extend(contact.filter(|contact| Some(contact.persona_key()) != known));
        if self.gone.len() > MOST {
            self.gone.pop_front();
        }
    }

    /// Stops a node without warning.
    pub fn kill(&mut self, node: usize) {
        self.remember(node);
        self.nodes[node].alive = false;
        self.nodes[node].waiting.clear();
    }

    /// Stops a node politely.
    pub fn leave(&mut self, node: usize) {
        self.remember(node);
        self.command(node, CoreCommand::Shutdown);
        self.kill(node);
    }

    /// Starts a dead node again with what it had on disk: its key and the relays it saved.
    pub fn restart(&mut self, index: usize) {
        let seed = self.rng.random();
        let now = self.now_at(index);
        let node = &mut self.nodes[index];
        let restored = Restored {
            key_seed: node.key_seed,
            relays: node.saved.clone(),
        };
        node.core = Core::new(
            node.config.clone(),
            Arc::clone(&self.suite),
            restored,
            seed,
            now,
        );
        node.life += 1;
        node.alive = true;
        node.paused = false;
        node.due = None;
        node.ports.clear();
        node.numbers.clear();
        self.join(index);
    }

    /// Frees what a dead node that will not come back holds: a fresh core that nobody calls takes its place.
    pub fn bury(&mut self, index: usize) {
        self.remember(index);
        let now = self.now_at(index);
        let node = &mut self.nodes[index];
        node.alive = false;
        node.paused = false;
        let mut config = node.config.clone();
        config.persona = false;
        let restored = Restored {
            key_seed: node.key_seed,
            relays: Vec::new(),
        };
        node.core = Core::new(config, Arc::clone(&self.suite), restored, [0; 32], now);
        node.life += 1;
        node.events = Vec::new();
        node.saved = Vec::new();
        node.ports.clear();
        node.numbers.clear();
        node.waiting.clear();
    }

    /// Its operating system stops a node: datagrams wait in its socket (128 of them), timers and its worker stand still.
    pub fn pause(&mut self, node: usize) {
        self.nodes[node].paused = true;
    }

    /// And it goes on.
    pub fn resume(&mut self, node: usize) {
        self.nodes[node].paused = false;
        for (from, to, packet) in std::mem::take(&mut self.nodes[node].waiting) {
            self.push(self.now, What::Datagram { from, to, packet });
        }
        self.input(node, CoreInput::Timeout);
    }

    /// Sends a datagram from anywhere.
    pub fn inject(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let packet = Packet::copy_of(bytes);
        self.push(self.now, What::Datagram { from, to, packet });
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

    /// The next thing that happens; `false` if nothing ever will.
    pub fn step(&mut self) -> bool {
        let Some(Reverse(Entry { at, what, .. })) = self.heap.pop() else {
            return false;
        };
        self.now = self.now.max(at);
        self.steps += 1;
        let moved = match what {
            What::Datagram { from, to, packet } => self.deliver(from, to, packet),
            What::Timeout(node) => self.wake(node, at),
            What::Job {
                node,
                life,
                ticket,
                work,
            } => {
                if self.nodes[node].paused {
                    let later = self.now + 100_000;
                    self.push(
                        later,
                        What::Job {
                            node,
                            life,
                            ticket,
                            work,
                        },
                    );
                    return true;
                }
                let result: JobResult = work.run(self.suite.as_ref());
                let here = self.nodes[node].alive && self.nodes[node].life == life;
                if here {
                    self.input(node, CoreInput::JobDone { ticket, result });
                }
                here.then_some(node)
            }
        };
        if let Some(node) = moved {
            self.trace.add(self.now);
            self.trace.add(node as u64);
            self.check(node);
        }
        true
    }

    fn wake(&mut self, node: usize, at: u64) -> Option<usize> {
        if !self.nodes[node].alive || self.nodes[node].due != Some(at) {
            return None;
        }
        self.nodes[node].due = None;
        self.check_wakes(node);
        if self.nodes[node].paused {
            return None;
        }
        self.input(node, CoreInput::Timeout);
        Some(node)
    }

    fn deliver(&mut self, from: SocketAddr, to: SocketAddr, packet: Packet) -> Option<usize> {
        let &index = self.by_ip.get(&to.ip())?;
        let now = self.now_at(index);
        let node = &mut self.nodes[index];
        if !node.alive {
            return None;
        }
        if node.paused {
            if node.waiting.len() < SOCKET {
                node.waiting.push_back((from, to, packet));
            }
            return None;
        }
        let number = match &node.nat {
            Some(nat) => nat.inward(to.port(), from, self.now)?,
            None => to.port(),
        };
        let port = if number == RELAY_PORT {
            Port::Relay
        } else {
            Port::Endpoint(*node.ports.get(&number)?)
        };
        self.trace.add_bytes(packet.bytes());
        let handled = node.core.handle_datagram(now, port, from, packet);
        if let Handled::Forward { from, to, packet } = handled {
            self.forward(index, from, to, packet);
        }
        self.drain(index);
        Some(index)
    }

    /// A relayer passes a cell on, or does to it what it does.
    fn forward(&mut self, index: usize, from: Port, to: SocketAddr, packet: Packet) {
        let Some(conduct) = self.nodes[index].misconduct else {
            return self.transmit(index, from, to, packet, 0);
        };
        let tally = &mut self.nodes[index].tally;
        if self.rng.random_range(0..1_000) < conduct.drops {
            tally.swallowed += 1;
            return;
        }
        let later = self.rng.random_range(0..=conduct.delays_us);
        tally.held_back += u64::from(later > 0);
        self.transmit(index, from, to, packet, later);
    }

    fn transmit(
        &mut self,
        index: usize,
        from: Port,
        to: SocketAddr,
        mut packet: Packet,
        later_us: u64,
    ) {
        let now = self.now;
        let node = &mut self.nodes[index];
        let port = match from {
            Port::Relay => RELAY_PORT,
            Port::Endpoint(token) => node.numbers.get(&token).copied().unwrap_or(0),
        };
        let from = match &mut node.nat {
            Some(nat) => nat.outward(port, to, now),
            None => SocketAddr::new(node.address.ip(), port),
        };
        let side = node.side;
        let leaves = self
            .wire
            .leaves(now, &mut node.free_at, packet.bytes().len());
        self.datagrams += 1;
        self.bytes += packet.bytes().len() as u64;
        if let Some(tap) = &mut self.tap {
            let mut sighting = Sighting {
                at: now,
                from,
                to,
                bytes: packet.bytes().to_vec(),
            };
            tap(&mut sighting);
            packet = Packet::copy_of(&sighting.bytes);
        }
        let other = self
            .by_ip
            .get(&to.ip())
            .map(|&other| self.nodes[other].side);
        let cut = self.cut && other != Some(side);
        let Some(leaves) = leaves.filter(|_| !cut && !packet.bytes().is_empty()) else {
            return;
        };
        let pair = (from.ip(), to.ip());
        let mut arrivals = self
            .wire
            .arrivals(&mut self.rng, pair, leaves + later_us)
            .into_iter();
        let first = arrivals.next();
        for at in arrivals {
            let packet = Packet::copy_of(packet.bytes());
            self.push(at, What::Datagram { from, to, packet });
        }
        if let Some(at) = first {
            self.push(at, What::Datagram { from, to, packet });
        }
    }

    fn push(&mut self, at: u64, what: What) {
        self.sequence += 1;
        self.heap.push(Reverse(Entry {
            at,
            sequence: self.sequence,
            what,
        }));
    }

    fn drain(&mut self, index: usize) {
        loop {
            let now = self.now_at(index);
            match self.nodes[index].core.poll_output(now) {
                CoreOutput::Transmit { from, to, packet } => {
                    self.transmit(index, from, to, packet, 0);
                }
                CoreOutput::OpenPort { token, port } => {
                    let node = &mut self.nodes[index];
                    node.ports.insert(port, token);
                    node.numbers.insert(token, port);
                    node.core.handle_input(
                        now,
                        CoreInput::PortOpened {
                            token,
                            result: Ok(()),
                        },
                    );
                }
                CoreOutput::ClosePort(token) => {
                    let node = &mut self.nodes[index];
                    if let Some(port) = node.numbers.remove(&token) {
                        node.ports.remove(&port);
                    }
                }
                CoreOutput::Job { ticket, work, .. } => {
                    let takes = if matches!(work, Job::Generate { .. }) {
                        35_000
                    } else {
                        1_200
                    };
                    let life = self.nodes[index].life;
                    self.push(
                        self.now + takes,
                        What::Job {
                            node: index,
                            life,
                            ticket,
                            work,
                        },
                    );
                }
                CoreOutput::Persist(Persist::Relays(relays)) => {
                    self.nodes[index].saved = relays;
                }
                CoreOutput::Event(event) => self.keep_event(index, event),
                CoreOutput::Wait { until, .. } => {
                    self.plan(index, until);
                    return;
                }
            }
        }
    }

    fn keep_event(&mut self, index: usize, event: CoreEvent) {
        let node = &mut self.nodes[index];
        node.count(&event);
        let outcome = match &event {
            CoreEvent::Done(ticket, _) => Some(*ticket),
            _ => None,
        };
        if self.keep == Keep::Outcomes
            && let Some(ticket) = outcome
        {
            self.done.push((index, ticket));
        }
        if self.keep == Keep::All || outcome.is_some() {
            node.events.push((self.now, event));
        }
    }

    fn plan(&mut self, index: usize, until: Option<Mono>) {
        let due = until.map(|Mono(at)| at.max(self.now));
        if due.is_some() && due != self.nodes[index].due {
            self.nodes[index].due = due;
            self.push(due.unwrap_or(self.now), What::Timeout(index));
        } else if due.is_none() {
            self.nodes[index].due = None;
        }
    }
}
