//! One real transport, a client, among relays that the test plays. Nothing takes time but what the client waits for.

use std::{net::SocketAddr, ops::Range, sync::Arc};

use deut_common::ids::RelayId;
use deut_transport::{
    Transport,
    config::{Config, Role},
    io::{Command, Event, TunnelChange},
    packet::MESSAGE_DATAGRAM,
    wire::descriptor::Descriptor,
};

use super::{
    net::Net,
    peer::{Peer, talk},
    relay::{bootstrap, fresh},
    world::World,
};
use crate::stand_in::StandIn;

const SEED: [u8; 32] = [200; 32];

/// A message that the client gave to an endpoint to send.
pub struct SentMessage {
    /// When, µs.
    pub at: u64,
    /// Names the tunnel that it came through.
    pub through: (RelayId, u32),
    /// Whereto.
    pub to: SocketAddr,
    /// What.
    pub datagram: Box<[u8; MESSAGE_DATAGRAM]>,
}

/// See the module's text.
pub struct Laboratory {
    world: World<Transport>,
    /// The others.
    pub peers: Vec<Peer>,
    /// Datagrams that the client sent to where nobody is.
    pub unanswered: u64,
    sent: Vec<SentMessage>,
}

impl Laboratory {
    /// A client with one tunnel that joins through the first of the peers.
    #[must_use]
    pub fn open(peers: Vec<Peer>) -> Self {
        Self::with(0, peers, (1, 0))
    }

    /// The same, its clock off by so many minutes, with so many tunnels for lookups and for a persona, all of one hop.
    #[must_use]
    pub fn with(
        minutes_off: i64,
        peers: Vec<Peer>,
        (lookup_tunnels, persona_tunnels): (usize, usize),
    ) -> Self {
        let mut config = Config::new(Net::policy(), Role::Client);
        config.lookup_tunnels = lookup_tunnels;
        config.persona_tunnels = persona_tunnels;
        config.ready_at = 1;
        let mut world = World::new(u32::MAX);
        world.start = world.start.saturating_add_signed(minutes_off * 60);
        world.instant = true;
        let suite = Arc::new(StandIn);
        let client = Transport::new(config, suite, &fresh(SEED), [201; 32], world.now());
        world.add(client);
        let first = bootstrap(peers[0].address);
        world.command(0, Command::Bootstrap(vec![first]));
        Self {
            world,
            peers,
            unanswered: 0,
            sent: Vec::new(),
        }
    }

    /// The one under test.
    #[must_use]
    pub fn client(&self) -> &Transport {
        &self.world.seats[0].machine
    }

    /// What it told.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.world.seats[0].events.iter().map(|(_, event)| event)
    }

    /// The first peer will tell of these, six in one frame.
    pub fn introduce(&mut self, who: Range<usize>) {
        let told: Vec<_> = self.peers[who]
            .iter()
            .map(|peer| *peer.own().bytes())
            .collect();
        let frames = told.chunks(6).map(<[_]>::to_vec);
        self.peers[0].gossip.extend(frames);
    }

    /// µs since it opened.
    #[must_use]
    pub const fn now_us(&self) -> u64 {
        self.world.now
    }

    /// Its application wants something.
    pub fn command(&mut self, command: Command) {
        self.world.command(0, command);
    }

    /// A message arrives where the client's tunnels end; whether one of them has its gate.
    pub fn deliver(&mut self, datagram: &[u8; MESSAGE_DATAGRAM]) -> bool {
        self.peers.iter_mut().any(|peer| peer.deliver(datagram))
    }

    /// One peer starts a handshake under its own key and shows `shown` as its descriptor.
    pub fn dial(&mut self, peer: usize, shown: &Descriptor) {
        self.peers[peer].dial(SEED, shown, self.world.time());
    }

    /// Runs for so long.
    pub fn run(&mut self, us: u64) {
        self.world.run_with(us, |world| {
            self.unanswered += talk(world, &mut self.peers);
            for peer in &mut self.peers {
                let relay = peer.keys.id();
                let sent = peer.sent.drain(..).map(|(id, to, datagram)| SentMessage {
                    at: world.now,
                    through: (relay, id.0),
                    to,
                    datagram,
                });
                self.sent.extend(sent);
            }
        });
    }

    /// The messages that the client sent since the last call.
    pub fn take_sent(&mut self) -> Vec<SentMessage> {
        std::mem::take(&mut self.sent)
    }

    /// Tunnels that came up.
    #[must_use]
    pub fn tunnels_up(&self) -> usize {
        self.world.seats[0].told(|event| match event {
            Event::Tunnel { change, .. } => matches!(change, TunnelChange::Up { .. }),
            _ => false,
        })
    }
}
