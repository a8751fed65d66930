//! Many real cores in lock-step on a virtual clock: an event heap, links with delay and loss, and taps on the wire.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use deut::core::{Core, CoreCommand, CoreConfig, CoreEvent, CoreInput, CoreOutput};
use deut_kademlia::{Query, QueryOutcome, QueryTicket};
use deut_transport::{
    Handled, Restored,
    api::{BootstrapPeer, JobTicket, Mono, Now, Port, PortToken, Unix},
    config::{Config, Role},
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

/// What the wire does to datagrams.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// One-way delay, µs.
    pub delay_us: u64,
    /// Added at random, up to, µs.
    pub jitter_us: u64,
    /// Lost out of 1,000.
    pub loss_per_mille: u32,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            delay_us: 1_000,
            jitter_us: 500,
            loss_per_mille: 0,
        }
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

/// One node.
pub struct Node {
    /// The very core that the daemon runs.
    pub core: Core,
    /// Its relay port.
    pub address: SocketAddr,
    ports: BTreeMap<u16, PortToken>,
    numbers: BTreeMap<PortToken, u16>,
    /// Dead nodes neither hear nor speak.
    pub alive: bool,
    due: Option<u64>,
    /// Everything it told, with the time.
    pub events: Vec<(u64, CoreEvent)>,
}

enum What {
    Datagram {
        from: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    Timeout(usize),
    Job {
        node: usize,
        ticket: JobTicket,
        work: Job,
    },
}

struct Entry {
    at: u64,
    sequence: u64,
    what: What,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

/// Changes a node's settings before it starts.
pub type Tune = fn(&mut CoreConfig);

/// Sees, changes or swallows (by clearing) what is on the wire.
pub type Tap = Box<dyn FnMut(&mut Sighting)>;

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

    /// One more relay.
    pub fn add_relay(&mut self, tune: Tune) -> usize {
        let address = self.next_address();
        let role = Role::Relay {
            address,
            endpoint_ports: Some(PortRange {
                first: RELAY_PORT + 1,
                last: RELAY_PORT + 128,
            }),
        };
        self.add(role, address, true, tune)
    }

    /// One more client: in no directory, without a persona.
    pub fn add_client(&mut self, tune: Tune) -> usize {
        let address = self.next_address();
        self.add(Role::Client, address, false, tune)
    }

    fn next_address(&self) -> SocketAddr {
        let n = u32::try_from(self.nodes.len()).expect("few nodes") + 1;
        SocketAddr::new(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n)), RELAY_PORT)
    }

    fn add(&mut self, role: Role, address: SocketAddr, persona: bool, tune: Tune) -> usize {
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
        let core = Core::new(
            config,
            Arc::clone(&self.suite),
            restored,
            self.rng.random(),
            self.now(),
        );
        let index = self.nodes.len();
        self.nodes.push(Node {
            core,
            address,
            ports: BTreeMap::new(),
            numbers: BTreeMap::new(),
            alive: true,
            due: None,
            events: Vec::new(),
        });
        self.by_ip.insert(address.ip(), index);
        let peers = self
            .nodes
            .iter()
            .take(2.min(index))
            .map(|node| BootstrapPeer {
                address: node.address,
                key: None,
            });
        let peers = peers.collect();
        self.command(index, CoreCommand::Bootstrap(peers));
        index
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

    /// Stops a node without warning.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].alive = false;
    }

    /// Sends a datagram from anywhere.
    pub fn inject(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        self.push(
            self.now,
            What::Datagram {
                from,
                to,
                bytes: bytes.to_vec(),
            },
        );
    }

    /// Gives a node an input and does what it says.
    pub fn input(&mut self, node: usize, input: CoreInput) {
        let now = self.now();
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
        match what {
            What::Datagram { from, to, bytes } => self.deliver(from, to, &bytes),
            What::Timeout(node) => {
                if self.nodes[node].alive && self.nodes[node].due == Some(at) {
                    self.nodes[node].due = None;
                    self.input(node, CoreInput::Timeout);
                }
            }
            What::Job { node, ticket, work } => {
                let result: JobResult = work.run(self.suite.as_ref());
                if self.nodes[node].alive {
                    self.input(node, CoreInput::JobDone { ticket, result });
                }
            }
        }
        true
    }

    fn deliver(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let Some(&index) = self.by_ip.get(&to.ip()) else {
            return;
        };
        let now = self.now();
        let node = &mut self.nodes[index];
        let port = if to.port() == RELAY_PORT {
            Some(Port::Relay)
        } else {
            node.ports
                .get(&to.port())
                .map(|&token| Port::Endpoint(token))
        };
        let Some(port) = port.filter(|_| node.alive) else {
            return;
        };
        let handled = node
            .core
            .handle_datagram(now, port, from, Packet::copy_of(bytes));
        if let Handled::Forward { from, to, packet } = handled {
            self.transmit(index, from, to, packet.bytes());
        }
        self.drain(index);
    }

    fn transmit(&mut self, index: usize, from: Port, to: SocketAddr, bytes: &[u8]) {
        let node = &self.nodes[index];
        let port = match from {
            Port::Relay => RELAY_PORT,
            Port::Endpoint(token) => node.numbers.get(&token).copied().unwrap_or(0),
        };
        let mut sighting = Sighting {
            at: self.now,
            from: SocketAddr::new(node.address.ip(), port),
            to,
            bytes: bytes.to_vec(),
        };
        self.datagrams += 1;
        if let Some(tap) = &mut self.tap {
            tap(&mut sighting);
        }
        if sighting.bytes.is_empty() || self.rng.random_range(0..1_000) < self.wire.loss_per_mille {
            return;
        }
        let delay = self.wire.delay_us + self.rng.random_range(0..=self.wire.jitter_us);
        self.push(
            self.now + delay,
            What::Datagram {
                from: sighting.from,
                to,
                bytes: sighting.bytes,
            },
        );
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
            let now = self.now();
            match self.nodes[index].core.poll_output(now) {
                CoreOutput::Transmit { from, to, packet } => {
                    self.transmit(index, from, to, packet.bytes())
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
                    self.push(
                        self.now + takes,
                        What::Job {
                            node: index,
                            ticket,
                            work,
                        },
                    );
                }
                CoreOutput::Persist(_) => {}
                CoreOutput::Event(event) => self.nodes[index].events.push((self.now, event)),
                CoreOutput::Wait { until, .. } => {
                    self.plan(index, until);
                    return;
                }
            }
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
