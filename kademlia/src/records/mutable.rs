//! Mutable records: values under a key that stays the same, replaced by the holder of an Ed25519 key.
//!
//! Key, signed bytes and rules are those of BEP 44, so records can be carried over from there. The signing key stays with the
//! writer: this crate takes records that are already signed, and needs no more to announce them again.
use std::fmt;

use bincode::{
    Decode, Encode,
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};
use deut_common::{
    codec::{BoundedBytes, ShortBytes},
    suite::{Curve25519, Suite},
};
use ed25519_dalek::{Signer, SigningKey};

use crate::{
    MAX_VALUE, bencode,
    id::{Key, NodeId},
    records::value::ValueBytes,
};

/// Longest salt in bytes (BEP 44).
pub const MAX_SALT: usize = 64;

/// The reason why something is not a mutable record, in one line for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MutableError {
    /// The sequence number is negative.
    #[error("the sequence number is negative")]
    NegativeSequence,
    /// The value is not exactly one bencoded value.
    #[error("the value of a mutable record must be bencoded")]
    NotBencoded,
    /// The salt is longer than [`MAX_SALT`].
    #[error("the salt has {0} bytes, more than the 64 that fit")]
    SaltTooLong(usize),
    /// The bencoded value is longer than [`MAX_VALUE`].
    #[error("the bencoded value has {0} bytes, more than the 800 that fit")]
    ValueTooLarge(usize),
    /// The public key is no point of the curve, not in its canonical encoding, or of small order.
    #[error("this is no public key: not a canonical Ed25519 point of large order")]
    WeakKey,
    /// The signature is not that of the key over this version.
    #[error("the signature does not fit")]
    WrongSignature,
}

/// The identity of a mutable record: its signer's public key, and a salt for each of the signer's records.
#[derive(Clone, PartialEq, Eq)]
pub struct MutableKey {
    public: [u8; 32],
    salt: Vec<u8>,
}

impl MutableKey {
    /// The record of this public key under this salt. An empty salt is the same as none.
    ///
    /// # Errors
    /// [`MutableError::SaltTooLong`] or [`MutableError::WeakKey`].
    pub fn new(public: [u8; 32], salt: Vec<u8>) -> Result<Self, MutableError> {
        if salt.len() > MAX_SALT {
            return Err(MutableError::SaltTooLong(salt.len()));
        }
        if !Curve25519.is_usable(&public) {
            return Err(MutableError::WeakKey);
        }
        Ok(Self { public, salt })
    }

    /// The signer's Ed25519 public key.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.public
    }

    /// The salt, which distinguishes the records of one signer; at most [`MAX_SALT`] bytes.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// The key in the DHT: SHA-1(public key ‖ salt).
    #[must_use]
    pub fn dht_key(&self) -> Key {
        mutable_key(&self.public, &self.salt)
    }

    /// Returns true if the holder of the key signed this version of this record.
    pub(crate) fn signed(&self, suite: &dyn Suite, version: &Version) -> bool {
        is_signed(suite, &self.public, &self.salt, version)
    }
}

/// Shows nothing, since users' records do not belong in a log.
impl fmt::Debug for MutableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MutableKey(..)")
    }
}

/// A version of a mutable record with a verified signature.
#[derive(Clone, PartialEq, Eq)]
pub struct MutableRecord {
    of: MutableKey,
    version: Version,
}

impl MutableRecord {
    /// Signs a version with the key for a 32-byte seed (the private key of RFC 8032). `value` must be bencoded and have at most
    /// [`MAX_VALUE`] bytes.
    ///
    /// # Errors
    /// The first rule that the input breaks.
    pub fn sign(
        seed: &[u8; 32],
        salt: Vec<u8>,
        seq: i64,
        value: Vec<u8>,
    ) -> Result<Self, MutableError> {
        let key = SigningKey::from_bytes(seed);
        let signature = key.sign(&signed_bytes(&salt, seq, &value)).to_bytes();
        Self::new(key.verifying_key().to_bytes(), salt, seq, signature, value)
    }

    /// Takes over a version that is already signed, and verifies it.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn new(
        public: [u8; 32],
        salt: Vec<u8>,
        seq: i64,
        signature: [u8; 64],
        value: Vec<u8>,
    ) -> Result<Self, MutableError> {
        let of = MutableKey::new(public, salt)?;
        if seq < 0 {
            return Err(MutableError::NegativeSequence);
        }
        let length = value.len();
        let value = BoundedBytes::new(value).ok_or(MutableError::ValueTooLarge(length))?;
        bencode::check(value.as_slice()).map_err(|_| MutableError::NotBencoded)?;
        let version = Version {
            seq,
            signature,
            value,
        };
        if !of.signed(&Curve25519, &version) {
            return Err(MutableError::WrongSignature);
        }
        Ok(Self { of, version })
    }

    /// A version whose signature was verified when it was received.
    pub(crate) fn of_checked(of: MutableKey, version: Version) -> Self {
        Self { of, version }
    }

    /// The public key and the salt.
    #[must_use]
    pub fn key(&self) -> &MutableKey {
        &self.of
    }

    /// The sequence number, which is never negative. The highest is current.
    #[must_use]
    pub fn seq(&self) -> i64 {
        self.version.seq
    }

    /// The signature of this version.
    #[must_use]
    pub fn signature(&self) -> &[u8; 64] {
        &self.version.signature
    }

    /// The value as it was signed. Values from other nodes need not be bencoded: only the signature counts.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        self.version.value.as_slice()
    }

    pub(crate) fn version(&self) -> &Version {
        &self.version
    }

    /// The version in the form that a STORE carries.
    pub(crate) fn to_sent(&self, cas: Option<i64>) -> SentMutable {
        SentMutable {
            public: self.of.public,
            salt: ShortBytes::new(self.of.salt.clone()).unwrap_or_default(),
            cas,
            version: self.version.clone(),
        }
    }
}

/// Shows the sequence number only.
impl fmt::Debug for MutableRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MutableRecord")
            .field("seq", &self.version.seq)
            .finish_non_exhaustive()
    }
}

/// The part that changes between versions: `seq 8 | signature 64 | length 2, value`. Readers know the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// Never negative: negative numbers are not decoded.
    pub(crate) seq: i64,
    pub(crate) signature: [u8; 64],
    pub(crate) value: ValueBytes,
}

impl Version {
    /// Longest encoding in bytes.
    pub(crate) const MAX_LEN: usize = 8 + 64 + 2 + MAX_VALUE;

    /// Returns true if number and value are the same; the signatures may differ.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        self.seq == other.seq && self.value == other.value
    }

    /// Returns true if a node that keeps this version refuses the other, whatever its writer expects.
    pub(crate) fn stands_against(&self, other: &Self) -> bool {
        self.seq >= other.seq && !self.says_the_same(other)
    }

    /// Returns true if readers that have both take this one: the one with the higher number or, if only the signer made two with
    /// one number, the one with the greater value, so that all readers choose alike.
    pub(crate) fn supersedes(&self, other: &Self) -> bool {
        (self.seq, self.value.as_slice()) > (other.seq, other.value.as_slice())
    }
}

/// A version as a STORE carries it:
/// `public key 32 | length 1, salt | 00, or 01 and the expected number 8 | version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SentMutable {
    pub(crate) public: [u8; 32],
    pub(crate) salt: ShortBytes<MAX_SALT>,
    /// Store it only over the version with this number (compare and swap).
    pub(crate) cas: Option<i64>,
    pub(crate) version: Version,
}

impl SentMutable {
    /// Longest encoding in bytes.
    pub(crate) const MAX_LEN: usize = 32 + 1 + MAX_SALT + 1 + 8 + Version::MAX_LEN;

    pub(crate) fn key(&self) -> Key {
        mutable_key(&self.public, self.salt.as_slice())
    }

    /// The record of which it is a version; `None` if the key is invalid.
    pub(crate) fn of(&self) -> Option<MutableKey> {
        MutableKey::new(self.public, self.salt.as_slice().to_vec()).ok()
    }

    /// Returns true if the key is valid and signed this version.
    pub(crate) fn is_signed(&self, suite: &dyn Suite) -> bool {
        is_signed(suite, &self.public, self.salt.as_slice(), &self.version)
    }
}

fn mutable_key(public: &[u8; 32], salt: &[u8]) -> Key {
    NodeId::hash_of(&[public, salt].concat())
}

fn is_signed(suite: &dyn Suite, public: &[u8; 32], salt: &[u8], version: &Version) -> bool {
    let message = signed_bytes(salt, version.seq, version.value.as_slice());
    suite.verify(public, &message, &version.signature)
}

/// The bytes that BEP 44 signs: `4:salt<length>:<salt>` if there is a salt, then `3:seqi<seq>e1:v` and the bencoded value.
fn signed_bytes(salt: &[u8], seq: i64, value: &[u8]) -> Vec<u8> {
    let salt = match salt {
        [] => Vec::new(),
        salt => [b"4:salt".as_slice(), &bencode::of_string(salt)].concat(),
    };
    [&salt, format!("3:seqi{seq}e1:v").as_bytes(), value].concat()
}

impl Encode for Version {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.seq.encode(encoder)?;
        self.signature.encode(encoder)?;
        self.value.encode(encoder)
    }
}

impl<C> Decode<C> for Version {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(Self {
            seq: decode_seq(decoder)?,
            signature: Decode::decode(decoder)?,
            value: Decode::decode(decoder)?,
        })
    }
}

impl Encode for SentMutable {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.public.encode(encoder)?;
        self.salt.encode(encoder)?;
        match self.cas {
            None => 0u8.encode(encoder)?,
            Some(cas) => {
                1u8.encode(encoder)?;
                cas.encode(encoder)?;
            }
        }
        self.version.encode(encoder)
    }
}

impl<C> Decode<C> for SentMutable {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(Self {
            public: Decode::decode(decoder)?,
            salt: Decode::decode(decoder)?,
            cas: match u8::decode(decoder)? {
                0 => None,
                1 => Some(decode_seq(decoder)?),
                _ => return Err(deut_common::codec::invalid()),
            },
            version: Decode::decode(decoder)?,
        })
    }
}

fn decode_seq<C, D: Decoder<Context = C>>(decoder: &mut D) -> Result<i64, DecodeError> {
    let seq = i64::decode(decoder)?;
    if seq < 0 {
        return Err(deut_common::codec::invalid());
    }
    Ok(seq)
}

#[cfg(test)]
mod tests;
