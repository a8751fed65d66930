//! Messages: requests sealed to a persona, responses sealed with what the request's context exports (protocol §8).

use std::{fmt, net::SocketAddr};

use deut_common::ids::PersonaKey;
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable,
    aead::{AeadCtxR, AeadCtxS, ChaCha20Poly1305},
    kdf::HkdfSha256,
    kem::X25519HkdfSha256,
};
use rand::{Rng, rngs::StdRng};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    Forged,
    aead::{AeadKey, TAG},
    kdf::Prk,
};
use crate::{
    drop_reason::DropReason,
    ids::Gate,
    keys::{self, PersonaSecret},
    labels,
    packet::MESSAGE_DATAGRAM,
    wire::{
        bytes::{Writer, part, part_mut},
        descriptor::put_address,
        message::{
            REQUEST_PLAINTEXT, RESPONSE_PLAINTEXT, RequestHeader, TooLong, decode_response,
            encode_response,
        },
    },
};

/// A message as it travels between endpoint ports.
pub type Message = [u8; MESSAGE_DATAGRAM];

type Public = <X25519HkdfSha256 as Kem>::PublicKey;
type Secret = <X25519HkdfSha256 as Kem>::PrivateKey;
type Encapped = <X25519HkdfSha256 as Kem>::EncappedKey;
type Sender = AeadCtxS<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>;
type Receiver = AeadCtxR<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>;

const CIPHERTEXT: usize = REQUEST_PLAINTEXT + TAG;
const SEALED_RESPONSE: usize = RESPONSE_PLAINTEXT + TAG;

/// The gate of an endpoint port (§7.4). `x`: the persona's key for advertised addresses, a random value for reply
/// addresses.
#[must_use]
pub fn gate(x: &[u8; 32], address: SocketAddr) -> Gate {
    let hash = Sha256::new()
        .chain_update(labels::GATE)
        .chain_update(x)
        .chain_update(put_address(address));
    Gate(*part::<0, 8, _>(&<[u8; 32]>::from(hash.finalize())))
}

/// Why a message cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The recipient's key is weak or no key at all.
    #[error("the recipient's key cannot be used")]
    BadKey,
    /// The body is too long.
    #[error("the body does not fit into a message")]
    TooLong,
}

impl From<TooLong> for SealError {
    fn from(_: TooLong) -> Self {
        Self::TooLong
    }
}

/// What sender and recipient of a request keep for its response. Wiped on drop.
struct Exported {
    message_id: [u8; 16],
    secret: Zeroizing<[u8; 32]>,
    enc: [u8; 32],
}

impl Exported {
    /// From the `Export` function of an HPKE context.
    fn from_context(
        export: impl Fn(&[u8], &mut [u8]) -> Result<(), hpke::HpkeError>,
        enc: [u8; 32],
    ) -> Option<Self> {
        let mut exported = Self {
            message_id: [0; 16],
            secret: Zeroizing::new([0; 32]),
            enc,
        };
        export(labels::MESSAGE_ID, &mut exported.message_id).ok()?;
        export(labels::RESPONSE, exported.secret.as_mut_slice()).ok()?;
        Some(exported)
    }

    fn response_key(&self, nonce: &[u8; 32]) -> (AeadKey, [u8; 12]) {
        let (key, nonce) = response_key_bytes(&self.secret, &self.enc, nonce);
        (AeadKey::new(*key), nonce)
    }
}

/// Key and AEAD nonce of a response (§8.2). Public for test vectors.
#[must_use]
pub fn response_key_bytes(
    secret: &[u8; 32],
    enc: &[u8; 32],
    nonce: &[u8; 32],
) -> (Zeroizing<[u8; 32]>, [u8; 12]) {
    let prk = Prk::extract([*enc, *nonce].as_flattened(), secret);
    (
        prk.expand(&[labels::RESPONSE_KEY]),
        *prk.expand(&[labels::RESPONSE_NONCE]),
    )
}

/// A request ready to be sent, and what opens its response.
#[derive(Debug)]
pub struct SealedRequest {
    /// The message.
    pub datagram: Box<Message>,
    /// To be kept.
    pub pending: PendingResponse,
}

/// Opens the response of one request copy. Wiped on drop.
pub struct PendingResponse {
    /// Which responses to try with it.
    pub message_id: [u8; 16],
    exported: Exported,
}

/// Seals a request to a persona (§8.1).
///
/// # Errors
/// The key is weak or the body longer than 1,016 bytes.
pub fn seal_request(
    to: &PersonaKey,
    to_gate: Gate,
    header: &RequestHeader,
    body: &[u8],
    rng: &mut StdRng,
) -> Result<SealedRequest, SealError> {
    let plaintext = Zeroizing::new(header.encode(body)?);
    let (enc, ciphertext, exported) = encapsulate(to, &to_gate, &plaintext, rng)?;
    let mut datagram = Box::new([0; MESSAGE_DATAGRAM]);
    let mut writer = Writer::new(datagram.as_mut_slice());
    writer.put(&to_gate.0);
    writer.put(&enc);
    writer.put(&ciphertext);
    Ok(SealedRequest {
        datagram,
        pending: PendingResponse {
            message_id: exported.message_id,
            exported,
        },
    })
}

/// Seals to a persona: the encapsulated key, the ciphertext, what the context exports.
fn encapsulate(
    to: &PersonaKey,
    to_gate: &Gate,
    plaintext: &[u8; REQUEST_PLAINTEXT],
    rng: &mut StdRng,
) -> Result<([u8; 32], Vec<u8>, Exported), SealError> {
    #[cfg(feature = "probe")]
    if let Some(curves) = crate::stand_in::curves() {
        return Ok(stand_in::encapsulate(curves, to, to_gate, plaintext, rng));
    }
    let public = keys::persona_x25519(to).ok_or(SealError::BadKey)?;
    let public = Public::from_bytes(&public).map_err(|_| SealError::BadKey)?;
    let (enc, mut context): (Encapped, Sender) =
        hpke::setup_sender_with_rng(&OpModeS::Base, &public, labels::MESSAGE, rng)
            .map_err(|_| SealError::BadKey)?;
    let enc = <[u8; 32]>::from(enc.to_bytes());
    let ciphertext = context
        .seal(plaintext, &to_gate.0)
        .map_err(|_| SealError::TooLong)?;
    let exported = Exported::from_context(|info, out| context.export(info, out), enc)
        .ok_or(SealError::BadKey)?;
    Ok((enc, ciphertext, exported))
}

/// The reverse of [`encapsulate`].
fn decapsulate(
    persona: &PersonaSecret,
    enc: &[u8; 32],
    ciphertext: &[u8; CIPHERTEXT],
    gate: &[u8; 8],
) -> Option<(Zeroizing<Vec<u8>>, Exported)> {
    #[cfg(feature = "probe")]
    if let Some(curves) = crate::stand_in::curves() {
        return stand_in::decapsulate(curves, persona, enc, ciphertext, gate);
    }
    let secret = Secret::from_bytes(persona.x25519()).ok()?;
    let mut context = receiver(&secret, enc, labels::MESSAGE)?;
    let plaintext = Zeroizing::new(context.open(ciphertext, gate).ok()?);
    let exported = Exported::from_context(|info, out| context.export(info, out), *enc)?;
    Some((plaintext, exported))
}

/// The same without a curve, for simulators: see [`crate::stand_in`].
#[cfg(feature = "probe")]
mod stand_in {
    use super::*;
    use crate::stand_in::Curves;

    fn exported(secret: [u8; 32], enc: [u8; 32]) -> (AeadKey, Exported) {
        let prk = Prk::extract(&enc, &secret);
        let exported = Exported {
            message_id: *prk.expand(&[labels::MESSAGE_ID]),
            secret: prk.expand(&[labels::RESPONSE]),
            enc,
        };
        (AeadKey::new(*prk.expand(&[labels::MESSAGE])), exported)
    }

    pub(super) fn encapsulate(
        curves: &dyn Curves,
        to: &PersonaKey,
        to_gate: &Gate,
        plaintext: &[u8; REQUEST_PLAINTEXT],
        rng: &mut StdRng,
    ) -> ([u8; 32], Vec<u8>, Exported) {
        let mut enc = [0; 32];
        rng.fill_bytes(&mut enc);
        let (key, exported) = exported(curves.message_secret(&to.0, &enc), enc);
        let mut sealed = [0; CIPHERTEXT];
        part_mut::<0, REQUEST_PLAINTEXT, _>(&mut sealed).copy_from_slice(plaintext);
        key.seal_in_place([0; 12], &to_gate.0, &mut sealed);
        (enc, sealed.to_vec(), exported)
    }

    pub(super) fn decapsulate(
        curves: &dyn Curves,
        persona: &PersonaSecret,
        enc: &[u8; 32],
        ciphertext: &[u8; CIPHERTEXT],
        gate: &[u8; 8],
    ) -> Option<(Zeroizing<Vec<u8>>, Exported)> {
        let (key, exported) = exported(curves.message_secret(&persona.public().0, enc), *enc);
        let mut plaintext = vec![0; REQUEST_PLAINTEXT];
        key.open_into([0; 12], gate, ciphertext, &mut plaintext)
            .ok()?;
        Some((Zeroizing::new(plaintext), exported))
    }
}

/// A request that came to the persona.
#[derive(Debug)]
pub struct OpenedRequest {
    /// Who asks for what, and where the answer goes.
    pub header: RequestHeader,
    /// At most 1,016 bytes.
    pub body: Vec<u8>,
    /// Seals the answer.
    pub responder: Responder,
}

impl OpenedRequest {
    /// What is left when the header was looked at.
    #[must_use]
    pub fn into_parts(self) -> (Responder, Vec<u8>) {
        (self.responder, self.body)
    }
}

/// Seals answers to one request copy. Wiped on drop.
pub struct Responder(Exported);

/// Opens a request (§8.1).
///
/// # Errors
/// [`DropReason::BadRequest`]: not sealed to this persona, altered, or malformed inside.
pub fn open_request(
    persona: &PersonaSecret,
    datagram: &Message,
) -> Result<OpenedRequest, DropReason> {
    open(persona, datagram).ok_or(DropReason::BadRequest)
}

fn open(persona: &PersonaSecret, datagram: &Message) -> Option<OpenedRequest> {
    let (gate, enc) = (part::<0, 8, _>(datagram), part::<8, 32, _>(datagram));
    let (plaintext, exported) =
        decapsulate(persona, enc, part::<40, CIPHERTEXT, _>(datagram), gate)?;
    let (header, body) = RequestHeader::decode(plaintext.as_slice().try_into().ok()?).ok()?;
    Some(OpenedRequest {
        header,
        body: body.to_vec(),
        responder: Responder(exported),
    })
}

pub(super) fn receiver(secret: &Secret, enc: &[u8; 32], info: &[u8]) -> Option<Receiver> {
    hpke::setup_receiver(
        &OpModeR::Base,
        secret,
        &Encapped::from_bytes(enc).ok()?,
        info,
    )
    .ok()
}

impl Responder {
    /// Seals an answer for a reply address with this gate (§8.2).
    ///
    /// # Errors
    /// The body is longer than 1,046 bytes.
    pub fn seal(
        &self,
        reply_gate: Gate,
        body: &[u8],
        rng: &mut StdRng,
    ) -> Result<Box<Message>, SealError> {
        let plaintext = encode_response(body)?;
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let (key, aead_nonce) = self.0.response_key(&nonce);
        let mut datagram = Box::new([0; MESSAGE_DATAGRAM]);
        let mut writer = Writer::new(datagram.as_mut_slice());
        writer.put(&reply_gate.0);
        writer.put(&self.0.message_id);
        writer.put(&nonce);
        writer.put(&plaintext);
        key.seal_in_place(
            aead_nonce,
            &self.0.message_id,
            part_mut::<56, SEALED_RESPONSE, _>(&mut datagram),
        );
        Ok(datagram)
    }
}

/// The message ID of what may be a response.
#[must_use]
pub fn response_message_id(datagram: &Message) -> [u8; 16] {
    *part::<8, 16, _>(datagram)
}

impl PendingResponse {
    /// Opens a response; changes nothing, so a forged one does no harm.
    ///
    /// # Errors
    /// Another message ID, not sealed with this request's keys, or malformed inside.
    pub fn open(&self, datagram: &Message) -> Result<Vec<u8>, Forged> {
        if response_message_id(datagram) != self.message_id {
            return Err(Forged);
        }
        let (key, aead_nonce) = self.exported.response_key(part::<24, 32, _>(datagram));
        let mut plaintext = [0; RESPONSE_PLAINTEXT];
        key.open_into(
            aead_nonce,
            &self.message_id,
            part::<56, SEALED_RESPONSE, _>(datagram),
            &mut plaintext,
        )?;
        decode_response(&plaintext)
            .map(<[u8]>::to_vec)
            .map_err(|_| Forged)
    }
}

impl fmt::Debug for PendingResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingResponse(..)")
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Responder(..)")
    }
}
