//! The core itself: it owns the sub-machines, hands each input to the one that it concerns, and carries what one
//! says to the others. No protocol detail lives here.

mod commands;
mod datagrams;
mod dispatch;
mod frames;
mod standing;
mod walking;

use std::{net::SocketAddr, sync::Arc};

use deut_common::{
    buckets::{Bucket, Buckets},
    time::{Now, Unix},
};

use crate::{
    calls::{Calls, Requests},
    config::{Config, Role},
    context::Context,
    directory::Directory,
    drop_reason::{DropCounts, DropReason},
    endpoint::Endpoint,
    ids::Port,
    io::{Event, Input, Output, RelayView},
    keys::RelayKeys,
    links::Links,
    master::{Around, Master, MasterEvent, Net},
    observe::Observer,
    packet::Packet,
    path_choice::PathChoice,
    relayer::{routes::Routes, tunnels::RelayTable, walks::Walks},
    rsa::RsaSuite,
    status::{Audit, Counters, Readiness, TunnelView},
    timers::Timer,
    wire::descriptor::Descriptor,
};

/// Our own descriptor is valid for a day and issued anew after half of it.
const DESCRIPTOR_MINUTES: u32 = 1_440;

/// What was saved at the last run.
pub struct Restored {
    /// Secret from which the relay's keys are derived; the only secret that may be kept on disk.
    pub key_seed: [u8; 32],
    /// Descriptors of relays that were verified then; verified again before use.
    pub relays: Vec<[u8; 196]>,
}

/// What became of a datagram.
#[derive(Debug)]
pub enum Handled {
    /// Send it on: the fast path of a relayer. Outputs may wait besides.
    Forward {
        /// From which socket.
        from: Port,
        /// Whereto.
        to: SocketAddr,
        /// The same buffer, transformed.
        packet: Packet,
    },
    /// Taken in; outputs may wait.
    Consumed,
    /// Discarded and counted; the buffer comes back.
    Dropped(DropReason, Packet),
}

/// DEUT as a state machine: links, tunnels as master, relayer and endpoint, messages.
pub struct Transport {
    cx: Context,
    keys: Arc<RelayKeys>,
    descriptor: Option<Descriptor>,
    links: Links,
    directory: Directory,
    routes: Routes,
    walks: Walks,
    relays: RelayTable,
    endpoint: Endpoint,
    master: Master,
    calls: Calls,
    requests: Requests,
    questions: Bucket,
    questions_per_source: Buckets<SocketAddr>,
    told: Readiness,
    standing: standing::Standing,
}

/// The master with what it may be lent at once.
struct MasterParts<'a> {
    master: &'a mut Master,
    net: Net<'a>,
    walks: &'a mut Walks,
    directory: &'a Directory,
}

impl Transport {
    /// A node; `seed` is the source of all its randomness. The first `poll_output` starts it.
    #[must_use]
    pub fn new(
        config: Config,
        suite: Arc<dyn RsaSuite>,
        restored: &Restored,
        seed: [u8; 32],
        now: Now,
    ) -> Self {
        let mut cx = Context::new(config, seed, now);
        let keys = Arc::new(RelayKeys::with_suite(
            &restored.key_seed,
            cx.config.suite.clone(),
        ));
        let own = matches!(cx.config.role, Role::Relay { .. }).then(|| keys.id());
        let limits = cx.config.limits.clone();
        let mut transport = Self {
            links: Links::new(Arc::clone(&keys), &cx),
            directory: Directory::new(own, &cx),
            routes: Routes::default(),
            walks: Walks::default(),
            relays: RelayTable::default(),
            endpoint: Endpoint::new(&mut cx, Arc::clone(&keys), Arc::clone(&suite)),
            master: Master::new(suite, own),
            calls: Calls::default(),
            requests: Requests::default(),
            questions: Bucket::new(limits.who_are_you, now.mono),
            questions_per_source: Buckets::new(limits.who_are_you_per_source, 4_096),
            told: Readiness::default(),
            standing: standing::Standing::default(),
            descriptor: None,
            keys,
            cx,
        };
        transport.issue_descriptor();
        for bytes in &restored.relays {
            if let Err(reason) = transport.directory.restore(&mut transport.cx, bytes) {
                transport.cx.drops.count(reason);
            }
        }
        transport
    }

    /// Signs our descriptor for the next day.
    fn issue_descriptor(&mut self) {
        let Role::Relay {
            address,
            endpoint_ports,
        } = self.cx.config.role
        else {
            return;
        };
        let Unix(now) = self.cx.now.unix;
        let epoch = u32::try_from(now / 60).unwrap_or(u32::MAX);
        let expiry = epoch.saturating_add(DESCRIPTOR_MINUTES);
        let network = self.cx.config.policy.network;
        self.descriptor = Some(Descriptor::sign(
            &self.keys,
            network,
            address,
            endpoint_ports,
            epoch,
            expiry,
        ));
        let again = self
            .cx
            .mono()
            .plus_ms(u64::from(DESCRIPTOR_MINUTES) * 30_000);
        self.cx.timers.set(Timer::Descriptor, again);
    }

    /// A datagram arrived on one of our ports.
    pub fn handle_datagram(
        &mut self,
        now: Now,
        at: Port,
        from: SocketAddr,
        mut packet: Packet,
    ) -> Handled {
        self.look(now);
        match self.on_datagram(at, from, &mut packet) {
            Ok(forward) => {
                self.cx.counters.accepted += 1;
                match forward {
                    Some(to) => {
                        self.cx.counters.relayed_cells += 1;
                        self.cx.counters.datagrams_sent += 1;
                        Handled::Forward {
                            from: Port::Relay,
                            to,
                            packet,
                        }
                    }
                    None => Handled::Consumed,
                }
            }
            Err(reason) => {
                self.cx.counters.dropped += 1;
                self.cx.drops.count(reason);
                Handled::Dropped(reason, packet)
            }
        }
    }

    /// Anything else happened.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        self.look(now);
        match input {
            Input::PortOpened { token, result } => self.on_port_opened(token, result),
            Input::JobDone { ticket, result } => self.on_job(ticket, &result),
            Input::Command(command) => self.on_command(command),
            Input::Local(network) => self.local_network(network),
            Input::Timeout => self.on_timeout(),
        }
    }

    /// What to do next; until `Wait`.
    pub fn poll_output(&mut self, now: Now) -> Output {
        self.look(now);
        if self.cx.out.is_empty() {
            self.tell_readiness();
        }
        if let Some(output) = self.cx.out.pop_front() {
            return output;
        }
        match self.cx.timers.next() {
            Some((at, timer)) => Output::Wait {
                until: Some(at),
                why: timer.why(),
            },
            None => Output::Wait {
                until: None,
                why: "nothing planned",
            },
        }
    }

    fn tell_readiness(&mut self) {
        let readiness = self.readiness();
        if readiness != self.told {
            self.told = readiness.clone();
            self.cx.event(Event::Ready(readiness));
        }
    }

    /// Whether lookups can start, and what is missing.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let around = Around {
            relays: self.directory.len(),
            lonely: self.directory.lonely(&self.cx),
            clock: self.directory.clock_off(),
            local: self.standing.local,
            stood_still_s: self.standing.still_s,
        };
        self.master.readiness(&self.cx, &around)
    }

    /// Own tunnels, oldest first.
    #[must_use]
    pub fn tunnels(&self, now: Now) -> Vec<TunnelView> {
        self.master.views(now.mono)
    }

    /// Verified relays.
    #[must_use]
    pub fn relays(&self) -> Vec<RelayView> {
        let view = |descriptor: &Arc<Descriptor>| {
            let id = descriptor.id();
            let linked = self
                .links
                .of_relay(id)
                .is_some_and(|link| self.links.is_up(link));
            RelayView {
                id,
                address: descriptor.address,
                linked,
            }
        };
        self.directory.all().map(view).collect()
    }

    /// Addresses on the list of peers behind which a relay answers at present.
    #[must_use]
    pub fn answering_peers(&self) -> Vec<SocketAddr> {
        self.directory.answering_peers().collect()
    }

    /// Counters since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.cx.counters.clone()
    }

    /// Drops by reason since the start.
    #[must_use]
    pub const fn drops(&self) -> &DropCounts {
        &self.cx.drops
    }

    /// How often a descriptor was refused, by the broken rule.
    #[must_use]
    pub const fn refused_descriptors(&self) -> &std::collections::BTreeMap<&'static str, u64> {
        self.directory.refusals()
    }

    /// Our own descriptor; none for a client.
    #[must_use]
    pub fn own_descriptor(&self) -> Option<[u8; 196]> {
        self.descriptor
            .as_ref()
            .map(|descriptor| *descriptor.bytes())
    }

    /// Tunnels that we carry for others: relayed, ending here.
    #[must_use]
    pub fn transit(&self) -> (usize, usize) {
        (self.relays.len(), self.endpoint.len())
    }

    /// Sizes against caps.
    #[must_use]
    pub fn audit(&self) -> Audit {
        let hellos = self.endpoint.hello_sizes(&self.cx);
        let directory = self.directory.sizes(&self.cx.config.limits);
        let sizes = directory.into_iter().chain(self.sizes()).chain(hellos);
        Audit {
            sizes: sizes.collect(),
        }
    }

    const fn master_parts(&mut self) -> MasterParts<'_> {
        MasterParts {
            master: &mut self.master,
            net: Net {
                cx: &mut self.cx,
                links: &mut self.links,
                routes: &mut self.routes,
            },
            walks: &mut self.walks,
            directory: &self.directory,
        }
    }

    /// Has the master do something, and carries on what comes of it.
    fn step_master<E: IntoIterator<Item = MasterEvent>>(
        &mut self,
        step: impl FnOnce(&mut Master, &mut Net<'_>) -> E,
    ) {
        let mut parts = self.master_parts();
        let events = step(parts.master, &mut parts.net);
        self.count(|this| this.on_master_events(events));
    }

    fn sizes(&self) -> [(&'static str, usize, usize); 13] {
        let limits = &self.cx.config.limits;
        let tunnels = limits.own_tunnels + limits.transit_tunnels * 2 + limits.endpoint_tunnels;
        let links_timers = limits.links * 3;
        [
            ("links", self.links.len(), limits.links),
            (
                "routes",
                self.routes.len(),
                tunnels + limits.transit_tunnels,
            ),
            (
                "walks",
                self.walks.len(),
                limits.transit_tunnels + limits.own_tunnels,
            ),
            ("relayed tunnels", self.relays.len(), limits.transit_tunnels),
            (
                "served tunnels",
                self.endpoint.len(),
                limits.endpoint_tunnels,
            ),
            (
                "hosted contacts",
                self.endpoint.contacts(),
                limits.endpoint_tunnels,
            ),
            (
                "own tunnels",
                self.master.len(),
                limits.own_tunnels + 2 * limits.builds_at_once,
            ),
            (
                "keys in store",
                self.master.keys_in_store(),
                limits.keys_in_store.max(8) + 8,
            ),
            ("calls", self.calls.len(), limits.calls),
            ("groups", self.calls.groups(), limits.groups),
            (
                "remembered requests",
                self.requests.len(),
                limits.requests_remembered,
            ),
            (
                "sources of questions",
                self.questions_per_source.len(),
                4_096,
            ),
            (
                "timers",
                self.cx.timers.len(),
                links_timers + 2 * tunnels + limits.calls + limits.groups + limits.hellos + 16,
            ),
        ]
    }

    /// From now on this observer, too, is told what each role reads.
    pub fn add_observer(&mut self, observer: Box<dyn Observer>) {
        self.cx.observers.add(observer);
    }

    /// From now on `path` decides where the walks of others go on.
    pub fn set_path_choice(&mut self, path: Box<dyn PathChoice>) {
        self.cx.path = Some(path);
    }
}
