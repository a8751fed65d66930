//! The link handshake: Noise IK in two datagrams of 1,232 bytes, each with a MAC before it (protocol §4.2, §4.3).

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use rand::{Rng, rngs::StdRng};
use sha2::{Digest, Sha256};
use snow::{Builder, HandshakeState};
use zeroize::Zeroize;

pub use super::session::{Exhausted, Session, SessionKeys, plaintext, plaintext_mut};
use super::{aead::AeadKey, resolver::Resolver};
use crate::{
    drop_reason::DropReason,
    ids::NetworkId,
    keys::RelayKeys,
    labels,
    packet::RELAY_DATAGRAM,
    wire::{
        bytes::{Writer, is_zero, part, part_mut},
        datagram::{Datagram, Kind, answer_receiver},
        descriptor::Descriptor,
    },
};

const PATTERN: &str = "Noise_IK_25519_AESGCM_SHA256";
/// Offset of MAC1 in both handshake datagrams; MAC2 follows.
const MAC1_AT: usize = RELAY_DATAGRAM - 32;
const MESSAGE_1: usize = 1_192;
const PAYLOAD_1: usize = 1_096;
const MESSAGE_2: usize = 1_188;
const PAYLOAD_2: usize = 1_140;
/// Offset of the time in the first payload, after the descriptor.
const TIME_AT: usize = 1 + Descriptor::LEN;

const _: () = assert!(1 + 3 + 4 + MESSAGE_1 == MAC1_AT && 32 + 48 + PAYLOAD_1 + 16 == MESSAGE_1);
const _: () = assert!(1 + 3 + 4 + 4 + MESSAGE_2 == MAC1_AT && 32 + PAYLOAD_2 + 16 == MESSAGE_2);

/// The reason why a handshake fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoiseError {
    /// A key is of small order or not the peer's, or the message was altered.
    #[error("the handshake fails")]
    Refused,
    /// A reserved byte is set or padding is not zero.
    #[error("the handshake is malformed")]
    Malformed,
}

impl From<snow::Error> for NoiseError {
    fn from(_: snow::Error) -> Self {
        Self::Refused
    }
}

impl From<NoiseError> for DropReason {
    fn from(error: NoiseError) -> Self {
        match error {
            NoiseError::Refused => Self::BadHandshake,
            NoiseError::Malformed => Self::Malformed,
        }
    }
}

/// The key of MAC1 for handshakes towards the owner of this link key.
#[must_use]
pub fn mac1_key(link_public: &[u8; 32]) -> [u8; 32] {
    Sha256::new()
        .chain_update(labels::MAC1)
        .chain_update(link_public)
        .finalize()
        .into()
}

/// Checks MAC1 of a handshake datagram, in constant time and before any public-key work. False for all other kinds.
#[must_use]
pub fn check_mac1(key: &[u8; 32], datagram: &Datagram, kind: Kind) -> bool {
    matches!(kind, Kind::HandshakeInit | Kind::HandshakeAnswer)
        && mac1(key, datagram)
            .verify_truncated_left(part::<MAC1_AT, 16, _>(datagram))
            .is_ok()
}

fn mac1(key: &[u8; 32], datagram: &Datagram) -> Hmac<Sha256> {
    // HMAC pads its key with zeros to a block of SHA-256
    let mut block = [0; 64];
    *part_mut::<0, 32, _>(&mut block) = *key;
    Hmac::<Sha256>::new(&block.into()).chain_update(part::<0, MAC1_AT, _>(datagram))
}

/// Writes MAC1, and random bytes in the place of MAC2.
fn write_macs(link_public: &[u8; 32], datagram: &mut Datagram, rng: &mut StdRng) {
    let mac: [u8; 32] = mac1(&mac1_key(link_public), datagram)
        .finalize()
        .into_bytes()
        .into();
    *part_mut::<MAC1_AT, 16, _>(datagram) = *part::<0, 16, _>(&mac);
    rng.fill_bytes(part_mut::<{ MAC1_AT + 16 }, 16, _>(datagram));
}

/// A handshake that we started.
pub struct Initiator {
    noise: Box<HandshakeState>,
    index: u32,
}

/// The peer that a handshake is for.
#[derive(Clone, Copy, Debug)]
pub struct Responder {
    /// Network id, the same on both sides.
    pub network: NetworkId,
    /// Its identity key. It is bound into the prologue, so a descriptor that shows somebody else's link key leads nowhere.
    pub identity: [u8; 32],
    /// Its link key.
    pub link: [u8; 32],
}

/// Starts a handshake. `index` names the session on our side; `time` is in microseconds since 1970 and must be above that of every
/// earlier initiation.
///
/// # Errors
/// The responder's link key is of small order.
pub fn initiate(
    keys: &RelayKeys,
    responder: &Responder,
    index: u32,
    descriptor: Option<&Descriptor>,
    time: u64,
    rng: &mut StdRng,
) -> Result<(Initiator, Datagram), NoiseError> {
    let prologue = prologue(responder.network, &responder.identity);
    let mut noise = Builder::with_resolver(PATTERN.parse()?, Box::new(Resolver::new(rng)))
        .prologue(&prologue)?
        .local_private_key(keys.link_secret().as_bytes())?
        .remote_public_key(&responder.link)?
        .build_initiator()?;
    let mut payload = [0; PAYLOAD_1];
    if let Some(descriptor) = descriptor {
        *part_mut::<0, 1, _>(&mut payload) = [1];
        *part_mut::<1, { Descriptor::LEN }, _>(&mut payload) = *descriptor.bytes();
    }
    *part_mut::<TIME_AT, 8, _>(&mut payload) = time.to_be_bytes();
    let mut datagram = [0; RELAY_DATAGRAM];
    let mut writer = Writer::new(&mut datagram);
    writer.put(&[Kind::HandshakeInit.byte(), 0, 0, 0]);
    writer.put(&index.to_be_bytes());
    noise.write_message(&payload, part_mut::<8, MESSAGE_1, _>(&mut datagram))?;
    write_macs(&responder.link, &mut datagram, rng);
    Ok((
        Initiator {
            noise: Box::new(noise),
            index,
        },
        datagram,
    ))
}

fn prologue(network: NetworkId, responder: &[u8; 32]) -> Vec<u8> {
    [labels::LINK, &network.0, responder].concat()
}

impl Initiator {
    /// Our index of the session.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Opens an answer and returns the keys and the responder's index of the session. After a failure a genuine answer still opens.
    ///
    /// # Errors
    /// If it answers another index than ours, or is forged or malformed.
    pub fn open_answer(&mut self, datagram: &Datagram) -> Result<(SessionKeys, u32), NoiseError> {
        if Kind::of(datagram) != Some(Kind::HandshakeAnswer)
            || !is_zero(part::<1, 3, _>(datagram))
            || answer_receiver(datagram) != self.index
        {
            return Err(NoiseError::Malformed);
        }
        let mut payload = [0; PAYLOAD_2];
        self.noise
            .read_message(part::<12, MESSAGE_2, _>(datagram), &mut payload)?;
        if !is_zero(&payload) {
            return Err(NoiseError::Malformed);
        }
        Ok((
            split(&mut self.noise),
            u32::from_be_bytes(*part::<4, 4, _>(datagram)),
        ))
    }
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Initiator(..)")
    }
}

/// Raw split keys of a finished handshake. Noise: the first key is for the initiator's messages.
fn split(noise: &mut HandshakeState) -> SessionKeys {
    let (mut first, mut second) = noise.dangerously_get_raw_split();
    let (from_initiator, from_responder) = (AeadKey::new(first), AeadKey::new(second));
    first.zeroize();
    second.zeroize();
    if noise.is_initiator() {
        SessionKeys {
            send: from_initiator.into(),
            receive: from_responder,
        }
    } else {
        SessionKeys {
            send: from_responder.into(),
            receive: from_initiator,
        }
    }
}

/// An initiation that opened: the initiator has proven that it owns `remote_link`.
pub struct InitiationOpened {
    /// The initiator's link key.
    pub remote_link: [u8; 32],
    /// The initiator's descriptor, if it is a relay. Its link key is `remote_link`; all else must still be decoded and checked.
    pub descriptor: Option<[u8; Descriptor::LEN]>,
    /// Microseconds since 1970 by the initiator's clock; rises with every initiation.
    pub time: u64,
    /// The initiator's index of the session.
    pub sender_index: u32,
    noise: Box<HandshakeState>,
}

/// Opens an initiation whose MAC1 was checked.
///
/// # Errors
/// If it is forged, for another network or relay, malformed, has a key of small order, or a descriptor with another link key.
pub fn open_initiation(
    keys: &RelayKeys,
    network: NetworkId,
    datagram: &Datagram,
    rng: &mut StdRng,
) -> Result<InitiationOpened, NoiseError> {
    if Kind::of(datagram) != Some(Kind::HandshakeInit) || !is_zero(part::<1, 3, _>(datagram)) {
        return Err(NoiseError::Malformed);
    }
    let prologue = prologue(network, &keys.identity());
    let mut noise = Builder::with_resolver(PATTERN.parse()?, Box::new(Resolver::new(rng)))
        .prologue(&prologue)?
        .local_private_key(keys.link_secret().as_bytes())?
        .build_responder()?;
    let mut payload = [0; PAYLOAD_1];
    noise.read_message(part::<8, MESSAGE_1, _>(datagram), &mut payload)?;
    let remote_link = noise
        .get_remote_static()
        .and_then(|key| key.first_chunk())
        .ok_or(NoiseError::Refused)?;
    let descriptor = match *part::<0, 1, _>(&payload) {
        [0] if is_zero(part::<1, { Descriptor::LEN }, _>(&payload)) => None,
        [1] => {
            let bytes = part::<1, { Descriptor::LEN }, _>(&payload);
            if Descriptor::link_in(bytes) != remote_link {
                return Err(NoiseError::Refused);
            }
            Some(*bytes)
        }
        _ => return Err(NoiseError::Malformed),
    };
    if !is_zero(part::<{ TIME_AT + 8 }, { PAYLOAD_1 - TIME_AT - 8 }, _>(
        &payload,
    )) {
        return Err(NoiseError::Malformed);
    }
    Ok(InitiationOpened {
        remote_link: *remote_link,
        descriptor,
        time: u64::from_be_bytes(*part::<TIME_AT, 8, _>(&payload)),
        sender_index: u32::from_be_bytes(*part::<4, 4, _>(datagram)),
        noise: Box::new(noise),
    })
}

impl InitiationOpened {
    /// Answers; `own_index` names the session on our side. Returns the datagram and the session keys.
    ///
    /// # Errors
    /// The initiator's ephemeral key is of small order.
    pub fn answer(
        mut self,
        own_index: u32,
        rng: &mut StdRng,
    ) -> Result<(SessionKeys, Datagram), NoiseError> {
        let mut datagram = [0; RELAY_DATAGRAM];
        let mut writer = Writer::new(&mut datagram);
        writer.put(&[Kind::HandshakeAnswer.byte(), 0, 0, 0]);
        writer.put(&own_index.to_be_bytes());
        writer.put(&self.sender_index.to_be_bytes());
        self.noise
            .write_message(&[0; PAYLOAD_2], part_mut::<12, MESSAGE_2, _>(&mut datagram))?;
        write_macs(&self.remote_link, &mut datagram, rng);
        Ok((split(&mut self.noise), datagram))
    }
}

impl fmt::Debug for InitiationOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InitiationOpened(..)")
    }
}
