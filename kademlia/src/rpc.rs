//! The four RPCs: PING, FIND_NODE, FIND_VALUE, STORE. Layouts: `docs/protocol.md`, "RPC bodies".
//!
//! Requests of users name nobody; only the persona's maintenance puts its contact into PING and
//! FIND_NODE, so that it can enter the receiver's table.
use crate::{
    api::{Body, MAX_ANSWER_BODY, MAX_REQUEST_BODY},
    codec::{Bounded, BoundedBytes, Malformed, decode, encode, invalid},
    contact::{Contact, RawContact},
    entry::PeerEntry,
    id::{Key, NodeId},
    mutable::{SentMutable, Version},
    store::MAX_VALUE,
};
use bincode::{
    Decode, Encode,
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};

/// Bytes of a write token.
pub(crate) const TOKEN_LEN: usize = 8;
/// Contacts in one answer at most: eight of the longest are 1,042 bytes.
pub(crate) const MAX_CONTACTS: usize = 8;
/// Peer entries in one answer at most: seven are 969 bytes.
pub(crate) const MAX_ENTRIES: usize = 7;

/// A write token: the right to store under one key, for a few minutes.
pub(crate) type Token = [u8; TOKEN_LEN];
/// The bytes of a value.
pub(crate) type ValueBytes = BoundedBytes<MAX_VALUE>;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Ping {
        sender: Option<RawContact>,
    },
    FindNode {
        target: NodeId,
        sender: Option<RawContact>,
    },
    FindValue {
        kind: RecordKind,
        key: Key,
    },
    Store {
        token: Token,
        record: Record,
    },
}

/// Which kind of record is asked for. Without it a value that happens to be a blinded public key, which
/// storing nodes know, would hide the peer set under the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RecordKind {
    Value = 1,
    Peers = 2,
    Mutable = 3,
}

impl RecordKind {
    fn from_byte(byte: u8) -> Result<Self, DecodeError> {
        match byte {
            1 => Ok(Self::Value),
            2 => Ok(Self::Peers),
            3 => Ok(Self::Mutable),
            _ => Err(invalid()),
        }
    }
}

/// What is stored; the key follows from it, so it cannot be wrong.
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

/// What is answered. The token is for the key or target that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Pong {
        contact: RawContact,
    },
    Nodes {
        token: Token,
        contacts: Bounded<RawContact, MAX_CONTACTS>,
    },
    Value {
        token: Token,
        value: ValueBytes,
    },
    Peers {
        token: Token,
        entries: Bounded<PeerEntry, MAX_ENTRIES>,
    },
    /// A version of a mutable record. The asker knows public key and salt, others need not learn them.
    Mutable {
        token: Token,
        version: Version,
    },
    Stored(StoreResult),
    /// A mutable record was not stored, for the sake of the version that is kept: its signature proves it.
    Conflict {
        conflict: Conflict,
        kept: Version,
    },
}

/// What became of a STORE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum StoreResult {
    Stored = 0,
    BadToken = 1,
    Full = 2,
    BadRecord = 3,
}

/// Why a mutable record was not stored over the one that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Conflict {
    OldSequence = 4,
    SameSequence = 5,
    CasMismatch = 6,
}

impl Request {
    pub(crate) fn to_body(&self) -> Body {
        encode(self)
    }

    pub(crate) fn from_body(body: &[u8]) -> Result<Self, Malformed> {
        decode(body)
    }
}

impl Answer {
    pub(crate) fn to_body(&self) -> Body {
        encode(self)
    }

    pub(crate) fn from_body(body: &[u8]) -> Result<Self, Malformed> {
        decode(body)
    }
}

const PING: u8 = 0x01;
const FIND_NODE: u8 = 0x02;
const FIND_VALUE: u8 = 0x03;
const STORE: u8 = 0x04;
const PONG: u8 = 0x81;
const NODES: u8 = 0x82;
const VALUE: u8 = 0x83;
const PEERS: u8 = 0x84;
const STORED: u8 = 0x85;
const MUTABLE: u8 = 0x86;

impl Encode for Request {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        match self {
            Self::Ping { sender } => {
                PING.encode(encoder)?;
                encode_optional(sender.as_ref(), encoder)
            }
            Self::FindNode { target, sender } => {
                FIND_NODE.encode(encoder)?;
                target.0.encode(encoder)?;
                encode_optional(sender.as_ref(), encoder)
            }
            Self::FindValue { kind, key } => {
                FIND_VALUE.encode(encoder)?;
                (*kind as u8).encode(encoder)?;
                key.0.encode(encoder)
            }
            Self::Store { token, record } => {
                STORE.encode(encoder)?;
                token.encode(encoder)?;
                record.encode(encoder)
            }
        }
    }
}

impl<C> Decode<C> for Request {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(match u8::decode(decoder)? {
            PING => Self::Ping {
                sender: decode_optional(decoder)?,
            },
            FIND_NODE => Self::FindNode {
                target: NodeId(Decode::decode(decoder)?),
                sender: decode_optional(decoder)?,
            },
            FIND_VALUE => Self::FindValue {
                kind: RecordKind::from_byte(u8::decode(decoder)?)?,
                key: NodeId(Decode::decode(decoder)?),
            },
            STORE => Self::Store {
                token: Decode::decode(decoder)?,
                record: Decode::decode(decoder)?,
            },
            _ => return Err(invalid()),
        })
    }
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

impl Encode for Answer {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        match self {
            Self::Pong { contact } => {
                PONG.encode(encoder)?;
                contact.encode(encoder)
            }
            Self::Nodes { token, contacts } => {
                NODES.encode(encoder)?;
                token.encode(encoder)?;
                contacts.encode(encoder)
            }
            Self::Value { token, value } => {
                VALUE.encode(encoder)?;
                token.encode(encoder)?;
                value.encode(encoder)
            }
            Self::Peers { token, entries } => {
                PEERS.encode(encoder)?;
                token.encode(encoder)?;
                entries.encode(encoder)
            }
            Self::Stored(result) => {
                STORED.encode(encoder)?;
                (*result as u8).encode(encoder)
            }
            Self::Mutable { token, version } => {
                MUTABLE.encode(encoder)?;
                token.encode(encoder)?;
                version.encode(encoder)
            }
            Self::Conflict { conflict, kept } => {
                STORED.encode(encoder)?;
                (*conflict as u8).encode(encoder)?;
                kept.encode(encoder)
            }
        }
    }
}

impl<C> Decode<C> for Answer {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(match u8::decode(decoder)? {
            PONG => Self::Pong {
                contact: Decode::decode(decoder)?,
            },
            NODES => Self::Nodes {
                token: Decode::decode(decoder)?,
                contacts: Decode::decode(decoder)?,
            },
            VALUE => Self::Value {
                token: Decode::decode(decoder)?,
                value: Decode::decode(decoder)?,
            },
            PEERS => {
                let token = Decode::decode(decoder)?;
                let entries: Bounded<PeerEntry, MAX_ENTRIES> = Decode::decode(decoder)?;
                // Without entries the answer would have been NODES: one form for each meaning.
                if entries.is_empty() {
                    return Err(invalid());
                }
                Self::Peers { token, entries }
            }
            STORED => match u8::decode(decoder)? {
                0 => Self::Stored(StoreResult::Stored),
                1 => Self::Stored(StoreResult::BadToken),
                2 => Self::Stored(StoreResult::Full),
                3 => Self::Stored(StoreResult::BadRecord),
                4 => conflict(Conflict::OldSequence, decoder)?,
                5 => conflict(Conflict::SameSequence, decoder)?,
                6 => conflict(Conflict::CasMismatch, decoder)?,
                _ => return Err(invalid()),
            },
            MUTABLE => Self::Mutable {
                token: Decode::decode(decoder)?,
                version: Decode::decode(decoder)?,
            },
            _ => return Err(invalid()),
        })
    }
}

fn conflict<C, D: Decoder<Context = C>>(
    conflict: Conflict,
    decoder: &mut D,
) -> Result<Answer, DecodeError> {
    let kept = Decode::decode(decoder)?;
    Ok(Answer::Conflict { conflict, kept })
}

fn encode_optional<E: Encoder>(
    sender: Option<&RawContact>,
    encoder: &mut E,
) -> Result<(), EncodeError> {
    match sender {
        None => 0u8.encode(encoder),
        Some(contact) => {
            1u8.encode(encoder)?;
            contact.encode(encoder)
        }
    }
}

fn decode_optional<C, D: Decoder<Context = C>>(
    decoder: &mut D,
) -> Result<Option<RawContact>, DecodeError> {
    match u8::decode(decoder)? {
        0 => Ok(None),
        1 => Ok(Some(Decode::decode(decoder)?)),
        _ => Err(invalid()),
    }
}

/// Longest bodies in bytes, so that the budget of one datagram is checked where the layout is.
const LONGEST_FIND_NODE: usize = 1 + NodeId::LEN + 1 + Contact::MAX_LEN;
const LONGEST_STORE: usize = 1 + TOKEN_LEN + 1 + 2 + MAX_VALUE;
const LONGEST_STORE_MUTABLE: usize = 1 + TOKEN_LEN + 1 + SentMutable::MAX_LEN;
const LONGEST_MUTABLE: usize = 1 + TOKEN_LEN + Version::MAX_LEN;
const LONGEST_CONFLICT: usize = 1 + 1 + Version::MAX_LEN;
const LONGEST_NODES: usize = 1 + TOKEN_LEN + 1 + MAX_CONTACTS * Contact::MAX_LEN;
const LONGEST_VALUE: usize = 1 + TOKEN_LEN + 2 + MAX_VALUE;
const LONGEST_PEERS: usize = 1 + TOKEN_LEN + 1 + MAX_ENTRIES * PeerEntry::LEN;
const _: () = assert!(LONGEST_FIND_NODE <= MAX_REQUEST_BODY && LONGEST_STORE <= MAX_REQUEST_BODY);
const _: () = assert!(LONGEST_STORE_MUTABLE == 990 && LONGEST_STORE_MUTABLE <= MAX_REQUEST_BODY);
const _: () = assert!(LONGEST_MUTABLE == 883 && LONGEST_CONFLICT == 876);
const _: () = assert!(LONGEST_NODES == 1_042 && LONGEST_PEERS == 969);
const _: () = assert!(LONGEST_NODES <= MAX_ANSWER_BODY && LONGEST_VALUE <= MAX_ANSWER_BODY);

#[cfg(test)]
#[path = "rpc_tests.rs"]
mod tests;
