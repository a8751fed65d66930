//! A neighbour that the tests play: a relay with a real link to the machine under test, master of tunnels that end
//! there and endpoint of tunnels that begin there, which says whatever the fuzzer wants inside genuine sessions.

use std::net::SocketAddr;

use deut_transport::{
    Transport,
    crypto::{
        exchange::{Transcript, session_keys},
        layer::LayerKeys,
        noise::{
            Initiator, Responder, Session, initiate, open_initiation, plaintext, plaintext_mut,
        },
        tunnel::TunnelCipher,
        walk::{EndpointAnswer, Hop, MasterWalk, WalkOpened},
    },
    ids::TunnelId,
    keys::RelayKeys,
    packet::{Packet, RELAY_DATAGRAM},
    rsa::{RsaKeyPair, RsaSuite},
    wire::{
        cell::Cell,
        datagram::{Datagram, Kind, parse_who_are_you, who_are_you_answer},
        descriptor::Descriptor,
        frame::{self, Control, Frame, FrameBytes, WALK_BLOCK, WalkAnswer, WalkRequest},
    },
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use super::{
    descriptor::sample,
    input::sized,
    world::{Flight, World},
};
use crate::{
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
        let to = Responder {
            network: Net::policy().network,
            identity: victim.identity(),
            link: victim.link(),
        };
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
            let to = World::<Transport>::address_of(0);
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
        if session.seal(&mut packet).is_ok() {
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

    /// Asks for a tunnel.
    pub fn walk(&mut self) {
        let (walk, element) = MasterWalk::start(&mut self.rng);
        let id_back = TunnelId(self.rng.random_range(1..u32::MAX));
        self.masters.push(Master {
            id_back,
            walk,
            opened: None,
            pending: None,
            confirmed: false,
        });
        self.control(&Control::WalkRequest(WalkRequest { id_back, element }));
    }

    /// Sends a control frame under a tag of its own.
    pub fn control(&mut self, control: &Control) {
        let tag = self.rng.random();
        self.send(&frame::encode_control(tag, control));
    }

    fn walk_answered(&mut self, answer: &WalkAnswer) {
        let Some(master) = self
            .masters
            .iter_mut()
            .find(|master| master.id_back == answer.id_back && master.opened.is_none())
        else {
            return;
        };
        if let Some(mut opened) = master.walk.peel(&answer.block, &answer.sealed) {
            let told = EndpointAnswer::open_and_verify(&opened).expect("an honest endpoint");
            // The cipher takes the keys; the opened walk keeps the rest.
            let placeholder = super::cell::keys(0);
            let k0 = std::mem::replace(&mut opened.endpoint.k0, placeholder);
            let cipher = TunnelCipher::master(k0);
            master.opened = Some((opened, told, answer.id_fwd, cipher));
        }
    }

    /// Starts the exchange of a tunnel.
    pub fn exchange(&mut self, which: usize, number: u32) {
        let (seed, sealing) = (self.rng.random(), self.rng.random());
        let Some(master) = self.masters.get_mut(which) else {
            return;
        };
        let Some((_, told, ..)) = &master.opened else {
            return;
        };
        let Ok(sealed) = StandIn.seal(&told.spki, &seed, sealing) else {
            return;
        };
        let sealed = Box::new(sealed);
        master.pending = Some((sealed.clone(), seed));
        let spki = self.rsa.public.clone();
        let cell = Cell::Exchange {
            number,
            spki,
            sealed,
        };
        self.as_master(which, &cell);
    }

    /// Sends a cell as the master of a tunnel.
    pub fn as_master(&mut self, which: usize, cell: &Cell) {
        let Some(master) = self.masters.get_mut(which) else {
            return;
        };
        let Some((opened, _, id_fwd, cipher)) = &mut master.opened else {
            return;
        };
        let mut bytes = [0; 1_200];
        let body = frame::cell_body_mut(&mut bytes);
        let mut nonce = cipher.seal(cell, body);
        for layer in opened.layers.iter().rev() {
            layer.prepare_forward(&mut nonce, body);
        }
        frame::set_cell_header(&mut bytes, *id_fwd, nonce);
        self.send(&bytes);
    }

    /// Answers a walk request as its endpoint; `spoil` may change the answer.
    pub fn serve(&mut self, which: usize, spoil: impl FnOnce(&mut WalkAnswer)) {
        let Some(Asked { id_back, element }) = self.asked.get(which).copied() else {
            return;
        };
        let Ok(hop) = Hop::take(&element, &mut self.rng) else {
            return;
        };
        let mut address = self.address;
        address.set_port(5_001);
        let answer = EndpointAnswer {
            descriptor: self.shown.clone(),
            spki: self.rsa.public.clone(),
            address,
            families: 1,
            expiry: START_UNIX as u32 + 800,
        };
        let mut sealed = answer.seal(&self.keys, &hop);
        let mut block = [0; WALK_BLOCK];
        self.rng.fill_bytes(&mut block);
        hop.wrap(&mut block, &mut sealed);
        let id_fwd = TunnelId(self.rng.random_range(1..u32::MAX));
        let mut answer = WalkAnswer {
            id_back,
            id_fwd,
            block,
            sealed,
        };
        spoil(&mut answer);
        self.served.push(Served {
            id_back,
            id_fwd,
            layers: hop.layers(),
            cipher: TunnelCipher::endpoint(hop.endpoint_keys().k0),
            hop,
            exchanged: false,
        });
        self.control(&Control::WalkAnswer(Box::new(answer)));
    }

    /// Sends a cell as the endpoint of a tunnel.
    pub fn as_endpoint(&mut self, which: usize, cell: &Cell) {
        let Some(served) = self.served.get_mut(which) else {
            return;
        };
        let mut bytes = [0; 1_200];
        let body = frame::cell_body_mut(&mut bytes);
        let mut nonce = served.cipher.seal(cell, body);
        served.layers.back(&mut nonce, body);
        frame::set_cell_header(&mut bytes, served.id_back, nonce);
        self.send(&bytes);
    }

    fn cell(&mut self, id: TunnelId, bytes: &mut FrameBytes) {
        let mut nonce = frame::cell_nonce(bytes);
        let body = frame::cell_body_mut(bytes);
        if let Some(at) = self.masters.iter().position(|master| master.id_back == id) {
            let master = &mut self.masters[at];
            if let Some((opened, told, _, cipher)) = &mut master.opened {
                for layer in &opened.layers {
                    layer.undo_back(&mut nonce, body);
                }
                if let Ok(Cell::Exchanged {
                    sealed,
                    confirmation,
                    ..
                }) = cipher.open(nonce, body)
                    && let Some((oaep_m, seed_m)) = &master.pending
                {
                    let transcript = Transcript {
                        element: &opened.element,
                        reply: &opened.reply,
                        endpoint_spki: &told.spki,
                        master_spki: &self.rsa.public,
                        oaep_m,
                        oaep_e: &sealed,
                    };
                    let seed_e = self.rsa.private.open(&sealed, [0; 32]);
                    let (keys, expected) =
                        session_keys(&opened.shared, &transcript, seed_m, &seed_e);
                    if expected == confirmation {
                        cipher.set_session(keys);
                        master.confirmed = true;
                    }
                }
            }
        } else if let Some(at) = self.served.iter().position(|served| served.id_fwd == id) {
            let served = &mut self.served[at];
            served.layers.forward(&mut nonce, body);
            if let Ok(cell) = served.cipher.open(nonce, body)
                && self.answers
            {
                self.answer(at, cell);
            }
        }
    }

    fn answer(&mut self, at: usize, cell: Cell) {
        let answer = match cell {
            Cell::Exchange {
                number,
                spki,
                sealed,
            } => {
                let seed_m = self.rsa.private.open(&sealed, [0; 32]);
                let (seed_e, sealing) = (self.rng.random(), self.rng.random());
                let Ok(oaep_e) = StandIn.seal(&spki, &seed_e, sealing) else {
                    return;
                };
                let served = &mut self.served[at];
                let transcript = Transcript {
                    element: served.hop.element(),
                    reply: served.hop.reply(),
                    endpoint_spki: &self.rsa.public,
                    master_spki: &spki,
                    oaep_m: &sealed,
                    oaep_e: &oaep_e,
                };
                let (keys, confirmation) =
                    session_keys(served.hop.shared(), &transcript, &seed_m, &seed_e);
                served.cipher.set_session(keys);
                served.exchanged = true;
                Cell::Exchanged {
                    number,
                    sealed: Box::new(oaep_e),
                    confirmation,
                }
            }
            Cell::SetGate { number, .. } => Cell::GateSet { number },
            Cell::Advertise { number, .. } => Cell::Advertised { number },
            Cell::Seeds { number } => Cell::SeedsAnswer {
                number,
                contacts: vec![sized::<120>(&number.to_be_bytes()).to_vec()],
            },
            Cell::Echo { number, data } => Cell::Echoed { number, data },
            Cell::Close { number } => Cell::Closed { number },
            Cell::Describe { number, .. } => Cell::Described {
                number,
                descriptor: Some(Box::new(*self.shown.bytes())),
            },
            _ => return,
        };
        self.as_endpoint(at, &answer);
    }
}
