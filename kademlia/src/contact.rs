//! A contact: the signed bytes, at most 129, by which others can reach a persona.
//!
//! `persona key 32 | expiry 4 | nonce 4 | kinds 1 | addresses 6 to 24 | signature 64`, numbers big-endian.
//! Layout and rules: `docs/protocol.md` §10.3.
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use bincode::{
    Decode, Encode,
    de::Decoder,
    enc::{Encoder, write::Writer},
    error::{DecodeError, EncodeError},
};
use deut_common::{
    address::{AddressRule, EndpointAddress},
    codec::{invalid, read_bytes},
    suite::SuiteRef,
    time::Unix,
};

use crate::{
    id::NodeId,
    identity::{PersonaSecret, work_bits},
    labels,
};

/// Clocks of two nodes may differ by this much, in seconds.
pub const CLOCK_TOLERANCE: u64 = 120;

const HEAD: usize = 32 + 4 + 4;
const V4: usize = 4 + 2;
const V6: usize = 16 + 2;
const SIGNATURE: usize = 64;

/// The rules that a contact must satisfy in this network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactRules {
    /// Leading zero bits of the proof of work.
    pub work_bits: u32,
    /// Longest time to the expiry, in seconds.
    pub max_life_seconds: u64,
    /// The addresses that a contact may name.
    pub addresses: AddressRule,
}

impl ContactRules {
    /// Returns true if a contact may name this address.
    #[must_use]
    pub fn allows(&self, address: &EndpointAddress) -> bool {
        self.addresses
            .may_send_to(SocketAddr::new(address.ip, address.port))
    }
}

/// A contact whose layout, key, proof of work, times, addresses and signature were verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Contact {
    raw: RawContact,
    id: NodeId,
}

/// The reason why a contact was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum ContactError {
    /// It names an address that may not be used in this network.
    #[error("address not allowed")]
    BadAddress,
    /// The signature does not match key and content.
    #[error("bad signature")]
    BadSignature,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// It is not one of the five sets of addresses, the addresses are out of order, or the length is wrong.
    #[error("malformed")]
    Malformed,
    /// It claims a longer life than contacts may have.
    #[error("expiry too far ahead")]
    TooLong,
    /// The key is no point, of small order, or not canonically encoded.
    #[error("weak key")]
    WeakKey,
    /// The proof of work is missing or too small.
    #[error("proof of work missing")]
    WorkMissing,
}

impl Contact {
    /// Number of bytes up to and including the kinds, which determine the length.
    pub(crate) const HEAD_LEN: usize = HEAD + 1;
    /// Length in bytes of the shortest encoding, with one IPv4 address.
    pub const MIN_LEN: usize = HEAD + 1 + V4 + SIGNATURE;
    /// Length in bytes of the longest encoding, with one address of each family; see also [`Self::MIN_LEN`].
    pub const MAX_LEN: usize = HEAD + 1 + V4 + V6 + SIGNATURE;

    /// Signs a contact. `addresses` must be one to three IPv4 addresses, one IPv6 address, or one of each.
    ///
    /// # Errors
    /// [`ContactError::Malformed`] if the addresses are not such a set.
    pub fn sign(
        secret: &PersonaSecret,
        nonce: u32,
        expiry_minutes: u32,
        addresses: &[EndpointAddress],
    ) -> Result<Self, ContactError> {
        let mut addresses = addresses.to_vec();
        // A fixed order, so that the order in which the tunnels were built does not show.
        addresses.sort_unstable();
        let mut bytes = Vec::with_capacity(Self::MAX_LEN);
        bytes.extend_from_slice(&secret.public());
        bytes.extend_from_slice(&expiry_minutes.to_be_bytes());
        bytes.extend_from_slice(&nonce.to_be_bytes());
        let v6 = addresses
            .iter()
            .filter(|address| address.ip.is_ipv6())
            .count();
        let v4 = addresses.len() - v6;
        address_bytes(v4, v6).ok_or(ContactError::Malformed)?;
        bytes.push(kinds(v4, v6));
        for address in &addresses {
            match address.ip {
                IpAddr::V4(ip) => bytes.extend_from_slice(&ip.octets()),
                IpAddr::V6(ip) => bytes.extend_from_slice(&ip.octets()),
            }
            bytes.extend_from_slice(&address.port.to_be_bytes());
        }
        let signature = secret.sign(&[labels::CONTACT_SIGNATURE, &bytes].concat());
        bytes.extend_from_slice(&signature);
        let raw = RawContact::parse_all(&bytes)?;
        Ok(Self { id: raw.id(), raw })
    }

    /// Parses and verifies the bytes of exactly one contact.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn verify(
        suite: &SuiteRef,
        bytes: &[u8],
        rules: &ContactRules,
        now: Unix,
    ) -> Result<Self, ContactError> {
        RawContact::parse_all(bytes)?.verify(suite, rules, now)
    }

    /// The node id: SHA-1 of the persona key.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The persona's Ed25519 public key.
    #[must_use]
    pub fn persona_key(&self) -> [u8; 32] {
        self.raw.key()
    }

    /// The time at which the first of its addresses ends, in whole minutes.
    #[must_use]
    pub fn expiry(&self) -> Unix {
        self.raw.expiry()
    }

    /// One to three addresses, IPv4 first.
    #[must_use]
    pub fn addresses(&self) -> &[EndpointAddress] {
        &self.raw.addresses
    }

    /// The encoding, [`Self::MIN_LEN`] to [`Self::MAX_LEN`] bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.raw.bytes
    }

    /// Returns true if its time is over.
    #[must_use]
    pub fn is_expired(&self, now: Unix) -> bool {
        self.expiry() <= now
    }

    /// Returns true if this contact is the same as `other` or a later one of its persona: each new one ends later than those
    /// before.
    pub(crate) fn replaces(&self, other: &Self) -> bool {
        self == other || (self.raw.key() == other.raw.key() && self.expiry() > other.expiry())
    }

    pub(crate) fn to_raw(&self) -> RawContact {
        self.raw.clone()
    }
}

impl fmt::Debug for Contact {
    /// Shows the beginning of the id but no address, since contacts end up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Contact({:?}, {} addresses)",
            self.id,
            self.raw.addresses.len()
        )
    }
}

/// A contact with the right layout, of which nothing is verified yet.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RawContact {
    bytes: Vec<u8>,
    addresses: Vec<EndpointAddress>,
}

impl RawContact {
    /// The length of the contact at the beginning of `head`, which must hold at least its first 41 bytes.
    pub(crate) fn length(head: &[u8]) -> Result<usize, ContactError> {
        let kinds = *head.get(HEAD).ok_or(ContactError::Malformed)?;
        let addresses = address_bytes(usize::from(kinds & 15), usize::from(kinds >> 4));
        Ok(HEAD + 1 + addresses.ok_or(ContactError::Malformed)? + SIGNATURE)
    }

    /// Parses bytes that hold one contact and nothing else.
    pub(crate) fn parse_all(bytes: &[u8]) -> Result<Self, ContactError> {
        if Self::length(bytes)? != bytes.len() {
            return Err(ContactError::Malformed);
        }
        let v4_count = bytes.get(HEAD).map_or(0, |kinds| usize::from(kinds & 15));
        let packed = bytes
            .get(HEAD + 1..bytes.len() - SIGNATURE)
            .ok_or(ContactError::Malformed)?;
        let (v4, v6) = packed
            .split_at_checked(v4_count * V4)
            .ok_or(ContactError::Malformed)?;
        let mut addresses = Vec::with_capacity(3);
        for packed in v4.as_chunks::<V4>().0 {
            let [a, b, c, d, high, low] = *packed;
            addresses.push(EndpointAddress {
                ip: Ipv4Addr::new(a, b, c, d).into(),
                port: u16::from_be_bytes([high, low]),
            });
        }
        for packed in v6.as_chunks::<V6>().0 {
            let (ip, port) = packed.split_at(16);
            let ip: [u8; 16] = ip.try_into().map_err(|_| ContactError::Malformed)?;
            let port: [u8; 2] = port.try_into().map_err(|_| ContactError::Malformed)?;
            addresses.push(EndpointAddress {
                ip: Ipv6Addr::from(ip).into(),
                port: u16::from_be_bytes(port),
            });
        }
        // One encoding per set: strictly ascending, so no address can occur twice either.
        if !addresses.is_sorted_by(|a, b| a < b) {
            return Err(ContactError::Malformed);
        }
        Ok(Self {
            bytes: bytes.to_vec(),
            addresses,
        })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn addresses(&self) -> &[EndpointAddress] {
        &self.addresses
    }

    fn array<const N: usize>(&self, from: usize) -> [u8; N] {
        // The layout was checked by `parse_all`; zeros would fail the signature anyway.
        self.bytes
            .get(from..)
            .and_then(|rest| rest.first_chunk())
            .copied()
            .unwrap_or([0; N])
    }

    pub(crate) fn key(&self) -> [u8; 32] {
        self.array(0)
    }

    pub(crate) fn id(&self) -> NodeId {
        NodeId::hash_of(&self.key())
    }

    fn expiry(&self) -> Unix {
        Unix(u64::from(u32::from_be_bytes(self.array(32))) * 60)
    }

    /// Like [`Self::verify`], but if the bytes are those of a contact that was verified before, only the expiry is checked.
    pub(crate) fn verify_unless(
        self,
        suite: &SuiteRef,
        known: Option<&Contact>,
        rules: &ContactRules,
        now: Unix,
    ) -> Result<Contact, ContactError> {
        match known {
            Some(known) if known.raw == self && !known.is_expired(now) => Ok(known.clone()),
            _ => self.verify(suite, rules, now),
        }
    }

    /// Checks the cheap rules first and the signature last.
    pub(crate) fn verify(
        self,
        suite: &SuiteRef,
        rules: &ContactRules,
        now: Unix,
    ) -> Result<Contact, ContactError> {
        let expiry = self.expiry().0;
        if expiry.saturating_add(CLOCK_TOLERANCE) <= now.0 {
            return Err(ContactError::Expired);
        }
        if expiry
            > now
                .0
                .saturating_add(rules.max_life_seconds + CLOCK_TOLERANCE)
        {
            return Err(ContactError::TooLong);
        }
        if !self.addresses.iter().all(|address| rules.allows(address)) {
            return Err(ContactError::BadAddress);
        }
        let key = self.key();
        if work_bits(&key, u32::from_be_bytes(self.array(36))) < rules.work_bits {
            return Err(ContactError::WorkMissing);
        }
        if !suite.is_usable(&key) {
            return Err(ContactError::WeakKey);
        }
        let (signed, signature) = self
            .bytes
            .split_last_chunk::<SIGNATURE>()
            .ok_or(ContactError::Malformed)?;
        let message = [labels::CONTACT_SIGNATURE, signed].concat();
        if !suite.verify(&key, &message, signature) {
            return Err(ContactError::BadSignature);
        }
        Ok(Contact {
            id: self.id(),
            raw: self,
        })
    }
}

impl fmt::Debug for RawContact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawContact({:?})", self.id())
    }
}

/// A contact determines its own length, so it needs no length prefix.
impl Encode for RawContact {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        encoder.writer().write(self.as_bytes())
    }
}

impl<C> Decode<C> for RawContact {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let mut bytes = read_bytes(decoder, Contact::HEAD_LEN)?;
        let length = Self::length(&bytes).map_err(|_| invalid())?;
        bytes.extend(read_bytes(decoder, length - Contact::HEAD_LEN)?);
        Self::parse_all(&bytes).map_err(|_| invalid())
    }
}

fn kinds(v4: usize, v6: usize) -> u8 {
    (v4 & 15) as u8 | ((v6 & 15) as u8) << 4
}

/// Number of bytes of the addresses of a legal set; `None` for an illegal one.
fn address_bytes(v4: usize, v6: usize) -> Option<usize> {
    match (v4, v6) {
        (1..=3, 0) | (0..=1, 1) => Some(v4 * V4 + v6 * V6),
        _ => None,
    }
}

const _: () = assert!(Contact::MAX_LEN == 129);

#[cfg(test)]
mod tests;
