//! One real transport among relays that are not what they say: they speak the protocol with the crate's own functions
//! and break one rule each.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use deut_common::{
    ids::RelayId,
    time::{Mono, Now, Unix},
};
use deut_transport::{
    Handled, Restored, Transport,
    config::{Config, Role},
    crypto::{
        answer::EndpointAnswer,
        exchange::{Transcript, session_keys},
        layer::LayerKeys,
        noise::{Session, initiate, open_initiation, plaintext, plaintext_mut},
        tunnel::TunnelCipher,
        walk::{Hop, MasterWalk},
    },
    ids::{Gate, Port, TunnelId},
    io::{Action, Command, Event, Input, Output, TunnelChange},
    keys::RelayKeys,
    packet::{MESSAGE_DATAGRAM, Packet, RELAY_DATAGRAM},
    policy::Policy,
    rsa::{RsaKeyPair, RsaSuite},
    wire::{
        cell::Cell,
        datagram::{Datagram, Kind, parse_who_are_you, who_are_you_answer},
        descriptor::Descriptor,
        frame::{self, Control, Frame, FrameBytes, WALK_BLOCK, WALK_SEALED, WalkAnswer},
    },
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use crate::{
    kit::relay::{bootstrap, descriptor, responder},
    net::{Net, START_UNIX},
    stand_in::StandIn,
};

/// What a relay does to the walk of its victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: an honest endpoint.
    None,
    /// Shows the descriptor of another relay beside an RSA key of its own, and signs that itself.
    SwapsKey,
    /// The same, with what that relay signed in another walk.
    SwapsKeyKeepsSignature,
    /// Passes on, unchanged, what another relay signed in a walk of its own.
    ReplaysAnswer,
    /// As a relayer: changes the place where the endpoint's RSA key lies.
    AltersInPassing,
    /// Shows, under its own name, an RSA key that is somebody else's.
    ShowsForeignKey,
    /// Answers the exchange for another RSA key than the master's.
    SealsToAnother,
}

struct Served {
    id_back: TunnelId,
    hop: Hop,
    layers: LayerKeys,
    cipher: TunnelCipher,
    /// As the master set them.
    gates: [Option<Gate>; 2],
}

/// A message that the victim gave to an endpoint to send.
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

/// A relay that the tests play.
pub struct FakeRelay {
    /// Its keys.
    pub keys: RelayKeys,
    /// Where it lives.
    pub address: SocketAddr,
    /// What it shows when asked; none: it does not answer.
    pub shown: Option<Descriptor>,
    /// What it tells its neighbour, one frame each.
    pub gossip: VecDeque<Vec<[u8; Descriptor::LEN]>>,
    /// What it does wrong.
    pub fault: Fault,
    /// Which of its tunnels were tested by an echo, in order.
    pub echoed: Vec<u32>,
    sent: Vec<(u32, SocketAddr, Box<[u8; MESSAGE_DATAGRAM]>)>,
    rng: StdRng,
    rsa: RsaKeyPair,
    session: Option<Session>,
    served: BTreeMap<u32, Served>,
}

impl FakeRelay {
    /// An honest relay with the keys of this number, at an address of its own.
    #[must_use]
    pub fn honest(number: u8) -> Self {
        let keys = RelayKeys::from_seed(&[number; 32]);
        let address = SocketAddr::from(([10, 9, 0, number], 4_000));
        let mut rng = StdRng::from_seed([number; 32]);
        let rsa = StandIn.generate(rng.random());
        let shown = Some(descriptor(&keys, address));
        Self {
            keys,
            address,
            shown,
            gossip: VecDeque::new(),
            fault: Fault::None,
            echoed: Vec::new(),
            sent: Vec::new(),
            rng,
            rsa,
            session: None,
            served: BTreeMap::new(),
        }
    }

    fn handle(&mut self, from: SocketAddr, datagram: &mut Datagram) -> Vec<Vec<u8>> {
        match Kind::of(datagram) {
            Some(Kind::WhoAreYou) => {
                let nonce = parse_who_are_you(datagram).nonce;
                let answer = self.shown.as_ref().map(|shown| {
                    who_are_you_answer(&self.keys, shown, &nonce, from, &mut self.rng)
                });
                answer.map(|answer| answer.to_vec()).into_iter().collect()
            }
            Some(Kind::HandshakeInit) => {
                let network = Net::policy().network;
                let Ok(opened) = open_initiation(&self.keys, network, datagram, &mut self.rng)
                else {
                    return Vec::new();
                };
                let index = opened.sender_index;
                let (keys, answer) = opened
                    .answer(7, &mut self.rng)
                    .expect("an honest initiator");
                self.session = Some(Session::new(keys, index));
                vec![answer.to_vec()]
            }
            Some(Kind::Session) => {
                let opened = self
                    .session
                    .as_mut()
                    .is_some_and(|session| session.open(datagram).is_ok());
                if opened {
                    self.frame(*plaintext(datagram))
                } else {
                    Vec::new()
                }
            }
            _ => Vec::new(),
        }
    }

    fn seal(&mut self, frame: &FrameBytes) -> Vec<u8> {
        let mut packet = Packet::zeroed(RELAY_DATAGRAM);
        *plaintext_mut(packet.as_relay_mut().expect("the length")) = *frame;
        self.session
            .as_mut()
            .expect("a session")
            .seal(packet.as_relay_mut().expect("the length"))
            .expect("few datagrams");
        packet.bytes().to_vec()
    }

    fn frame(&mut self, mut bytes: FrameBytes) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        match frame::decode(&bytes) {
            Ok(Frame::Control { tag, control }) => {
                frames.push(frame::encode_ack(tag));
                if let Control::WalkRequest(request) = control {
                    frames.push(self.walk(request.id_back, &request.element));
                }
            }
            Ok(Frame::Cell { id }) => frames.extend(self.cell(id, &mut bytes)),
            _ => {}
        }
        frames.extend(
            self.gossip
                .pop_front()
                .map(|told| frame::encode_gossip(&told)),
        );
        frames.iter().map(|frame| self.seal(frame)).collect()
    }

    /// The endpoint's answer as an honest relay with this number gives it to a walk of ours: signed, and opened by us.
    fn genuine(number: u8) -> (Self, [u8; 784]) {
        let mut other = Self::honest(number);
        let (walk, element) = MasterWalk::start(&mut other.rng);
        let hop = Hop::take(&element, &mut other.rng).expect("an element");
        let mut sealed = other.endpoint_answer().seal(&other.keys, &hop);
        let mut block = [0; WALK_BLOCK];
        hop.wrap(&mut block, &mut sealed);
        let opened = walk.peel(&block, &sealed).expect("it is for us").answer;
        (other, opened)
    }

    fn endpoint_answer(&self) -> EndpointAnswer {
        let mut address = self.address;
        address.set_port(5_001);
        let expiry = u32::try_from(START_UNIX).expect("before 2106") + 800;
        EndpointAnswer {
            descriptor: descriptor(&self.keys, self.address),
            spki: self.rsa.public.clone(),
            address,
            families: 1,
            expiry,
        }
    }

    fn walk(&mut self, id_back: TunnelId, element: &[u8; 32]) -> FrameBytes {
        let hop = Hop::take(element, &mut self.rng).expect("an element");
        let mut answer = self.endpoint_answer();
        let mut block = [0; WALK_BLOCK];
        self.rng.fill_bytes(&mut block);
        let mut sealed = match self.fault {
            Fault::None | Fault::SealsToAnother => answer.seal(&self.keys, &hop),
            Fault::SwapsKey => {
                answer = EndpointAnswer {
                    spki: self.rsa.public.clone(),
                    ..Self::honest(99).endpoint_answer()
                };
                answer.seal(&self.keys, &hop)
            }
            Fault::SwapsKeyKeepsSignature => {
                let (_, mut opened) = Self::genuine(99);
                opened[196..490].copy_from_slice(self.rsa.public.as_slice());
                reseal(&hop, &opened)
            }
            Fault::ReplaysAnswer => reseal(&hop, &Self::genuine(99).1),
            Fault::ShowsForeignKey => {
                answer.spki = StandIn.generate([1; 32]).public;
                answer.seal(&self.keys, &hop)
            }
            Fault::AltersInPassing => {
                let endpoint = Self::honest(99);
                let last = Hop::take(&hop.next_element(), &mut self.rng).expect("an element");
                let mut sealed = endpoint.endpoint_answer().seal(&endpoint.keys, &last);
                last.wrap(&mut block, &mut sealed);
                sealed[196..490].iter_mut().for_each(|byte| *byte ^= 0x55);
                sealed
            }
        };
        hop.wrap(&mut block, &mut sealed);
        let id_fwd = TunnelId(self.rng.random_range(1..u32::MAX));
        let cipher = TunnelCipher::endpoint(hop.endpoint_keys().k0);
        let layers = hop.layers();
        self.served.insert(
            id_fwd.0,
            Served {
                id_back,
                layers,
                cipher,
                hop,
                gates: [None; 2],
            },
        );
        frame::encode_control(
            self.rng.random(),
            &Control::WalkAnswer(Box::new(WalkAnswer {
                id_back,
                id_fwd,
                block,
                sealed,
            })),
        )
    }

    fn cell(&mut self, id: TunnelId, bytes: &mut FrameBytes) -> Option<FrameBytes> {
        let served = self.served.get_mut(&id.0)?;
        let mut nonce = frame::cell_nonce(bytes);
        let body = frame::cell_body_mut(bytes);
        served.layers.forward(&mut nonce, body);
        let answer = match served.cipher.open(nonce, body).ok()? {
            Cell::Exchange {
                number,
                spki,
                sealed,
            } => {
                let seed_m = self.rsa.private.open(&sealed, [0; 32]);
                let seed_e: [u8; 32] = self.rng.random();
                let to = if self.fault == Fault::SealsToAnother {
                    &self.rsa.public
                } else {
                    &spki
                };
                let oaep_e = StandIn
                    .seal(to, &seed_e, self.rng.random())
                    .expect("a key of ours");
                let endpoint_spki = &self.rsa.public;
                let hop = &served.hop;
                let transcript = Transcript {
                    element: hop.element(),
                    reply: hop.reply(),
                    endpoint_spki,
                    master_spki: &spki,
                    oaep_m: &sealed,
                    oaep_e: &oaep_e,
                };
                let (session, confirmation) =
                    session_keys(hop.shared(), &transcript, &seed_m, &seed_e);
                served.cipher.set_session(session);
                Cell::Exchanged {
                    number,
                    sealed: Box::new(oaep_e),
                    confirmation,
                }
            }
            Cell::SetGate { number, slot, gate } => {
                *served.gates.get_mut(usize::from(slot))? =
                    Some(gate).filter(|gate| gate.0 != [0; 8]);
                Cell::GateSet { number }
            }
            Cell::Send { to, datagram } => {
                self.sent.push((id.0, to, datagram));
                return None;
            }
            Cell::Seeds { number } => Cell::SeedsAnswer {
                number,
                contacts: Vec::new(),
            },
            Cell::Echo { number, data } => {
                self.echoed.push(id.0);
                Cell::Echoed { number, data }
            }
            _ => return None,
        };
        Some(served.cell(&answer))
    }

    /// Takes in what came for one of its tunnels' gates.
    fn deliver(&mut self, datagram: &[u8; MESSAGE_DATAGRAM]) -> Option<Vec<u8>> {
        let gate = datagram.first_chunk().copied().map(Gate);
        let mut served = self.served.values_mut();
        let served = served.find(|served| gate.is_some() && served.gates.contains(&gate))?;
        let frame = served.cell(&Cell::Deliver {
            datagram: Box::new(*datagram),
        });
        Some(self.seal(&frame))
    }
}

impl Served {
    /// A cell for the master.
    fn cell(&mut self, cell: &Cell) -> FrameBytes {
        let mut frame = [0; 1_200];
        let body = frame::cell_body_mut(&mut frame);
        let mut nonce = self.cipher.seal(cell, body);
        self.layers.back(&mut nonce, body);
        frame::set_cell_header(&mut frame, self.id_back, nonce);
        frame
    }
}

fn reseal(hop: &Hop, answer: &[u8; 784]) -> [u8; WALK_SEALED] {
    let mut sealed = [0; WALK_SEALED];
    sealed[..784].copy_from_slice(answer);
    hop.endpoint_keys()
        .seal
        .seal_in_place([0; 12], &[], &mut sealed);
    sealed
}

/// A real client among fakes.
pub struct Laboratory {
    /// The one under test.
    pub victim: Transport,
    /// The others.
    pub fakes: Vec<FakeRelay>,
    /// What it told.
    pub events: Vec<Event>,
    /// Datagrams that it sent to where nobody is.
    pub unanswered: u64,
    address: SocketAddr,
    now: u64,
    start: u64,
    arriving: VecDeque<(SocketAddr, Vec<u8>)>,
    sent: Vec<SentMessage>,
}

impl Laboratory {
    /// A client with these rules, its clock off by so many minutes, that joins through the first of the fakes.
    #[must_use]
    pub fn open(policy: Policy, minutes_off: i64, fakes: Vec<FakeRelay>) -> Self {
        Self::with_tunnels(policy, minutes_off, fakes, 1)
    }

    /// The same with so many tunnels, all of one hop.
    #[must_use]
    pub fn with_tunnels(
        policy: Policy,
        minutes_off: i64,
        fakes: Vec<FakeRelay>,
        tunnels: usize,
    ) -> Self {
        Self::with_pools(policy, minutes_off, fakes, (tunnels, 0))
    }

    /// The same with so many tunnels for lookups and for a persona.
    #[must_use]
    pub fn with_pools(
        policy: Policy,
        minutes_off: i64,
        fakes: Vec<FakeRelay>,
        (lookup_tunnels, persona_tunnels): (usize, usize),
    ) -> Self {
        let mut config = Config::new(policy, Role::Client);
        (
            config.lookup_tunnels,
            config.ready_at,
            config.persona_tunnels,
        ) = (lookup_tunnels, 1, persona_tunnels);
        let start = START_UNIX.saturating_add_signed(minutes_off * 60);
        let now = Now {
            mono: Mono(0),
            unix: Unix(start),
        };
        let restored = Restored {
            key_seed: [200; 32],
            relays: Vec::new(),
        };
        let victim = Transport::new(config, Arc::new(StandIn), &restored, [201; 32], now);
        let address = SocketAddr::from(([10, 9, 1, 1], 4_000));
        let mut this = Self {
            victim,
            fakes,
            events: Vec::new(),
            unanswered: 0,
            address,
            now: 0,
            start,
            arriving: VecDeque::new(),
            sent: Vec::new(),
        };
        let peer = bootstrap(this.fakes[0].address);
        this.input(Input::Command(Command::Bootstrap(vec![peer])));
        this
    }

    fn now(&self) -> Now {
        Now {
            mono: Mono(self.now),
            unix: Unix(self.start + self.now / 1_000_000),
        }
    }

    /// µs since it opened.
    #[must_use]
    pub const fn now_us(&self) -> u64 {
        self.now
    }

    /// Gives the victim an input.
    pub fn input(&mut self, input: Input) {
        let now = self.now();
        self.victim.handle_input(now, input);
    }

    /// A datagram for the victim.
    pub fn inject(&mut self, from: SocketAddr, bytes: Vec<u8>) {
        self.arriving.push_back((from, bytes));
    }

    /// A message arrives where the victim's tunnels end; whether one of them has its gate.
    pub fn deliver(&mut self, datagram: &[u8; MESSAGE_DATAGRAM]) -> bool {
        for fake in &mut self.fakes {
            if let Some(bytes) = fake.deliver(datagram) {
                self.arriving.push_back((fake.address, bytes));
                return true;
            }
        }
        false
    }

    /// An initiation of one fake under its own key that shows `shown` as its descriptor.
    pub fn initiate(&mut self, fake: usize, shown: &Descriptor) {
        let victim = RelayKeys::from_seed(&[200; 32]);
        let to = responder(victim.identity(), victim.link());
        let time = self.now().unix.0 * 1_000_000;
        let FakeRelay {
            keys, rng, address, ..
        } = &mut self.fakes[fake];
        let (_, datagram) = initiate(keys, &to, 77, Some(shown), time, rng).expect("good keys");
        let from = *address;
        self.inject(from, datagram.to_vec());
    }

    /// Runs for so long.
    pub fn run(&mut self, us: u64) {
        let end = self.now + us;
        loop {
            while let Some((from, bytes)) = self.arriving.pop_front() {
                let handled = self.victim.handle_datagram(
                    self.now(),
                    Port::Relay,
                    from,
                    Packet::copy_of(&bytes),
                );
                assert!(
                    !matches!(handled, Handled::Forward { .. }),
                    "it relays nothing"
                );
            }
            match self.victim.poll_output(self.now()) {
                Output::Do(Action::Transmit { to, mut packet, .. }) => {
                    self.transmit(to, packet.as_relay_mut().expect("the length"))
                }
                Output::Do(Action::Job { ticket, work, .. }) => self.input(Input::JobDone {
                    ticket,
                    result: work.run(&StandIn),
                }),
                Output::Event(event) => self.events.push(event),
                Output::Do(Action::OpenPort { .. })
                | Output::Do(Action::ClosePort(_))
                | Output::Do(Action::Persist(_)) => {}
                Output::Wait { .. } if !self.arriving.is_empty() => {}
                Output::Wait {
                    until: Some(Mono(until)),
                    ..
                } if until <= end => {
                    self.now = self.now.max(until);
                    self.input(Input::Timeout);
                }
                Output::Wait { .. } => {
                    self.now = end;
                    return;
                }
            }
        }
    }

    fn transmit(&mut self, to: SocketAddr, datagram: &mut Datagram) {
        let address = self.address;
        self.unanswered += u64::from(self.fakes.iter().all(|fake| fake.address != to));
        for fake in self.fakes.iter_mut().filter(|fake| fake.address == to) {
            self.arriving.extend(
                fake.handle(address, datagram)
                    .into_iter()
                    .map(|bytes| (to, bytes)),
            );
            let (at, relay) = (self.now, fake.keys.id());
            self.sent
                .extend(fake.sent.drain(..).map(|(id, to, datagram)| SentMessage {
                    at,
                    through: (relay, id),
                    to,
                    datagram,
                }));
        }
    }

    /// The messages that the victim sent since the last call.
    pub fn take_sent(&mut self) -> Vec<SentMessage> {
        std::mem::take(&mut self.sent)
    }

    /// Tunnels that came up.
    #[must_use]
    pub fn tunnels_up(&self) -> usize {
        let up = |event: &&Event| {
            matches!(
                event,
                Event::Tunnel {
                    change: TunnelChange::Up { .. },
                    ..
                }
            )
        };
        self.events.iter().filter(up).count()
    }
}
