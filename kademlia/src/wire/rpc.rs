//! The four RPCs: PING, FIND_NODE, FIND_VALUE, STORE. Layouts: `docs/protocol.md` §10.4 and §10.5.
//!
//! Users' requests carry no contact. Only the persona's upkeep puts its contact into PING and FIND_NODE, so that it can enter the
//! receiver's table.
//!
//! A new RPC begins in `docs/protocol.md` and here, with a variant each of [`Request`] and [`Answer`], its code, both directions
//! and its longest form. Personas answer it in `persona/serving.rs`. Users send it with a variant in `user/rpcs.rs`, and use the
//! answer in `user/query/`; the persona sends it with a variant in `persona/rpcs.rs`, and uses the answer in `persona/mod.rs`. The
//! fuzzers know the forms in `tests/src/fuzz/rpc.rs`.

use bincode::{
    Decode, Encode,
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};
use deut_common::codec::{Bounded, Malformed, decode, encode, invalid};

use crate::{
    MAX_VALUE,
    contact::{Contact, RawContact},
    id::{Key, NodeId},
    records::{
        entry::PeerEntry,
        mutable::{SentMutable, Version},
        record::{Conflict, Record, RecordKind, StoreResult},
        token::{TOKEN_LEN, Token},
        value::ValueBytes,
    },
    wire::limits::{Body, MAX_ANSWER_BODY, MAX_REQUEST_BODY},
};

/// Largest number of contacts in one answer: eight of the longest are 1,042 bytes.
pub(crate) const MAX_CONTACTS: usize = 8;
/// Largest number of peer entries in one answer: seven are 969 bytes.
pub(crate) const MAX_ENTRIES: usize = 7;

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

/// An answer. Its token is for the key or target that was asked for.
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
    /// A version of a mutable record. The asker knows public key and salt; others need not learn them.
    Mutable {
        token: Token,
        version: Version,
    },
    Stored(StoreResult),
    /// A mutable record was not stored because of the version that is kept, which proves itself by its signature.
    Conflict {
        conflict: Conflict,
        kept: Version,
    },
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
                // Without entries the answer would be NODES: each meaning has one form.
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
mod tests;
