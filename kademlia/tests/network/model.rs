//! A model of the world around many in-memory DHT nodes, in virtual time: RPCs with delay, loss, one
//! resend after a second, failure after six; endpoint addresses that end; endpoints that give seeds.
//!
//! While it runs it checks what must hold whatever a test does: body sizes, tickets, groups, one outcome
//! per query, caps, and that nothing of a user's request names its sender.
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use deut_common::{
    address::EndpointAddress,
    time::{Mono, Now, Unix},
};
use deut_kademlia::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};

pub(crate) const SECOND: u64 = 1_000_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
const UNIX_START: u64 = 1_750_000_000;
const TUNNEL_LIFE: u64 = 750;
const RENEWAL: u64 = 150;

pub(crate) struct Node {
    pub(crate) dht: Kademlia,
    /// False: it receives and does nothing.
    pub(crate) alive: bool,
    /// It receives, and answers nothing.
    pub(crate) silent: bool,
    pub(crate) key: [u8; 32],
    pub(crate) has_persona: bool,
    pub(crate) progress: Vec<Progress>,
    /// Own versions of mutable records that were given up, and those seen instead.
    pub(crate) superseded: Vec<(i64, i64)>,
    addresses: VecDeque<(EndpointAddress, Unix)>,
    advertised: Option<Body>,
    outcomes: BTreeMap<QueryTicket, QueryOutcome>,
    groups: BTreeSet<Group>,
    ended_groups: BTreeSet<Group>,
    calls: BTreeMap<RpcTicket, Group>,
    last_ticket: [u64; 2],
    wake: u64,
}

enum Event {
    Failed(usize, RpcTicket),
    Renew(usize),
    Request {
        from: usize,
        ticket: RpcTicket,
        to: usize,
        body: Body,
    },
    Response(usize, RpcTicket, Body),
    Seeds(usize, OnBehalf),
    Slow(usize, RpcTicket),
    Timeout(usize),
}

/// What the model saw, for tests to ask about.
#[derive(Default)]
pub(crate) struct Traffic {
    pub(crate) sent: u64,
    pub(crate) user_requests: Vec<(usize, Body)>,
    pub(crate) persona_requests_with_own_key: u64,
}

pub(crate) struct Model {
    pub(crate) nodes: Vec<Node>,
    pub(crate) now: u64,
    pub(crate) loss: f64,
    /// Whether endpoints give seeds.
    pub(crate) seeds: bool,
    pub(crate) traffic: Traffic,
    config: Config,
    events: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    random: StdRng,
    by_key: BTreeMap<[u8; 32], usize>,
    incoming: BTreeMap<IncomingTicket, (usize, RpcTicket)>,
    tickets: u64,
}

impl Model {
    pub(crate) fn new(config: Config, seed: u8) -> Self {
        Self {
            nodes: Vec::new(),
            now: 0,
            loss: 0.0,
            seeds: true,
            traffic: Traffic::default(),
            config,
            events: BTreeMap::new(),
            sequence: 0,
            random: StdRng::from_seed([seed; 32]),
            by_key: BTreeMap::new(),
            incoming: BTreeMap::new(),
            tickets: 0,
        }
    }

    /// A network of `count` nodes that joined one after the other and had time to settle.
    pub(crate) fn settled(count: usize, config: Config, seed: u8) -> Self {
        let mut model = Self::new(config, seed);
        for _ in 0..count {
            model.join();
            model.run_for(SECOND / 5);
        }
        model.run_for(90 * SECOND);
        model
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            mono: Mono(self.now),
            unix: Unix(UNIX_START + self.now / SECOND),
        }
    }

    /// A full node: with a persona and four tunnels.
    pub(crate) fn join(&mut self) -> usize {
        let node = self.join_without_persona();
        self.give_persona(node);
        node
    }

    /// A node that only asks.
    pub(crate) fn join_without_persona(&mut self) -> usize {
        let number = self.nodes.len();
        let dht = Kademlia::new(self.config.clone(), self.random.random(), &self.now());
        self.nodes.push(Node {
            dht,
            alive: true,
            silent: false,
            key: [0; 32],
            has_persona: false,
            progress: Vec::new(),
            superseded: Vec::new(),
            addresses: VecDeque::new(),
            advertised: None,
            outcomes: BTreeMap::new(),
            groups: BTreeSet::new(),
            ended_groups: BTreeSet::new(),
            calls: BTreeMap::new(),
            last_ticket: [0; 2],
            wake: u64::MAX,
        });
        self.input(number, DhtInput::Timeout);
        number
    }

    /// Gives a node a new persona.
    pub(crate) fn give_persona(&mut self, number: usize) {
        let secret = PersonaSecret::from_seed(&self.random.random());
        let first = !self.nodes[number].has_persona;
        let node = &mut self.nodes[number];
        node.key = secret.public();
        node.has_persona = true;
        self.by_key.insert(node.key, number);
        self.input(number, DhtInput::Persona(Some(secret)));
        if first {
            for tunnel in 1..=4 {
                self.add_address(number, TUNNEL_LIFE * tunnel / 5);
            }
            self.tell_addresses(number);
            self.schedule(RENEWAL * SECOND, Event::Renew(number));
        } else {
            self.tell_addresses(number);
        }
    }

    pub(crate) fn take_persona(&mut self, number: usize) {
        self.nodes[number].has_persona = false;
        self.nodes[number].advertised = None;
        self.input(number, DhtInput::Persona(None));
    }

    fn add_address(&mut self, number: usize, life: u64) {
        let host: [u8; 2] = self.random.random();
        let ip = [9, 18, host[0], host[1]].into();
        let port = self.random.random_range(20_000..30_000);
        let until = Unix(self.now().unix.0 + life);
        self.nodes[number]
            .addresses
            .push_back((EndpointAddress { ip, port }, until));
    }

    fn tell_addresses(&mut self, number: usize) {
        let addresses = self.nodes[number].addresses.iter().copied().collect();
        self.input(number, DhtInput::OwnAddresses(addresses));
    }

    pub(crate) fn kill(&mut self, number: usize) {
        self.nodes[number].alive = false;
        self.nodes[number].advertised = None;
    }

    pub(crate) fn start(&mut self, number: usize, query: Query) -> QueryTicket {
        self.tickets += 1;
        let ticket = QueryTicket(self.tickets);
        self.nodes[number].progress.clear();
        self.input(number, DhtInput::Start(ticket, query));
        ticket
    }

    pub(crate) fn outcome(&self, number: usize, ticket: QueryTicket) -> Option<&QueryOutcome> {
        self.nodes[number].outcomes.get(&ticket)
    }

    /// Runs a query to its end.
    pub(crate) fn query(&mut self, number: usize, query: Query) -> QueryOutcome {
        let ticket = self.start(number, query);
        let limit = self.now + 60 * SECOND;
        while self.outcome(number, ticket).is_none() {
            assert!(self.now < limit, "the query has no outcome after a minute");
            self.step();
        }
        self.nodes[number]
            .outcomes
            .remove(&ticket)
            .expect("an outcome")
    }

    pub(crate) fn run_for(&mut self, micros: u64) {
        let end = self.now + micros;
        while self
            .events
            .first_key_value()
            .is_some_and(|((at, _), _)| *at <= end)
        {
            self.step();
        }
        self.now = end;
    }

    /// The ids of living nodes with a persona, closest to `target` first.
    pub(crate) fn closest(&self, target: &NodeId, count: usize) -> Vec<NodeId> {
        let living = self
            .nodes
            .iter()
            .filter(|node| node.alive && !node.silent && node.has_persona);
        let mut ids: Vec<NodeId> = living.map(|node| NodeId::hash_of(&node.key)).collect();
        ids.sort_by_key(|id| target.distance(id));
        ids.truncate(count);
        ids
    }

    /// The share of the true eight closest among the nodes found.
    pub(crate) fn recall(&self, target: &NodeId, found: &[Contact]) -> f64 {
        let truth = self.closest(target, 8);
        let hits = found
            .iter()
            .filter(|contact| truth.contains(&contact.id()))
            .count();
        hits as f64 / truth.len() as f64
    }

    pub(crate) fn random_id(&mut self) -> NodeId {
        NodeId(self.random.random())
    }

    pub(crate) fn random_index(&mut self, below: usize) -> usize {
        self.random.random_range(0..below)
    }

    fn schedule(&mut self, delay: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + delay, self.sequence), event);
    }

    fn step(&mut self) {
        let Some(((at, _), event)) = self.events.pop_first() else {
            panic!("nothing will ever happen")
        };
        self.now = at;
        match event {
            Event::Failed(node, ticket) => {
                self.after(node, ticket, DhtInput::Failed(ticket, Failure::OverSeveral))
            }
            Event::Slow(node, ticket) => {
                if self.nodes[node].calls.contains_key(&ticket) {
                    self.input(node, DhtInput::Slow(ticket));
                }
            }
            Event::Response(node, ticket, body) => {
                self.after(node, ticket, DhtInput::Response(ticket, body))
            }
            Event::Renew(node) => {
                if self.nodes[node].alive {
                    self.nodes[node].addresses.pop_front();
                    self.add_address(node, TUNNEL_LIFE);
                    self.tell_addresses(node);
                    self.schedule(RENEWAL * SECOND, Event::Renew(node));
                }
            }
            Event::Request {
                from,
                ticket,
                to,
                body,
            } => {
                if !self.nodes[to].silent && self.nodes[to].has_persona {
                    self.tickets += 1;
                    let incoming = IncomingTicket(self.tickets);
                    self.incoming.insert(incoming, (from, ticket));
                    self.input(to, DhtInput::Request(incoming, body));
                }
            }
            Event::Seeds(node, plane) => {
                let seeds = self.draw_seeds();
                self.input(node, DhtInput::Seeds(plane, seeds));
            }
            Event::Timeout(node) => {
                if self.nodes[node].wake <= self.now {
                    self.nodes[node].wake = u64::MAX;
                    self.input(node, DhtInput::Timeout);
                }
            }
        }
    }

    /// The end of a call, unless an earlier event was.
    fn after(&mut self, node: usize, ticket: RpcTicket, input: DhtInput) {
        if self.nodes[node].calls.remove(&ticket).is_some() {
            self.input(node, input);
        }
    }

    fn draw_seeds(&mut self) -> Vec<Body> {
        let mut known: Vec<Body> = self
            .nodes
            .iter()
            .filter(|node| node.alive)
            .filter_map(|node| node.advertised.clone())
            .collect();
        let mut drawn = Vec::new();
        while drawn.len() < 8 && !known.is_empty() && self.seeds {
            let at = self.random.random_range(0..known.len());
            drawn.push(known.swap_remove(at));
        }
        drawn
    }

    pub(crate) fn input(&mut self, number: usize, input: DhtInput) {
        if !self.nodes[number].alive {
            return;
        }
        let now = self.now();
        self.nodes[number].dht.handle_input(&now, input);
        loop {
            match self.nodes[number].dht.poll_output(&now) {
                DhtOutput::Wait { until, why } => {
                    assert!(!why.is_empty());
                    self.wait(number, until);
                    break;
                }
                output => self.output(number, output),
            }
        }
        self.check_caps(number);
    }

    fn wait(&mut self, number: usize, until: Option<Mono>) {
        let Some(Mono(until)) = until else { return };
        let until = until.max(self.now);
        if until < self.nodes[number].wake {
            self.nodes[number].wake = until;
            self.schedule(until - self.now, Event::Timeout(number));
        }
    }

    fn output(&mut self, number: usize, output: DhtOutput) {
        let node = &mut self.nodes[number];
        match output {
            DhtOutput::Advertise(body) => {
                assert!(body.len() <= Contact::MAX_LEN);
                node.advertised = Some(body);
            }
            DhtOutput::Answer { to, body } => {
                assert!(body.len() <= MAX_ANSWER_BODY);
                let (from, ticket) = self
                    .incoming
                    .remove(&to)
                    .expect("each request is answered once at most");
                let delay = self.random.random_range(10_000..40_000);
                self.schedule(delay, Event::Response(from, ticket, body));
            }
            DhtOutput::Done(ticket, outcome) => {
                assert!(
                    node.outcomes.insert(ticket, outcome).is_none(),
                    "one outcome per query"
                );
            }
            DhtOutput::GroupEnded(group) => {
                assert!(
                    node.groups.remove(&group),
                    "a group ends once, after it sent something"
                );
                node.ended_groups.insert(group);
                node.calls.retain(|_, of| *of != group);
            }
            DhtOutput::Progress(_, progress) => node.progress.push(progress),
            DhtOutput::Send {
                ticket,
                group,
                to,
                body,
                on_behalf,
                ..
            } => {
                assert!(
                    !node.ended_groups.contains(&group),
                    "an ended group sends nothing"
                );
                node.groups.insert(group);
                let last = &mut node.last_ticket[(ticket.0 & 1) as usize];
                assert!(ticket.0 > *last, "no ticket twice");
                *last = ticket.0;
                node.calls.insert(ticket, group);
                self.look_at(number, &body, on_behalf);
                self.carry(number, ticket, &to, body);
            }
            DhtOutput::Superseded {
                published, seen, ..
            } => node.superseded.push((published, seen)),
            DhtOutput::WantOtherEndpoints(_) => {}
            DhtOutput::WantSeeds(plane) => self.schedule(20_000, Event::Seeds(number, plane)),
            DhtOutput::Wait { .. } => unreachable!("ends the drain"),
        }
    }

    /// The needle is the sender's persona key: never in a user's request, always in the upkeep's.
    fn look_at(&mut self, number: usize, body: &Body, on_behalf: OnBehalf) {
        assert!(body.len() <= MAX_REQUEST_BODY);
        self.traffic.sent += 1;
        let node = &self.nodes[number];
        let named = node.has_persona && contains(body, &node.key);
        match on_behalf {
            OnBehalf::User => {
                assert!(!named, "a user's request names its sender");
                self.traffic.user_requests.push((number, body.clone()));
            }
            OnBehalf::Persona => {
                assert!(named, "a request of the upkeep names its sender");
                self.traffic.persona_requests_with_own_key += 1;
            }
        }
    }

    fn carry(&mut self, from: usize, ticket: RpcTicket, to: &Contact, body: Body) {
        let unix = self.now().unix;
        let target = self
            .by_key
            .get(&to.persona_key())
            .copied()
            .filter(|target| {
                let node = &self.nodes[*target];
                let open = |address| {
                    node.addresses
                        .iter()
                        .any(|(known, until)| known == address && *until > unix)
                };
                node.alive && node.key == to.persona_key() && to.addresses().iter().any(open)
            });
        self.schedule(6 * SECOND, Event::Failed(from, ticket));
        let mut arrives = self.random.random_range(10_000..40_000);
        let mut tries = 0;
        // The loss of the whole way there and back.
        while self.random.random_bool(self.loss) {
            tries += 1;
            arrives += SECOND;
        }
        if tries > 0 || target.is_none() {
            self.schedule(SECOND, Event::Slow(from, ticket));
        }
        if let (Some(to), 0..=1) = (target, tries) {
            self.schedule(
                arrives,
                Event::Request {
                    from,
                    ticket,
                    to,
                    body,
                },
            );
        }
    }

    fn check_caps(&self, number: usize) {
        let (audit, config) = (self.nodes[number].dht.audit(), &self.config);
        assert!(audit.user.contacts <= config.max_user_contacts);
        assert!(audit.persona.contacts <= 160 * config.bucket_size);
        assert!(audit.replacements <= 160 * config.replacements);
        assert!(
            audit.stored_keys <= config.max_stored_keys
                && audit.stored_bytes <= config.max_stored_bytes
        );
        assert!(audit.published <= config.max_published);
        assert!(audit.persona.lookups <= 1);
    }
}

pub(crate) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}
