//! Encodings on the wire, decoded and encoded again, so that anybody can check if bytes are the only encoding of their meaning.

use deut_common::{address::EndpointAddress, codec, suite::SuiteRef};

use crate::{
    contact::RawContact,
    records::{
        announced::Announced,
        entry::{PeerEntry, PeerSet},
    },
    wire::{
        limits::Body,
        rpc::{Answer, Request},
    },
};

/// Decodes a request and encodes it again; `None` if it is malformed.
#[must_use]
pub fn request(body: &[u8]) -> Option<Body> {
    Request::from_body(body)
        .ok()
        .map(|request| request.to_body())
}

/// Decodes an answer and encodes it again; `None` if it is malformed.
#[must_use]
pub fn answer(body: &[u8]) -> Option<Body> {
    Answer::from_body(body).ok().map(|answer| answer.to_body())
}

/// Decodes the layout of a contact. Returns its encoding and its addresses; nothing is verified.
#[must_use]
pub fn contact(bytes: &[u8]) -> Option<(Vec<u8>, Vec<EndpointAddress>)> {
    let raw = RawContact::parse_all(bytes).ok()?;
    Some((raw.as_bytes().to_vec(), raw.addresses().to_vec()))
}

/// Decodes a peer entry and encodes it again; `None` if it is malformed.
#[must_use]
pub fn entry(bytes: &[u8]) -> Option<Vec<u8>> {
    let entry: PeerEntry = codec::decode(bytes).ok()?;
    Some(codec::encode(&entry))
}

/// The peer set of an infohash.
#[derive(Debug)]
pub struct Peers(PeerSet);

impl Peers {
    /// The peer set of this infohash.
    #[must_use]
    pub fn of(infohash: &[u8; 20]) -> Self {
        Self(PeerSet::of(infohash))
    }

    /// The blinded public key, under which entries are signed.
    #[must_use]
    pub fn blinded(&self) -> [u8; 32] {
        self.0.blinded()
    }

    /// Seals and signs an entry.
    #[must_use]
    pub fn seal(&self, writer: [u8; 8], salt: [u8; 16], what: &Announced) -> Vec<u8> {
        codec::encode(&self.0.seal(writer, salt, what))
    }

    /// The content of an entry, if it belongs to this peer set.
    #[must_use]
    pub fn open(&self, entry: &[u8]) -> Option<Announced> {
        self.0
            .open(&SuiteRef::default(), &codec::decode(entry).ok()?)
    }

    /// Returns true if a storing node, which does not know the infohash, accepts the entry.
    #[must_use]
    pub fn is_signed(&self, entry: &[u8]) -> bool {
        codec::decode::<PeerEntry>(entry)
            .is_ok_and(|entry| entry.is_signed_by(&SuiteRef::default(), &self.blinded()))
    }
}
