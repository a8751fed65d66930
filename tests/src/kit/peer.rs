//! A relay that a test plays by hand: it has a genuine link to a machine, is master of tunnels that end there and endpoint
//! of tunnels that begin there. It speaks the protocol with the crate's own functions, breaks a rule where it is told to,
//! and says whatever a test wants inside genuine sessions.

mod endpoint;
mod fault;
mod master;

use std::{collections::VecDeque, net::SocketAddr};

use deut_transport::{
    crypto::{
        noise::{Initiator, Session, initiate, open_initiation, plaintext, plaintext_mut},
        tunnel::TunnelCipher,
    },
    ids::TunnelId,
    keys::RelayKeys,
    packet::{MESSAGE_DATAGRAM, RELAY_DATAGRAM},
    rsa::{RsaKeyPair, RsaSuite},
    wire::{
        cell::Cell,
        datagram::{Datagram, Kind, parse_who_are_you, who_are_you_answer},
        descriptor::Descriptor,
        frame::{self, CELL_BODY, Control, Frame, FrameBytes, WalkRequest},
    },
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    machine::Machine,
    net::Net,
    relay::{address_of, descriptor, responder, sample},
    world::{Flight, World},
};
use crate::stand_in::StandIn;
pub use {endpoint::Served, fault::Fault, master::Master};

/// Datagrams back and forth after which somebody must be silent.
const ROUNDS: usize = 100;

/// See the module's text.
pub struct Peer {
    /// Its keys.
    pub keys: RelayKeys,
    /// Where it lives.
    pub address: SocketAddr,
    /// What it shows when asked; none: it does not answer.
    pub shown: Option<Descriptor>,
    /// What it tells its neighbour, one frame after each that it hears.
    pub gossip: VecDeque<Vec<[u8; Descriptor::LEN]>>,
    /// Ends each walk at once and does this wrong; none: walks wait in `asked`.
    pub ends: Option<Fault>,
    /// Whether requests in tunnels are answered.
    pub answers: bool,
    /// Walk requests that it may answer.
    pub asked: Vec<WalkRequest>,
    /// Tunnels that it is master of.
    pub masters: Vec<Master>,
    /// Tunnels that end at it.
    pub served: Vec<Served>,
    /// Which of them were tested by an echo, in order.
    pub echoed: Vec<TunnelId>,
    /// Messages that it was given to send, and through which of them.
    pub sent: Vec<(TunnelId, SocketAddr, Box<[u8; MESSAGE_DATAGRAM]>)>,
    /// The newest datagram that it sent.
    pub last: Vec<u8>,
    rng: StdRng,
    rsa: RsaKeyPair,
    initiator: Option<Initiator>,
    session: Option<Session>,
    outgoing: Vec<Vec<u8>>,
}

impl Peer {
    /// The relay of this number; walks wait.
    #[must_use]
    pub fn new(number: u8) -> Self {
        let (keys, shown) = sample(number);
        let mut rng = StdRng::from_seed([number; 32]);
        let rsa = StandIn.generate(rng.random());
        Self {
            keys,
            address: shown.address,
            shown: Some(shown),
            gossip: VecDeque::new(),
            ends: None,
            answers: true,
            asked: Vec::new(),
            masters: Vec::new(),
            served: Vec::new(),
            echoed: Vec::new(),
            sent: Vec::new(),
            last: Vec::new(),
            rng,
            rsa,
            initiator: None,
            session: None,
            outgoing: Vec::new(),
        }
    }

    /// The relay of this number, an honest endpoint.
    #[must_use]
    pub fn honest(number: u8) -> Self {
        Self {
            ends: Some(Fault::None),
            ..Self::new(number)
        }
    }

    /// Its honest descriptor, whatever it shows.
    #[must_use]
    pub fn own(&self) -> Descriptor {
        descriptor(&self.keys, self.address)
    }

    /// Starts a handshake with the relay of this key seed and shows it this; `time` in µs since 1970.
    pub fn dial(&mut self, seed: [u8; 32], shown: &Descriptor, time: u64) {
        let keys = RelayKeys::from_seed(&seed);
        let to = responder(keys.identity(), keys.link());
        let index = self.rng.random();
        let made = initiate(&self.keys, &to, index, Some(shown), time, &mut self.rng);
        let (initiator, datagram) = made.expect("good keys");
        self.initiator = Some(initiator);
        self.outgoing.push(datagram.to_vec());
    }

    /// It and the first machine hear each other until both are silent.
    pub fn pump<M: Machine>(&mut self, world: &mut World<M>) {
        talk(world, std::slice::from_mut(self));
    }

    /// Sends any bytes.
    pub fn send_raw(&mut self, bytes: Vec<u8>) {
        self.outgoing.push(bytes);
    }

    /// Sends a frame inside the session, if there is one.
    pub fn send(&mut self, frame: &FrameBytes) {
        let sealed = self
            .session
            .as_mut()
            .and_then(|session| sealed(session, frame));
        self.outgoing.extend(sealed.map(Vec::from));
    }

    /// Sends a control frame under a tag of its own.
    pub fn control(&mut self, control: &Control) {
        let tag = self.rng.random();
        self.send(&frame::encode_control(tag, control));
    }

    fn hear(&mut self, from: SocketAddr, datagram: &mut Datagram) {
        match Kind::of(datagram) {
            Some(Kind::WhoAreYou) => {
                let nonce = parse_who_are_you(datagram).nonce;
                let answer = self.shown.as_ref().map(|shown| {
                    who_are_you_answer(&self.keys, shown, &nonce, from, &mut self.rng)
                });
                self.outgoing.extend(answer.map(Vec::from));
            }
            Some(Kind::HandshakeInit) => {
                let network = Net::policy().network;
                if let Ok(opened) = open_initiation(&self.keys, network, datagram, &mut self.rng) {
                    let index = opened.sender_index;
                    let own = self.rng.random();
                    let (keys, answer) = opened.answer(own, &mut self.rng).expect("a good key");
                    self.session = Some(Session::new(keys, index));
                    self.outgoing.push(answer.to_vec());
                }
            }
            Some(Kind::HandshakeAnswer) => {
                let opened = self
                    .initiator
                    .as_mut()
                    .and_then(|initiator| initiator.open_answer(datagram).ok());
                if let Some((keys, index)) = opened {
                    self.initiator = None;
                    self.session = Some(Session::new(keys, index));
                    self.send(&frame::encode_keep_alive());
                }
            }
            Some(Kind::Session) => {
                let session = self.session.as_mut();
                if session.is_some_and(|session| session.open(datagram).is_ok()) {
                    self.frame(*plaintext(datagram));
                }
            }
            _ => {}
        }
    }

    fn frame(&mut self, mut bytes: FrameBytes) {
        match frame::decode(&bytes).expect("an honest machine sends frames") {
            Frame::Control { tag, control } => {
                self.send(&frame::encode_ack(tag));
                match control {
                    Control::WalkRequest(request) => match self.ends {
                        Some(fault) => self.end(request, fault, |_| {}),
                        None => self.asked.push(request),
                    },
                    Control::WalkAnswer(answer) => self.walk_answered(&answer),
                    Control::TunnelClosed { .. } | Control::Probe => {}
                }
            }
            Frame::Cell { id } => {
                let mut nonce = frame::cell_nonce(&bytes);
                let body = frame::cell_body_mut(&mut bytes);
                self.cell_for_master(id, &mut nonce, body);
                self.cell_for_endpoint(id, &mut nonce, body);
            }
            _ => {}
        }
        if let Some(told) = self.gossip.pop_front() {
            self.send(&frame::encode_gossip(&told));
        }
    }
}

/// A frame as a datagram of a session, unless that is used up.
pub fn sealed(session: &mut Session, frame: &FrameBytes) -> Option<Datagram> {
    let mut datagram = [0; RELAY_DATAGRAM];
    *plaintext_mut(&mut datagram) = *frame;
    session.seal(&mut datagram).ok()?;
    Some(datagram)
}

/// A cell in its frame, for the tunnel of this id; `cover` puts the layers around it.
fn framed(
    id: TunnelId,
    cell: &Cell,
    cipher: &mut TunnelCipher,
    cover: impl FnOnce(&mut [u8; 16], &mut [u8; CELL_BODY]),
) -> FrameBytes {
    let mut bytes = [0; 1_200];
    let body = frame::cell_body_mut(&mut bytes);
    let mut nonce = cipher.seal(cell, body);
    cover(&mut nonce, body);
    frame::set_cell_header(&mut bytes, id, nonce);
    bytes
}

/// Peers hear what was sent to them, and the first machine what they say, until all are silent. How many datagrams were
/// for nobody.
pub fn talk<M: Machine>(world: &mut World<M>, peers: &mut [Peer]) -> u64 {
    let mut unanswered = 0;
    for _ in 0..ROUNDS {
        for flight in std::mem::take(&mut world.outside) {
            let Some(peer) = peers.iter_mut().find(|peer| peer.address == flight.to) else {
                unanswered += 1;
                continue;
            };
            if let Ok(mut datagram) = <Datagram>::try_from(flight.bytes.as_slice()) {
                peer.hear(flight.from, &mut datagram);
            }
        }
        let mut silent = true;
        for peer in &mut *peers {
            for bytes in std::mem::take(&mut peer.outgoing) {
                silent = false;
                peer.last.clone_from(&bytes);
                let (at, from, to) = (world.now, peer.address, address_of(0));
                world.deliver(
                    &Flight {
                        at,
                        from,
                        to,
                        bytes,
                    },
                    false,
                );
            }
        }
        if silent {
            break;
        }
    }
    unanswered
}
