//! Nodes come, go, crash, start again and stand still.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use deut::core::{Core, CoreCommand, CoreConfig, CoreInput};
use deut_common::time::Unix;
use deut_kademlia::Contact;
use deut_transport::{
    Restored,
    config::{Config, Role},
    keys::RelayKeys,
};
use rand::RngExt;

use super::{ENDPOINT_PORTS, Mapping, Net, Node, Tally, event::What, nat::Nat};
use crate::kit::{
    ports::Ports,
    relay::{address_of, bootstrap, fresh, role},
};

impl Net {
    fn draw_skew(&mut self) -> i64 {
        // Without skews nothing is drawn: older seeds keep their histories.
        if self.skew == (0..=0) {
            return 0;
        }
        self.rng.random_range(self.skew.clone())
    }

    /// One more relay.
    pub fn add_relay(&mut self, tune: impl FnOnce(&mut CoreConfig)) -> usize {
        let address = address_of(self.nodes.len());
        self.add(role(address, ENDPOINT_PORTS), address, true, tune)
    }

    /// One more client: in no directory, without a persona.
    pub fn add_client(&mut self, tune: impl FnOnce(&mut CoreConfig)) -> usize {
        let address = address_of(self.nodes.len());
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
        let mut kademlia = deut_kademlia::Config::test();
        transport.suite = self.suites.curves.clone();
        kademlia.suite = self.suites.curves.clone();
        let mut config = CoreConfig {
            transport,
            kademlia,
            persona,
        };
        tune(&mut config);
        let restored = fresh(self.rng.random());
        let key_seed = restored.key_seed;
        let keys = RelayKeys::from_seed(&key_seed);
        let skew_s = self.draw_skew();
        let mut now = self.now();
        now.unix = Unix(now.unix.0.saturating_add_signed(skew_s));
        let core = Core::new(
            config.clone(),
            Arc::clone(&self.suites.rsa),
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
            cells: None,
            skew_s,
            paused: false,
            side: 0,
            nat: None,
            ports: Ports::default(),
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
            .map(|node| bootstrap(node.address));
        let peers = peers.collect();
        self.command(index, CoreCommand::Bootstrap(peers));
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
            Arc::clone(&self.suites.rsa),
            restored,
            seed,
            now,
        );
        node.life += 1;
        node.alive = true;
        node.paused = false;
        node.due = None;
        node.ports = Ports::default();
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
        let restored = fresh(node.key_seed);
        node.core = Core::new(config, Arc::clone(&self.suites.rsa), restored, [0; 32], now);
        node.life += 1;
        node.events = Vec::new();
        node.saved = Vec::new();
        node.ports = Ports::default();
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
}
