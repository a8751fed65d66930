//! Transport and Kademlia in one node: still pure, without sockets, clocks and tokio. The driver and the virtual networks
//! of the tests run this very type.
//!
//! ```text
//! datagrams, ports, jobs, time -> Transport --events--> bridge --inputs--> Kademlia
//!                                 Transport <-commands- bridge <-outputs-- Kademlia
//! ```
//!
//! After every `handle_*` drain [`Core::poll_output`] until it answers [`CoreOutput::Wait`].

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
    /// News that no core has to hear any more; drained first.
    events: VecDeque<CoreEvent>,
    transport_wait: Option<Mono>,
    kademlia_wait: Option<Mono>,
    gatekeeper: Option<Gatekeeper>,
}

/// Sees the body of each request to the persona before the DHT or the application does.
pub type Gatekeeper = Box<dyn FnMut(&[u8]) -> Passage + Send>;

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It goes on to the DHT or the application.
    Through,
    /// It is answered with this body, and nobody else sees it.
    Answer(Vec<u8>),
    /// It is not answered.
    Silence,
}

impl Core {
    /// A node that does nothing yet: the first `poll_output` starts it. Everything random comes from `seed`; each plane and
    /// the persona's keys have a stream of their own.
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

    /// Sees whether the node stood still or its clock was set, before anybody is told how it is. Every other call does so too.
    pub fn look(&mut self, now: Now) {
        self.transport.look(now);
    }

    /// A datagram arrived on one of our ports.
    pub fn handle_datagram(
        &mut self,
        now: Now,
        at: Port,
        from: SocketAddr,
        packet: Packet,
    ) -> Handled {
        self.transport.handle_datagram(now, at, from, packet)
    }

    /// Anything else happened.
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

    /// The next thing to do; to be called until it answers `Wait`.
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
            // Both are drained: nothing of an old persona is on its way when a new one begins.
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

/// Seams: a daemon uses none of them.
impl Core {
    /// From now on requests to the persona pass here first.
    pub fn set_gatekeeper(&mut self, gatekeeper: Gatekeeper) {
        self.gatekeeper = Some(gatekeeper);
    }

    /// The persona's next key comes from this seed, at once, rather than from randomness.
    pub fn set_persona_seed(&mut self, now: Now, seed: [u8; 32]) {
        self.persona.set_next(now.mono, seed);
    }

    /// From now on this observer, too, is told what each role of this node reads.
    pub fn add_observer(&mut self, observer: Box<dyn Observer>) {
        self.transport.add_observer(observer);
    }

    /// From now on `path` decides where the walks of others go on.
    pub fn set_path_choice(&mut self, path: Box<dyn PathChoice>) {
        self.transport.set_path_choice(path);
    }
}

/// Getters.
impl Core {
    /// Tells whether lookups can start.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.transport.readiness()
    }

    /// Own tunnels.
    #[must_use]
    pub fn tunnels(&self, now: Now) -> Vec<TunnelView> {
        self.transport.tunnels(now)
    }

    /// Verified relays.
    #[must_use]
    pub fn relays(&self) -> Vec<RelayView> {
        self.transport.relays()
    }

    /// Addresses on the list of peers behind which a relay answers at present.
    #[must_use]
    pub fn answering_peers(&self) -> Vec<SocketAddr> {
        self.transport.answering_peers()
    }

    /// Tunnels carried for others: relayed, ending here.
    #[must_use]
    pub fn transit(&self) -> (usize, usize) {
        self.transport.transit()
    }

    /// Counters of the transport.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.transport.counters()
    }

    /// Drops of the transport by reason.
    #[must_use]
    pub fn drops(&self) -> &DropCounts {
        self.transport.drops()
    }

    /// Sizes against caps, and the DHT's counters.
    #[must_use]
    pub fn audit(&self) -> CoreAudit {
        CoreAudit {
            transport: self.transport.audit(),
            kademlia: self.kademlia.audit(),
        }
    }

    /// The DHT's contacts that answered and are not expired.
    #[must_use]
    pub fn live_contacts(&self, now: Now) -> deut_kademlia::LiveContacts {
        self.kademlia.live_contacts(&now)
    }

    /// Our own descriptor; none for a client.
    #[must_use]
    pub fn own_descriptor(&self) -> Option<[u8; 196]> {
        self.transport.own_descriptor()
    }

    /// The persona's routing table, far buckets first.
    #[must_use]
    pub fn table(&self, now: Now) -> Vec<deut_kademlia::TableEntry> {
        self.kademlia.table(&now)
    }

    /// The contact that the persona advertises; none while it has no addresses.
    #[must_use]
    pub fn persona_contact(&self, now: Now) -> Option<deut_kademlia::Contact> {
        self.kademlia.persona_contact(&now).cloned()
    }

    /// Tells whether the persona can be found by others; none while it is off.
    #[must_use]
    pub fn persona_reach(&self, now: Now) -> Option<deut_kademlia::PersonaReach> {
        self.kademlia.persona_reach(&now)
    }

    /// The persona's public key; none while it is off.
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
