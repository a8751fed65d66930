//! Datagrams of the relay port: their kinds, and the parts that need no session (protocol §4).

use std::net::SocketAddr;

use deut_common::{suite::SuiteRef, time::Unix};
use rand::{Rng, rngs::StdRng};

use super::{
    bytes::{Writer, is_zero, part, part_mut},
    descriptor::{Descriptor, put_address, take_address},
};
use crate::{
    ids::NetworkId,
    keys::{self, RelayKeys},
    labels,
    packet::RELAY_DATAGRAM,
};

/// Any datagram of the relay port: 1,232 bytes.
pub type Datagram = [u8; RELAY_DATAGRAM];

/// The version byte of `WhoAreYou`.
pub const VERSION: u8 = 1;

const _: () = assert!(RELAY_DATAGRAM == 1_232 && crate::policy::PROTOCOL_VERSION == 1);

/// The kind of a datagram, given by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 1: handshake initiation.
    HandshakeInit,
    /// 2: handshake answer.
    HandshakeAnswer,
    /// 4: session datagram, which carries a frame.
    Session,
    /// 5: the question of "who are you?".
    WhoAreYou,
    /// 6: the answer to that question.
    WhoAreYouAnswer,
}

impl Kind {
    /// The kind of this datagram; `None` for 3, which is reserved for the cookie reply, and for all unknown ones.
    #[must_use]
    pub fn of(datagram: &Datagram) -> Option<Self> {
        match *part::<0, 1, _>(datagram) {
            [1] => Some(Self::HandshakeInit),
            [2] => Some(Self::HandshakeAnswer),
            [4] => Some(Self::Session),
            [5] => Some(Self::WhoAreYou),
            [6] => Some(Self::WhoAreYouAnswer),
            _ => None,
        }
    }

    /// The first byte of a datagram of this kind.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::HandshakeInit => 1,
            Self::HandshakeAnswer => 2,
            Self::Session => 4,
            Self::WhoAreYou => 5,
            Self::WhoAreYouAnswer => 6,
        }
    }
}

/// A question for the descriptor of the relay at an address (protocol §4.1).
#[must_use]
pub fn who_are_you(network: NetworkId, nonce: &[u8; 16], rng: &mut StdRng) -> Datagram {
    let mut datagram = [0; RELAY_DATAGRAM];
    rng.fill_bytes(&mut datagram);
    write_head(&mut datagram, Kind::WhoAreYou, network, nonce);
    datagram
}

fn write_head(datagram: &mut Datagram, kind: Kind, network: NetworkId, nonce: &[u8; 16]) {
    let mut writer = Writer::new(datagram);
    writer.put(&[kind.byte(), VERSION]);
    writer.put(&network.0);
    writer.put(nonce);
}

/// The part of a question that has a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The asker's network.
    pub network: NetworkId,
    /// The asker's version.
    pub version: u8,
    /// Nonce that the answer repeats.
    pub nonce: [u8; 16],
}

/// Reads a question. Any bytes of this length are one.
#[must_use]
pub fn parse_who_are_you(datagram: &Datagram) -> Question {
    let [version] = *part::<1, 1, _>(datagram);
    Question {
        network: NetworkId(*part::<2, 4, _>(datagram)),
        version,
        nonce: *part::<6, 16, _>(datagram),
    }
}

/// The index to which a handshake answer is addressed (protocol §4.3). Any bytes of this length have one.
#[must_use]
pub fn answer_receiver(datagram: &Datagram) -> u32 {
    u32::from_be_bytes(*part::<8, 4, _>(datagram))
}

/// Answers a question that came from `asker` (protocol §4.1).
#[must_use]
pub fn who_are_you_answer(
    keys: &RelayKeys,
    own: &Descriptor,
    nonce: &[u8; 16],
    asker: SocketAddr,
    rng: &mut StdRng,
) -> Datagram {
    let mut datagram = [0; RELAY_DATAGRAM];
    rng.fill_bytes(&mut datagram);
    write_head(&mut datagram, Kind::WhoAreYouAnswer, own.network, nonce);
    *part_mut::<22, 18, _>(&mut datagram) = put_address(asker);
    *part_mut::<40, { Descriptor::LEN }, _>(&mut datagram) = *own.bytes();
    // nonce ‖ ip ‖ port ‖ descriptor lie side by side
    let signature = keys.sign(&[labels::WHO_ARE_YOU, part::<6, 230, _>(&datagram)]);
    *part_mut::<236, 64, _>(&mut datagram) = signature;
    datagram
}

/// Adds the answerer's wall clock to its answer (protocol §4.1), in whole seconds: more would only help to identify its machine.
pub fn put_time(datagram: &mut Datagram, keys: &RelayKeys, time: Unix) {
    *part_mut::<300, 8, _>(datagram) = time.0.to_be_bytes();
    let (nonce, time) = (part::<6, 16, _>(datagram), part::<300, 8, _>(datagram));
    let signature = keys.sign(&[labels::CLOCK, nonce, time]);
    *part_mut::<308, 64, _>(datagram) = signature;
}

/// An answer to `WhoAreYou`, not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The answerer's version.
    pub version: u8,
    /// The answerer's network.
    pub network: NetworkId,
    /// Nonce of the question.
    pub nonce: [u8; 16],
    /// The asker's address as the answerer saw it.
    pub observed: SocketAddr,
    /// The answerer's descriptor, still to be decoded and checked.
    pub descriptor: [u8; Descriptor::LEN],
    signed: Box<[u8; 230]>,
    signature: [u8; 64],
    time: [u8; 8],
    time_signature: [u8; 64],
}

/// Reads an answer. Any bytes of this length are one.
#[must_use]
pub fn parse_who_are_you_answer(datagram: &Datagram) -> Answer {
    let [version] = *part::<1, 1, _>(datagram);
    Answer {
        version,
        network: NetworkId(*part::<2, 4, _>(datagram)),
        nonce: *part::<6, 16, _>(datagram),
        observed: take_address(part::<22, 18, _>(datagram)),
        descriptor: *part::<40, { Descriptor::LEN }, _>(datagram),
        signed: Box::new(*part::<6, 230, _>(datagram)),
        signature: *part::<236, 64, _>(datagram),
        time: *part::<300, 8, _>(datagram),
        time_signature: *part::<308, 64, _>(datagram),
    }
}

impl Answer {
    /// Returns true if the identity of `descriptor` signed this answer.
    #[must_use]
    pub fn verify(&self, suite: &SuiteRef, descriptor: &Descriptor) -> bool {
        keys::verify(
            suite,
            &descriptor.identity,
            &[labels::WHO_ARE_YOU, self.signed.as_slice()],
            &self.signature,
        )
    }

    /// The answerer's wall clock, if the identity of `descriptor` signed it. Relays that tell no time send random bytes instead.
    #[must_use]
    pub fn time(&self, suite: &SuiteRef, descriptor: &Descriptor) -> Option<Unix> {
        let signed: [&[u8]; 3] = [labels::CLOCK, &self.nonce, &self.time];
        keys::verify(suite, &descriptor.identity, &signed, &self.time_signature)
            .then(|| Unix(u64::from_be_bytes(self.time)))
    }
}

/// The 16 bytes before the ciphertext of a session datagram (§4.4); they are its associated data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionHeader {
    /// The receiver's session index.
    pub index: u32,
    /// Counts the datagrams of this direction from 0.
    pub counter: u64,
}

impl SessionHeader {
    /// Length on the wire.
    pub const LEN: usize = 16;

    /// Reads the header of a session datagram. `None` if a reserved byte is set or it is of another kind.
    #[must_use]
    pub fn parse(datagram: &Datagram) -> Option<Self> {
        if Kind::of(datagram) != Some(Kind::Session) || !is_zero(part::<1, 3, _>(datagram)) {
            return None;
        }
        Some(Self {
            index: u32::from_be_bytes(*part::<4, 4, _>(datagram)),
            counter: u64::from_be_bytes(*part::<8, 8, _>(datagram)),
        })
    }

    /// Writes the header of a session datagram.
    pub fn write(&self, datagram: &mut Datagram) {
        let mut writer = Writer::new(datagram);
        writer.put(&[Kind::Session.byte(), 0, 0, 0]);
        writer.put(&self.index.to_be_bytes());
        writer.put(&self.counter.to_be_bytes());
    }
}
