//! Transport and Kademlia in one node: still pure, without sockets, clocks and tokio. The driver and the virtual networks
//! of the tests run this very type.
//!
//! ```text
//! datagrams, ports, jobs, time -> Transport --events--> bridge --inputs--> Kademlia
//!                                 Transport <-commands- bridge <-outputs-- Kademlia
//! ```
//!
//! After every `handle_*`, drain [`Core::poll_output`] until it returns [`CoreOutput::Wait`].

mod api;
mod bridge;
mod calls;
mod echoes;

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use deut_common::time::{Mono, Now};
use deut_kademlia::{DhtInput, DhtOutput, Kademlia};
use deut_transport::{
    Handled, Restored, Transport,
    drop_reason::DropCounts,
    ids::Port,
    io::{Input, Output, RelayView},
    observe::Observer,
    packet::Packet,
    path_choice::PathChoice,
    rsa::RsaSuite,
    status::{Counters, Readiness, TunnelView},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

pub use api::{CoreAudit, CoreCommand, CoreConfig, CoreEvent, CoreInput, CoreOutput};

use self::{calls::Calls, echoes::EchoRound};
use crate::persona::PersonaClock;

/// A whole node without its sockets.
pub struct Core {
    transport: Transport,
    kademlia: Kademlia,
    persona: PersonaClock,
    persona_key: Option<[u8; 32]>,
    echoes: EchoRound,
    calls: Calls,
    /// News that no core needs any more. They are drained first.
    events: VecDeque<CoreEvent>,
    transport_wait: Option<Mono>,
    kademlia_wait: Option<Mono>,
    gatekeeper: Option<Gatekeeper>,
}

/// Decides on each request to the persona, by its body, before the DHT or the application sees it.
pub type Gatekeeper = Box<dyn FnMut(&[u8]) -> Passage + Send>;

/// The decision on a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It goes on to the DHT or the application.
    Through,
    /// It is answered with this body and goes no further.
    Answer(Vec<u8>),
    /// It is not answered and goes no further.
    Silence,
}

impl Core {
    /// A node that does nothing yet: the first `poll_output` starts it. All randomness comes from `seed`; each plane and the
    /// persona's keys have their own stream.
    #[must_use]
    pub fn new(
        config: CoreConfig,
        suite: Arc<dyn RsaSuite>,
        restored: Restored,
        seed: [u8; 32],
        now: Now,
    ) -> Self {
        let mut streams = StdRng::from_seed(seed);
        let (transport_seed, kademlia_seed, persona_seed) =
            (streams.random(), streams.random(), streams.random());
        let profile = config.transport.policy.profile;
        let transport = Transport::new(config.transport, suite, &restored, transport_seed, now);
        Self {
            transport,
            kademlia: Kademlia::new(config.kademlia, kademlia_seed, &now),
            persona: PersonaClock::new(config.persona, profile, persona_seed, now.mono),
            persona_key: None,
            echoes: EchoRound::default(),
            calls: Calls::default(),
            events: VecDeque::new(),
            transport_wait: None,
            kademlia_wait: None,
            gatekeeper: None,
        }
    }

    /// Notices if the node stood still or its clock was set, before anybody asks for its state. Every other call does so too.
    pub fn look(&mut self, now: Now) {
        self.transport.look(now);
    }

    /// Handles a datagram that arrived on one of our ports.
    pub fn handle_datagram(
        &mut self,
        now: Now,
        at: Port,
        from: SocketAddr,
        packet: Packet,
    ) -> Handled {
        self.transport.handle_datagram(now, at, from, packet)
    }

    /// Handles any other input.
    pub fn handle_input(&mut self, now: Now, input: CoreInput) {
        match input {
            CoreInput::Command(command) => self.command(now, command),
            CoreInput::JobDone { ticket, result } => {
                self.transport
                    .handle_input(now, Input::JobDone { ticket, result });
            }
            CoreInput::PortOpened { token, result } => {
                self.transport
                    .handle_input(now, Input::PortOpened { token, result });
            }
            CoreInput::Local(network) => self.transport.handle_input(now, Input::Local(network)),
            CoreInput::Timeout => self.timeout(now),
        }
    }

    /// The next thing to do. Call it until it returns `Wait`.
    pub fn poll_output(&mut self, now: Now) -> CoreOutput {
        loop {
            if let Some(event) = self.events.pop_front() {
                return CoreOutput::Event(event);
            }
            let (transport_until, transport_why) = match self.transport.poll_output(now) {
                Output::Wait { until, why } => (until, why),
                Output::Event(event) => {
                    self.transport_event(now, event);
                    continue;
                }
                Output::Do(action) => return CoreOutput::Do(action),
            };
            let (kademlia_until, kademlia_why) = match self.kademlia.poll_output(&now) {
                DhtOutput::Wait { until, why } => (until.map(|until| Mono(until.0)), why),
                output => {
                    self.dht_output(now, output);
                    continue;
                }
            };
            // Both are drained: nothing of the old persona is under way when the new one begins.
            if self.change_persona(now) || self.finish_echoes(now) {
                continue;
            }
            (self.transport_wait, self.kademlia_wait) = (transport_until, kademlia_until);
            return soonest([
                (transport_until, transport_why),
                (kademlia_until, kademlia_why),
                (self.persona.due(), "a new persona"),
                (self.echoes.due(), "echoes that do not come"),
            ]);
        }
    }

    fn timeout(&mut self, now: Now) {
        let due = |until: Option<Mono>| until.is_some_and(|until| until <= now.mono);
        if due(self.transport_wait) {
            self.transport.handle_input(now, Input::Timeout);
        }
        if due(self.kademlia_wait) {
            self.dht_input(now, DhtInput::Timeout);
        }
    }

    fn dht_input(&mut self, now: Now, input: DhtInput) {
        self.kademlia.handle_input(&now, input);
    }
}

/// Seams for tests. A daemon uses none of them.
impl Core {
    /// Sets the gatekeeper, which decides on requests to the persona from now on.
    pub fn set_gatekeeper(&mut self, gatekeeper: Gatekeeper) {
        self.gatekeeper = Some(gatekeeper);
    }

    /// Replaces the persona at once by one whose key comes from this seed and not from randomness.
    pub fn set_persona_seed(&mut self, now: Now, seed: [u8; 32]) {
        self.persona.set_next(now.mono, seed);
    }

    /// Adds an observer, which is told what each role of this node reads from now on.
    pub fn add_observer(&mut self, observer: Box<dyn Observer>) {
        self.transport.add_observer(observer);
    }

    /// Sets the override that decides where other nodes' walks go.
    pub fn set_path_choice(&mut self, path: Box<dyn PathChoice>) {
        self.transport.set_path_choice(path);
    }
}

/// Getters.
impl Core {
    /// The node's readiness for lookups, with the reasons if it is not ready.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.transport.readiness()
    }

    /// Own tunnels, oldest first.
    #[must_use]
    pub fn tunnels(&self, now: Now) -> Vec<TunnelView> {
        self.transport.tunnels(now)
    }

    /// All verified relays.
    #[must_use]
    pub fn relays(&self) -> Vec<RelayView> {
        self.transport.relays()
    }

    /// Addresses on the list of peers at which a relay answers at present.
    #[must_use]
    pub fn answering_peers(&self) -> Vec<SocketAddr> {
        self.transport.answering_peers()
    }

    /// Numbers of tunnels carried for others: those relayed, and those that end here.
    #[must_use]
    pub fn transit(&self) -> (usize, usize) {
        self.transport.transit()
    }

    /// Counters of the transport since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.transport.counters()
    }

    /// Datagrams that the transport dropped, by reason.
    #[must_use]
    pub fn drops(&self) -> &DropCounts {
        self.transport.drops()
    }

    /// The size of every collection with its cap, and the DHT's counters.
    #[must_use]
    pub fn audit(&self) -> CoreAudit {
        CoreAudit {
            transport: self.transport.audit(),
            kademlia: self.kademlia.audit(),
        }
    }

    /// Numbers of the DHT's contacts that answered and have not expired.
    #[must_use]
    pub fn live_contacts(&self, now: Now) -> deut_kademlia::LiveContacts {
        self.kademlia.live_contacts(&now)
    }

    /// Our own descriptor; `None` for a client.
    #[must_use]
    pub fn own_descriptor(&self) -> Option<[u8; 196]> {
        self.transport.own_descriptor()
    }

    /// The persona's routing table, far buckets first.
    #[must_use]
    pub fn table(&self, now: Now) -> Vec<deut_kademlia::TableEntry> {
        self.kademlia.table(&now)
    }

    /// The contact that the persona advertises; `None` while it has no addresses.
    #[must_use]
    pub fn persona_contact(&self, now: Now) -> Option<deut_kademlia::Contact> {
        self.kademlia.persona_contact(&now).cloned()
    }

    /// How well others can find the persona; `None` while it is off.
    #[must_use]
    pub fn persona_reach(&self, now: Now) -> Option<deut_kademlia::PersonaReach> {
        self.kademlia.persona_reach(&now)
    }

    /// The persona's public key; `None` while it is off.
    #[must_use]
    pub fn persona_key(&self) -> Option<[u8; 32]> {
        self.persona_key
    }
}

fn soonest(waits: [(Option<Mono>, &'static str); 4]) -> CoreOutput {
    let first = waits
        .into_iter()
        .filter_map(|(until, why)| Some((until?, why)))
        .min_by_key(|wait| wait.0);
    match first {
        Some((until, why)) => CoreOutput::Wait {
            until: Some(until),
            why,
        },
        None => CoreOutput::Wait {
            until: None,
            why: "nothing to do",
        },
    }
}
