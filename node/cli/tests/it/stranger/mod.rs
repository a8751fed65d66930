//! Datagrams for a daemon from somebody who knows the protocol: random ones, and genuine ones of every kind with some bytes
//! changed.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{SystemTime, UNIX_EPOCH},
};

use deut_common::{ids::PersonaKey, suite::SuiteRef};
use deut_transport::{
    crypto::{
        message::{gate, seal_request},
        noise::{Initiator, Responder, Session, initiate, plaintext_mut},
    },
    ids::{Gate, Service},
    keys::RelayKeys,
    packet::RELAY_DATAGRAM,
    policy::Policy,
    wire::{
        datagram::{self, Datagram, Kind},
        descriptor::Descriptor,
        frame,
        hello::Hello,
        message::RequestHeader,
    },
};
use rand::{RngExt, rngs::StdRng};

/// Genuine datagrams of each kind.
const EACH: u32 = 20;

/// What a datagram is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Random bytes of a length around those that count, often with a genuine-looking start.
    Random,
    /// Random bytes of any length that UDP carries.
    AnyLength,
    /// `WhoAreYou` and its answer, altered.
    Question,
    /// The first datagram of a handshake, or the answer to one, altered.
    Handshake,
    /// A datagram of a session that stands, altered.
    Session,
    /// A HELLO for a gate that is open, or an echo, altered.
    Hello,
    /// A request to a persona, with a gate that is open, altered.
    Message,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Random,
        Self::AnyLength,
        Self::Question,
        Self::Handshake,
        Self::Session,
        Self::Hello,
        Self::Message,
    ];

    /// Whether genuine ones arrive at endpoint ports.
    pub fn is_for_endpoints(self) -> bool {
        matches!(self, Self::Hello | Self::Message)
    }
}

/// Genuine datagrams of a stranger to one daemon, to be altered.
pub struct Stranger {
    questions: Vec<Vec<u8>>,
    handshakes: Vec<Vec<u8>>,
    session: Vec<Vec<u8>>,
    /// With the port that each is for.
    hellos: Vec<(u16, Vec<u8>)>,
    messages: Vec<(u16, Vec<u8>)>,
}

impl Stranger {
    /// Asks the daemon at `to` who it is, makes a session with it, and prepares more. `gates`: personas and the endpoint
    /// addresses at which that daemon takes messages for them.
    pub fn meet(
        socket: &UdpSocket,
        to: SocketAddr,
        policy: &Policy,
        gates: &[(PersonaKey, SocketAddr)],
        rng: &mut StdRng,
    ) -> Self {
        let question = datagram::who_are_you(policy.network, &rng.random(), rng);
        let answer = ask(socket, to, &question, Kind::WhoAreYouAnswer);
        let shown = datagram::parse_who_are_you_answer(&answer).descriptor;
        let daemon = Descriptor::decode(&shown).expect("a descriptor");
        let responder = Responder {
            network: policy.network,
            identity: daemon.identity,
            link: daemon.link,
        };
        let keys = RelayKeys::from_seed(&rng.random());
        let mut initiate = |n: u32| -> (Initiator, Datagram) {
            initiate(&keys, &responder, n, None, time() + u64::from(n), rng).expect("a key")
        };
        let (mut initiator, first) = initiate(1);
        let accepted = ask(socket, to, &first, Kind::HandshakeAnswer);
        let (session, index) = initiator.open_answer(&accepted).expect("our answer");
        let mut session = Session::new(session, index);
        // The daemon trusts the session from its first datagram on.
        let up = sealed(&mut session, &frame::encode_keep_alive());
        socket.send_to(&up, to).expect("sent");
        let frames = [
            frame::encode_keep_alive(),
            frame::encode_gossip_request(),
            frame::encode_control(7, &frame::Control::Probe),
            frame::encode_ack(9),
            frame::encode_gossip(&[shown]),
        ];
        let frames = frames.iter().cycle().take(EACH as usize);
        Self {
            questions: vec![question.to_vec(), answer.to_vec()],
            handshakes: (2..2 + EACH)
                .map(|n| initiate(n).1.to_vec())
                .chain([accepted.to_vec()])
                .collect(),
            session: frames.map(|frame| sealed(&mut session, frame)).collect(),
            hellos: gates.iter().map(|at| hello(at, rng)).collect(),
            messages: gates.iter().map(|at| message(at, rng)).collect(),
        }
    }

    /// A datagram of this class, and the port that its original was for, if that is an endpoint port.
    pub fn datagram(&self, class: Class, rng: &mut StdRng) -> (Option<u16>, Vec<u8>) {
        let relay = |list: &[Vec<u8>], rng: &mut StdRng| {
            let genuine = list[rng.random_range(0..list.len())].clone();
            (None, mutated(genuine, rng))
        };
        let endpoint = |list: &[(u16, Vec<u8>)], rng: &mut StdRng| {
            let (port, genuine) = list[rng.random_range(0..list.len())].clone();
            (Some(port), mutated(genuine, rng))
        };
        match class {
            Class::Random => (None, random(rng)),
            Class::AnyLength => {
                let length = rng.random_range(0..=65_507);
                (None, of_length(length, rng))
            }
            Class::Question => relay(&self.questions, rng),
            Class::Handshake => relay(&self.handshakes, rng),
            Class::Session => relay(&self.session, rng),
            Class::Hello if rng.random_range(0..4) == 0 => {
                let nonce = rng.random();
                let echo = Hello::Echo { nonce }.encode(rng.random());
                (None, mutated(echo.to_vec(), rng))
            }
            Class::Hello => endpoint(&self.hellos, rng),
            Class::Message => endpoint(&self.messages, rng),
        }
    }
}

/// Sends a datagram and waits for the answer of that kind.
fn ask(socket: &UdpSocket, to: SocketAddr, datagram: &Datagram, kind: Kind) -> Datagram {
    socket
        .set_read_timeout(Some(crate::fleet::PATIENCE))
        .expect("a guard");
    socket.send_to(datagram, to).expect("asked");
    loop {
        let mut answer = [0; RELAY_DATAGRAM];
        let (length, from) = socket.recv_from(&mut answer).expect("answered");
        if (length, from) == (RELAY_DATAGRAM, to) && Kind::of(&answer) == Some(kind) {
            return answer;
        }
    }
}

fn sealed(session: &mut Session, frame: &frame::FrameBytes) -> Vec<u8> {
    let mut datagram = [0; RELAY_DATAGRAM];
    *plaintext_mut(&mut datagram) = *frame;
    session.seal(&mut datagram).expect("not used up");
    datagram.to_vec()
}

fn hello((persona, at): &(PersonaKey, SocketAddr), rng: &mut StdRng) -> (u16, Vec<u8>) {
    let question = Hello::Question {
        gate: gate(&persona.0, *at),
        nonce: rng.random(),
    };
    (at.port(), question.encode(rng.random()).to_vec())
}

fn message((persona, at): &(PersonaKey, SocketAddr), rng: &mut StdRng) -> (u16, Vec<u8>) {
    let header = RequestHeader {
        request_id: rng.random(),
        reply: *at,
        reply_gate: Gate(rng.random()),
        service: Service::KADEMLIA,
    };
    let sealed = seal_request(
        &SuiteRef::default(),
        persona,
        gate(&persona.0, *at),
        &header,
        b"hello",
        rng,
    );
    (
        at.port(),
        sealed.expect("a persona's key").datagram.to_vec(),
    )
}

/// Microseconds since 1970.
fn time() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_micros() as u64
}

fn of_length(length: usize, rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rng.fill(bytes.as_mut_slice());
    bytes
}

/// Random bytes, or a genuine-looking start with random bytes behind it.
fn random(rng: &mut StdRng) -> Vec<u8> {
    let length = match rng.random_range(0..8) {
        0 => 1_232,
        1 => 1_120,
        2 => 64,
        3 => rng.random_range(0..8),
        4 => rng.random_range(1_225..1_240),
        5 => rng.random_range(1_110..1_130),
        _ => rng.random_range(0..2_000),
    };
    let mut bytes = of_length(length, rng);
    if rng.random_range(0..2) == 0 {
        if let Some(kind) = bytes.first_mut() {
            *kind = rng.random_range(0..8);
        }
        for reserved in bytes.iter_mut().skip(1).take(3) {
            *reserved = 0;
        }
    }
    bytes
}

/// Some bytes changed, at the beginning as often as anywhere; sometimes cut, or with more behind it.
fn mutated(mut bytes: Vec<u8>, rng: &mut StdRng) -> Vec<u8> {
    let length = bytes.len();
    for _ in 0..rng.random_range(1..4) {
        let end = if rng.random_range(0..2) == 0 {
            length.min(32)
        } else {
            length
        };
        bytes[rng.random_range(0..end)] ^= rng.random_range(1..=255_u8);
    }
    match rng.random_range(0..10) {
        0 => bytes.truncate(rng.random_range(0..length)),
        1 => bytes.resize(length + rng.random_range(1..1_300), 0),
        _ => {}
    }
    bytes
}
