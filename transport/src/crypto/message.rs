//! Messages: requests are sealed to a persona, responses with a secret that the request's HPKE context exports (protocol §8).

use std::{fmt, net::SocketAddr};

use deut_common::{
    ids::PersonaKey,
    suite::{Export, OpeningKey, SEAL_TAG, SuiteRef, Text},
};
use rand::{Rng, rngs::StdRng};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    Forged,
    aead::{AeadKey, TAG},
};
use crate::{
    drop_reason::DropReason,
    ids::Gate,
    kdf::Prk,
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

const CIPHERTEXT: usize = REQUEST_PLAINTEXT + SEAL_TAG;
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

/// The reason why a message cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The recipient's key is of small order or no key at all.
    #[error("the recipient's key cannot be used")]
    BadKey,
    /// The body is longer than a message can hold.
    #[error("the body does not fit into a message")]
    TooLong,
}

impl From<TooLong> for SealError {
    fn from(_: TooLong) -> Self {
        Self::TooLong
    }
}

/// The exported secrets that sender and recipient of a request keep for its response. Wiped on drop.
struct Exported {
    message_id: [u8; 16],
    secret: Zeroizing<[u8; 32]>,
    enc: [u8; 32],
}

impl Exported {
    fn empty() -> Self {
        Self {
            message_id: [0; 16],
            secret: Zeroizing::new([0; 32]),
            enc: [0; 32],
        }
    }

    /// The places that the context writes its exports to.
    fn exports(&mut self) -> [Export<'_>; 2] {
        let (label, to) = (labels::MESSAGE_ID, self.message_id.as_mut_slice());
        let id = Export { label, to };
        let (label, to) = (labels::RESPONSE, self.secret.as_mut_slice());
        [id, Export { label, to }]
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
    /// The sealed message.
    pub datagram: Box<Message>,
    /// Opens the response; keep it until the call is over.
    pub pending: PendingResponse,
}

/// Opens the response of one request copy. Wiped on drop.
pub struct PendingResponse {
    /// Message ID of the responses to try with it.
    pub message_id: [u8; 16],
    exported: Exported,
}

/// Seals a request to a persona (§8.1).
///
/// # Errors
/// The key is weak or the body longer than 1,016 bytes.
pub fn seal_request(
    suite: &SuiteRef,
    to: &PersonaKey,
    to_gate: Gate,
    header: &RequestHeader,
    body: &[u8],
    rng: &mut StdRng,
) -> Result<SealedRequest, SealError> {
    let plaintext = Zeroizing::new(header.encode(body)?);
    let mut exported = Exported::empty();
    let text = in_context(&to_gate.0, plaintext.as_slice());
    let (enc, ciphertext) = suite
        .seal(to, text, &mut exported.exports(), rng)
        .ok_or(SealError::BadKey)?;
    exported.enc = enc;
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

fn in_context<'a>(gate: &'a [u8; 8], text: &'a [u8]) -> Text<'a> {
    Text {
        info: labels::MESSAGE,
        associated: gate,
        text,
    }
}

/// A request that came to the persona.
#[derive(Debug)]
pub struct OpenedRequest {
    /// Request ID, service and reply address.
    pub header: RequestHeader,
    /// At most 1,016 bytes.
    pub body: Vec<u8>,
    /// Seals the answer.
    pub responder: Responder,
}

impl OpenedRequest {
    /// The parts that are needed once the header has been read.
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
    suite: &SuiteRef,
    persona: &OpeningKey,
    datagram: &Message,
) -> Result<OpenedRequest, DropReason> {
    open(suite, persona, datagram).ok_or(DropReason::BadRequest)
}

fn open(suite: &SuiteRef, persona: &OpeningKey, datagram: &Message) -> Option<OpenedRequest> {
    let (gate, enc) = (part::<0, 8, _>(datagram), part::<8, 32, _>(datagram));
    let mut exported = Exported::empty();
    exported.enc = *enc;
    let text = in_context(gate, part::<40, CIPHERTEXT, _>(datagram));
    let plaintext = suite.open(persona, enc, text, &mut exported.exports())?;
    let (header, body) = RequestHeader::decode(plaintext.as_slice().try_into().ok()?).ok()?;
    Some(OpenedRequest {
        header,
        body: body.to_vec(),
        responder: Responder(exported),
    })
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

/// The message ID of a datagram that may be a response.
#[must_use]
pub fn response_message_id(datagram: &Message) -> [u8; 16] {
    *part::<8, 16, _>(datagram)
}

impl PendingResponse {
    /// Opens a response. It changes nothing, so a forged response does no harm.
    ///
    /// # Errors
    /// If the message ID is another one, or the datagram is not sealed with this request's keys or malformed inside.
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
