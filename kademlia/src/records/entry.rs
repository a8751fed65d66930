//! Blinded peer entries: announcements on an infohash, kept by nodes that cannot know the infohash.
//!
//! HKDF derives an Ed25519 key pair from the infohash. Its public key, the blinded key, verifies every entry, and the SHA-1 of that
//! key is the key in the DHT. The content is sealed under another key that is derived from the infohash.
use deut_common::suite::SuiteRef;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bincode::{
    Decode, Encode,
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};
use ed25519_dalek::{Signer, SigningKey};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{id::Key, labels, records::announced::Announced};

const CONTENT: usize = 33;
const SEALED: usize = CONTENT + 16;
const KIND_PERSONA: u8 = 1;
const KIND_ADDRESS: u8 = 2;

/// One entry as it is stored and sent: `writer tag 8 | salt 16 | sealed 49 | signature 64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerEntry {
    /// Identifies the entries of one writer, so that a new one replaces the old one.
    pub(crate) writer: [u8; 8],
    salt: [u8; 16],
    sealed: [u8; SEALED],
    signature: [u8; 64],
}

impl PeerEntry {
    pub(crate) const LEN: usize = 8 + 16 + SEALED + 64;

    /// Returns true if its maker knew the infohash behind the blinded key.
    pub(crate) fn is_signed_by(&self, suite: &SuiteRef, blinded: &[u8; 32]) -> bool {
        let message = signed_message(blinded, &self.writer, &self.salt, &self.sealed);
        suite.verify(blinded, &message, &self.signature)
    }
}

const _: () = assert!(PeerEntry::LEN == 137);

impl Encode for PeerEntry {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.writer.encode(encoder)?;
        self.salt.encode(encoder)?;
        self.sealed.encode(encoder)?;
        self.signature.encode(encoder)
    }
}

impl<C> Decode<C> for PeerEntry {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(Self {
            writer: Decode::decode(decoder)?,
            salt: Decode::decode(decoder)?,
            sealed: Decode::decode(decoder)?,
            signature: Decode::decode(decoder)?,
        })
    }
}

/// The peer set of one infohash, for those who know the infohash.
pub(crate) struct PeerSet {
    infohash: Zeroizing<[u8; 20]>,
    signing: SigningKey,
}

impl PeerSet {
    pub(crate) fn of(infohash: &[u8; 20]) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        derive(None, infohash, labels::PEERS_BLINDED_KEY, &mut *seed);
        Self {
            infohash: Zeroizing::new(*infohash),
            signing: SigningKey::from_bytes(&seed),
        }
    }

    /// The blinded public key.
    pub(crate) fn blinded(&self) -> [u8; 32] {
        self.signing.verifying_key().to_bytes()
    }

    /// The key under which the entries are stored.
    pub(crate) fn key(&self) -> Key {
        Key::hash_of(&self.blinded())
    }

    /// Seals and signs an entry. The salt must be fresh: AEAD key and nonce come from it.
    pub(crate) fn seal(&self, writer: [u8; 8], salt: [u8; 16], what: &Announced) -> PeerEntry {
        let mut sealed = [0; SEALED];
        let (content, tag) = sealed.split_at_mut(CONTENT);
        content.copy_from_slice(&content_bytes(what));
        let (key, nonce) = self.entry_key(&salt);
        let computed =
            key.seal_in_place_separate_tag(nonce, self.associated_data(&writer), content);
        // Sealing 33 bytes cannot fail. If it did, the entry would be zeros and nobody could open it.
        match computed {
            Ok(computed) => tag.copy_from_slice(computed.as_ref()),
            Err(_) => content.fill(0),
        }
        let message = signed_message(&self.blinded(), &writer, &salt, &sealed);
        PeerEntry {
            writer,
            salt,
            sealed,
            signature: self.signing.sign(&message).to_bytes(),
        }
    }

    /// The persona or address that an entry announces; `None` if signature, seal or content is wrong.
    pub(crate) fn open(&self, suite: &SuiteRef, entry: &PeerEntry) -> Option<Announced> {
        if !entry.is_signed_by(suite, &self.blinded()) {
            return None;
        }
        let (key, nonce) = self.entry_key(&entry.salt);
        let mut sealed = entry.sealed;
        let opened = key
            .open_in_place(nonce, self.associated_data(&entry.writer), &mut sealed)
            .ok()?;
        announced_from(suite, opened.first_chunk()?)
    }

    fn entry_key(&self, salt: &[u8; 16]) -> (LessSafeKey, Nonce) {
        let mut derived = Zeroizing::new([0; 32 + 12]);
        derive(
            Some(salt),
            &self.infohash,
            labels::PEERS_ENTRY_SEAL,
            &mut *derived,
        );
        let [key @ .., _, _, _, _, _, _, _, _, _, _, _, _] = &*derived;
        let [.., n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11] = *derived;
        let key = UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes keys of 32 bytes");
        let nonce = [n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11];
        (LessSafeKey::new(key), Nonce::assume_unique_for_key(nonce))
    }

    fn associated_data(&self, writer: &[u8; 8]) -> Aad<[u8; 40]> {
        let mut data = [0; 40];
        data[..32].copy_from_slice(&self.blinded());
        data[32..].copy_from_slice(writer);
        Aad::from(data)
    }
}

impl std::fmt::Debug for PeerSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PeerSet(..)")
    }
}

fn derive(salt: Option<&[u8]>, infohash: &[u8; 20], label: &[u8], out: &mut [u8]) {
    Hkdf::<Sha256>::new(salt, infohash)
        .expand(label, out)
        .expect("HKDF gives up to 8,160 bytes");
}

fn signed_message(
    blinded: &[u8; 32],
    writer: &[u8; 8],
    salt: &[u8; 16],
    sealed: &[u8; SEALED],
) -> Vec<u8> {
    [labels::PEERS_ENTRY_SIGNATURE, blinded, writer, salt, sealed].concat()
}

fn content_bytes(what: &Announced) -> [u8; CONTENT] {
    let mut content = [0; CONTENT];
    match what {
        Announced::Persona(key) => {
            content[0] = KIND_PERSONA;
            content[1..].copy_from_slice(key);
        }
        Announced::Address(address) => {
            let ip = match address.ip() {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            content[0] = KIND_ADDRESS;
            content[1..17].copy_from_slice(&ip.octets());
            content[17..19].copy_from_slice(&address.port().to_be_bytes());
        }
    }
    content
}

fn announced_from(suite: &SuiteRef, content: &[u8; CONTENT]) -> Option<Announced> {
    let (kind, rest) = content.split_first()?;
    let rest: &[u8; 32] = rest.try_into().ok()?;
    match *kind {
        KIND_PERSONA => suite.is_usable(rest).then_some(Announced::Persona(*rest)),
        KIND_ADDRESS => {
            let (ip, rest) = rest.split_first_chunk::<16>()?;
            let (port, zeros) = rest.split_first_chunk::<2>()?;
            let address = SocketAddr::new(
                Ipv6Addr::from(*ip).to_canonical(),
                u16::from_be_bytes(*port),
            );
            let fine = zeros.iter().all(|byte| *byte == 0) && can_be_announced(&address);
            fine.then_some(Announced::Address(address))
        }
        _ => None,
    }
}

/// Returns true if somebody could be at this address: its port is not 0, and it is not unspecified, multicast or broadcast.
#[must_use]
pub fn can_be_announced(address: &SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

#[cfg(test)]
mod tests;
