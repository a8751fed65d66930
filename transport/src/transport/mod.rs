//! The core itself. It owns the roles, hands each input to the role that it concerns, and passes the news of one role on to the
//! others. It knows no details of the protocol.

mod commands;
mod datagrams;
mod dispatch;
mod standing;
mod views;

use std::{net::SocketAddr, sync::Arc};

use deut_common::time::Now;

use crate::{
    calls::{Calls, Carrier, Requests},
    config::{Config, Role},
    context::Context,
    directory::Directory,
    drop_reason::DropReason,
    endpoint::Endpoint,
    ids::Port,
    io::{Event, Input, Output},
    keys::RelayKeys,
    links::Links,
    master::Master,
    net::Net,
    observe::Observer,
    own::Own,
    packet::Packet,
    path_choice::PathChoice,
    relayer::Relayer,
    routes::Routes,
    rsa::RsaSuite,
    status::Readiness,
    walks::Walks,
};

/// State that the last run saved.
pub struct Restored {
    /// The secret from which the relay's keys are derived. It is the only secret that may be kept on disk.
    pub key_seed: [u8; 32],
    /// Descriptors of relays that were verified then. They are verified again before use.
    pub relays: Vec<[u8; 196]>,
}

/// The fate of a datagram.
#[derive(Debug)]
pub enum Handled {
    /// Send it on: the fast path of a relayer. There may be outputs as well.
    Forward {
        /// The socket to send from.
        from: Port,
        /// The address to send to.
        to: SocketAddr,
        /// The same buffer, transformed.
        packet: Packet,
    },
    /// It was accepted; there may be outputs.
    Consumed,
    /// It was discarded and counted. The buffer comes back.
    Dropped(DropReason, Packet),
}

/// DEUT as a state machine: links, messages, and tunnels as master, relayer and endpoint.
pub struct Transport {
    net: Net,
    walks: Walks,
    relayer: Relayer,
    endpoint: Endpoint,
    master: Master,
    calls: Calls,
    requests: Requests,
    told: Readiness,
    standing: standing::Standing,
}

impl Transport {
    /// Creates a node; `seed` is the source of all its randomness. The first `poll_output` starts it.
    #[must_use]
    pub fn new(
        config: Config,
        suite: Arc<dyn RsaSuite>,
        restored: &Restored,
        seed: [u8; 32],
        now: Now,
    ) -> Self {
        let mut cx = Context::new(config, seed, now);
        let keys = RelayKeys::with_suite(&restored.key_seed, cx.config.suite.clone());
        let keys = Arc::new(keys);
        let relay = matches!(cx.config.role, Role::Relay { .. }).then(|| keys.id());
        let endpoint = Endpoint::new(&mut cx, Arc::clone(&suite));
        let mut net = Net {
            own: Own::new(Arc::clone(&keys), &mut cx),
            links: Links::new(keys, &cx),
            routes: Routes::default(),
            directory: Directory::new(relay, &cx),
            cx,
        };
        for bytes in &restored.relays {
            if let Err(reason) = net.directory.restore(&mut net.cx, bytes) {
                net.cx.drops.count(reason);
            }
        }
        Self {
            net,
            walks: Walks::default(),
            relayer: Relayer::default(),
            endpoint,
            master: Master::new(suite, relay),
            calls: Calls::default(),
            requests: Requests::default(),
            told: Readiness::default(),
            standing: standing::Standing::default(),
        }
    }

    /// Handles a datagram that arrived on one of our ports.
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
                self.net.cx.counters.accepted += 1;
                let Some(to) = forward else {
                    return Handled::Consumed;
                };
                self.net.cx.counters.relayed_cells += 1;
                self.net.cx.counters.datagrams_sent += 1;
                Handled::Forward {
                    from: Port::Relay,
                    to,
                    packet,
                }
            }
            Err(reason) => {
                self.net.cx.counters.dropped += 1;
                self.net.cx.drops.count(reason);
                Handled::Dropped(reason, packet)
            }
        }
    }

    /// Handles any other input.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        self.look(now);
        match input {
            Input::PortOpened { token, result } => {
                self.endpoint.on_port_opened(&mut self.net, token, result);
            }
            Input::JobDone { ticket, result } => self.on_job(ticket, &result),
            Input::Command(command) => self.on_command(command),
            Input::Local(network) => self.local_network(network),
            Input::Timeout => self.on_timeout(),
        }
    }

    /// The next thing to do. Call it until it returns `Wait`.
    pub fn poll_output(&mut self, now: Now) -> Output {
        self.look(now);
        if self.net.cx.out.is_empty() {
            self.tell_readiness();
        }
        if let Some(output) = self.net.cx.out.pop_front() {
            return output;
        }
        let next = self.net.cx.timers.next();
        Output::Wait {
            until: next.map(|(at, _)| at),
            why: next.map_or("nothing planned", |(_, timer)| timer.why()),
        }
    }

    fn tell_readiness(&mut self) {
        let readiness = self.readiness();
        if readiness != self.told {
            self.told = readiness.clone();
            self.net.cx.event(Event::Ready(readiness));
        }
    }

    /// Calls and requests, with the carrier of their messages.
    const fn messages(&mut self) -> (&mut Calls, &mut Requests, Carrier<'_>) {
        let carrier = Carrier {
            net: &mut self.net,
            master: &mut self.master,
        };
        (&mut self.calls, &mut self.requests, carrier)
    }

    /// Adds an observer, which is told what each role reads from now on.
    pub fn add_observer(&mut self, observer: Box<dyn Observer>) {
        self.net.cx.observers.add(observer);
    }

    /// Sets the override that decides where other nodes' walks go.
    pub fn set_path_choice(&mut self, path: Box<dyn PathChoice>) {
        self.net.cx.path = Some(path);
    }
}
