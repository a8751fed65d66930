//! Records, and the results of storing them.
use bincode::{
    Decode, Encode,
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};
use deut_common::codec::invalid;

use crate::{
    id::Key,
    records::{entry::PeerEntry, mutable::SentMutable, value::ValueBytes},
};

/// The kind of record that is asked for. Without it, a value equal to a blinded public key, which storing nodes know, would hide
/// the peer set under the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RecordKind {
    Value = 1,
    Peers = 2,
    Mutable = 3,
}

impl RecordKind {
    pub(crate) fn from_byte(byte: u8) -> Result<Self, DecodeError> {
        match byte {
            1 => Ok(Self::Value),
            2 => Ok(Self::Peers),
            3 => Ok(Self::Mutable),
            _ => Err(invalid()),
        }
    }
}

/// A record to be stored. Its key follows from it, so it cannot be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// Key: SHA-1 of the value.
    Value(ValueBytes),
    /// Key: SHA-1 of the blinded public key, which signs the entry.
    Peer { blinded: [u8; 32], entry: PeerEntry },
    /// Key: SHA-1 of public key and salt.
    Mutable(SentMutable),
}

impl Record {
    pub(crate) fn key(&self) -> Key {
        match self {
            Self::Value(value) => Key::hash_of(value.as_slice()),
            Self::Peer { blinded, .. } => Key::hash_of(blinded),
            Self::Mutable(sent) => sent.key(),
        }
    }
}

/// The result of a STORE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum StoreResult {
    Stored = 0,
    BadToken = 1,
    Full = 2,
    BadRecord = 3,
}

/// The reason why a mutable record was not stored over the one that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Conflict {
    OldSequence = 4,
    SameSequence = 5,
    CasMismatch = 6,
}

impl Encode for Record {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        match self {
            Self::Value(value) => {
                (RecordKind::Value as u8).encode(encoder)?;
                value.encode(encoder)
            }
            Self::Peer { blinded, entry } => {
                (RecordKind::Peers as u8).encode(encoder)?;
                blinded.encode(encoder)?;
                entry.encode(encoder)
            }
            Self::Mutable(sent) => {
                (RecordKind::Mutable as u8).encode(encoder)?;
                sent.encode(encoder)
            }
        }
    }
}

impl<C> Decode<C> for Record {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(match RecordKind::from_byte(u8::decode(decoder)?)? {
            RecordKind::Value => Self::Value(Decode::decode(decoder)?),
            RecordKind::Peers => Self::Peer {
                blinded: Decode::decode(decoder)?,
                entry: Decode::decode(decoder)?,
            },
            RecordKind::Mutable => Self::Mutable(Decode::decode(decoder)?),
        })
    }
}
