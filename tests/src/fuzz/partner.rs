//! A neighbour that the tests play: a relay with a real link to the machine under test, master of tunnels that end
//! there and endpoint of tunnels that begin there, which says whatever the fuzzer wants inside genuine sessions.

mod tunnels;

use std::net::SocketAddr;

use deut_transport::{
    Transport,
    crypto::{
        answer::EndpointAnswer,
        layer::LayerKeys,
        noise::{Initiator, Session, initiate, open_initiation, plaintext, plaintext_mut},
        tunnel::TunnelCipher,
        walk::{Hop, MasterWalk, WalkOpened},
    },
    ids::TunnelId,
    keys::RelayKeys,
    packet::{Packet, RELAY_DATAGRAM},
    rsa::{RsaKeyPair, RsaSuite},
    wire::{
        datagram::{Datagram, Kind, parse_who_are_you, who_are_you_answer},
        descriptor::Descriptor,
        frame::{self, Control, Frame, FrameBytes, WalkRequest},
    },
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    kit::{
        relay::{address_of, responder, sample},
        world::{Flight, World},
    },
    net::{Net, START_UNIX},
    stand_in::StandIn,
};

/// A tunnel whose master the partner is, one hop long.
pub struct Master {
    /// What it chose for cells back.
    pub id_back: TunnelId,
    walk: MasterWalk,
    opened: Option<(WalkOpened, EndpointAnswer, TunnelId, TunnelCipher)>,
    pending: Option<(Box<[u8; 256]>, [u8; 32])>,
    /// Whether the exchange was confirmed.
    pub confirmed: bool,
}

/// A tunnel that ends at the partner.
pub struct Served {
    id_back: TunnelId,
    id_fwd: TunnelId,
    hop: Hop,
    layers: LayerKeys,
    cipher: TunnelCipher,
    /// Whether it answered an exchange.
    pub exchanged: bool,
}

/// A walk request of the machine under test.
#[derive(Clone, Copy)]
pub struct Asked {
    /// For cells back to it.
    pub id_back: TunnelId,
    /// E.
    pub element: [u8; 32],
}

/// See the module's text.
pub struct Partner {
    keys: RelayKeys,
    shown: Descriptor,
    /// Where it lives.
    pub address: SocketAddr,
    rng: StdRng,
    rsa: RsaKeyPair,
    initiator: Option<Initiator>,
    session: Option<Session>,
    /// Whether requests in tunnels are answered.
    pub answers: bool,
    /// Tunnels that it is master of.
    pub masters: Vec<Master>,
    /// Tunnels that end at it.
    pub served: Vec<Served>,
    /// Walk requests that it may answer.
    pub asked: Vec<Asked>,
    /// Calls that the machine's application made.
    pub calls: u64,
    /// The newest datagram that it sent.
    pub last: Vec<u8>,
    outgoing: Vec<Vec<u8>>,
}

impl Partner {
    /// The relay of this number.
    #[must_use]
    pub fn new(number: u8) -> Self {
        let (keys, shown) = sample(number);
        let mut rng = StdRng::from_seed([number; 32]);
        let rsa = StandIn.generate(rng.random());
        Self {
            address: shown.address,
            keys,
            shown,
            rng,
            rsa,
            initiator: None,
            session: None,
            answers: true,
            masters: Vec::new(),
            served: Vec::new(),
            asked: Vec::new(),
            calls: 0,
            last: Vec::new(),
            outgoing: Vec::new(),
        }
    }

    /// Starts a handshake with the relay of this key seed.
    pub fn dial(&mut self, seed: [u8; 32], now_us: u64) {
        let victim = RelayKeys::from_seed(&seed);
        let to = responder(victim.identity(), victim.link());
        let time = START_UNIX * 1_000_000 + now_us;
        let index = self.rng.random();
        let made = initiate(
            &self.keys,
            &to,
            index,
            Some(&self.shown),
            time,
            &mut self.rng,
        );
        let (initiator, datagram) = made.expect("good keys");
        self.initiator = Some(initiator);
        self.outgoing.push(datagram.to_vec());
    }

    /// Hears what was sent to it and says what it has to say, until both are silent.
    pub fn pump(&mut self, world: &mut World<Transport>) {
        for _ in 0..100 {
            for flight in std::mem::take(&mut world.outside) {
                if flight.to == self.address
                    && let Ok(mut datagram) = <Datagram>::try_from(flight.bytes.as_slice())
                {
                    self.hear(flight.from, &mut datagram);
                }
            }
            if self.outgoing.is_empty() {
                return;
            }
            let to = address_of(0);
            for bytes in std::mem::take(&mut self.outgoing) {
                self.last.clone_from(&bytes);
                let (at, from) = (world.now, self.address);
                let flight = Flight {
                    at,
                    from,
                    to,
                    bytes,
                };
                world.deliver(&flight, false);
            }
        }
    }

    /// Sends any bytes.
    pub fn send_raw(&mut self, bytes: Vec<u8>) {
        self.outgoing.push(bytes);
    }

    /// Sends a frame inside the session, if there is one.
    pub fn send(&mut self, frame: &FrameBytes) {
        let Some(session) = &mut self.session else {
            return;
        };
        let mut packet = Packet::zeroed(RELAY_DATAGRAM);
        *plaintext_mut(packet.as_relay_mut().expect("the length")) = *frame;
        let sealed = session.seal(packet.as_relay_mut().expect("the length"));
        if sealed.is_ok() {
            self.outgoing.push(packet.bytes().to_vec());
        }
    }

    fn hear(&mut self, from: SocketAddr, datagram: &mut Datagram) {
        match Kind::of(datagram) {
            Some(Kind::WhoAreYou) => {
                let nonce = parse_who_are_you(datagram).nonce;
                let answer =
                    who_are_you_answer(&self.keys, &self.shown, &nonce, from, &mut self.rng);
                self.outgoing.push(answer.to_vec());
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
                    Control::WalkRequest(WalkRequest { id_back, element }) => {
                        self.asked.push(Asked { id_back, element });
                    }
                    Control::WalkAnswer(answer) => self.walk_answered(&answer),
                    Control::TunnelClosed { .. } | Control::Probe => {}
                }
            }
            Frame::Cell { id } => self.cell(id, &mut bytes),
            _ => {}
        }
    }

    /// Sends a control frame under a tag of its own.
    pub fn control(&mut self, control: &Control) {
        let tag = self.rng.random();
        self.send(&frame::encode_control(tag, control));
    }
}
