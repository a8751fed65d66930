//! The plaintext of a cell body, which travels in a tunnel between master and endpoint (protocol §7.2).

use std::net::SocketAddr;

use bincode::{Decode, Encode};
use deut_common::{
    codec::{self, Bounded, Malformed},
    ids::RelayId,
};

use super::{
    bytes::{Reader, Writer, is_zero, part, part_mut},
    descriptor::{Descriptor, put_address, take_address},
    frame::CELL_BODY,
};
use crate::{
    ids::Gate,
    packet::MESSAGE_DATAGRAM,
    rsa::{OAEP_LEN, SPKI_LEN},
};

/// Length of the plaintext: the body without its AEAD tag.
pub const CELL_PLAINTEXT: usize = CELL_BODY - 16;
/// Largest number of data bytes in a cell.
pub const CELL_DATA: usize = CELL_PLAINTEXT - 3;
/// Length of the longest signed contact.
pub const MAX_CONTACT: usize = 129;
/// Largest number of contacts in one answer.
pub const MAX_CONTACTS: usize = 8;

const _: () = assert!(CELL_PLAINTEXT == 1_163 && CELL_DATA == 1_160 && CELL_DATA == codec::LIMIT);
const _: () = assert!(16 + 2 + 1 + MESSAGE_DATAGRAM + 21 == CELL_DATA);
const _: () = assert!(4 + 1 + MAX_CONTACTS * (1 + MAX_CONTACT) <= CELL_DATA);

/// A cell in clear. Requests and answers carry the request's number; each comment says who sends the cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Master: starts the RSA exchange (protocol §7.3).
    Exchange {
        /// Number of the request.
        number: u32,
        /// The master's RSA public key.
        spki: Box<[u8; SPKI_LEN]>,
        /// `OAEP(endpoint key, seed_m)`.
        sealed: Box<[u8; OAEP_LEN]>,
    },
    /// Endpoint: completes the exchange.
    Exchanged {
        /// Number of the request.
        number: u32,
        /// `OAEP(master key, seed_e)`.
        sealed: Box<[u8; OAEP_LEN]>,
        /// Proof that both have derived the same keys.
        confirmation: [u8; 32],
    },
    /// Master: opens a gate, or closes its slot with a gate of zeros.
    SetGate {
        /// Number of the request.
        number: u32,
        /// 0: the persona's gate; 1: the reply gate.
        slot: u8,
        /// The gate.
        gate: Gate,
    },
    /// Endpoint: the gate is set.
    GateSet {
        /// Number of the request.
        number: u32,
    },
    /// Master: registers its signed contact.
    Advertise {
        /// Number of the request.
        number: u32,
        /// At most 129 bytes; a longer contact is encoded as an empty one. An empty one withdraws the contact.
        contact: Vec<u8>,
    },
    /// Endpoint: the contact is registered or withdrawn.
    Advertised {
        /// Number of the request.
        number: u32,
    },
    /// Master: asks for contacts that the endpoint hosts.
    Seeds {
        /// Number of the request.
        number: u32,
    },
    /// Endpoint: contacts that are registered with it.
    SeedsAnswer {
        /// Number of the request.
        number: u32,
        /// At most 8 contacts of at most 129 bytes each; the encoder leaves out the others.
        contacts: Vec<Vec<u8>>,
    },
    /// Master: asks for a descriptor from the endpoint's directory.
    Describe {
        /// Number of the request.
        number: u32,
        /// The relay whose descriptor is asked for.
        relay: RelayId,
    },
    /// Endpoint: the descriptor, if its directory has it.
    Described {
        /// Number of the request.
        number: u32,
        /// The verified descriptor; `None` if the relay is unknown.
        descriptor: Option<Box<[u8; Descriptor::LEN]>>,
    },
    /// Master: closes the tunnel.
    Close {
        /// Number of the request.
        number: u32,
    },
    /// Endpoint: the tunnel is closed.
    Closed {
        /// Number of the request.
        number: u32,
    },
    /// Master: tests the tunnel.
    Echo {
        /// Number of the request.
        number: u32,
        /// Bytes to be sent back.
        data: [u8; 8],
    },
    /// Endpoint: sends the bytes back.
    Echoed {
        /// Number of the request.
        number: u32,
        /// The bytes of the request.
        data: [u8; 8],
    },
    /// Master: a message for the world.
    Send {
        /// The endpoint port to send to.
        to: SocketAddr,
        /// The message, sent unchanged.
        datagram: Box<[u8; MESSAGE_DATAGRAM]>,
    },
    /// Endpoint: a message from the world.
    Deliver {
        /// The message as it arrived.
        datagram: Box<[u8; MESSAGE_DATAGRAM]>,
    },
}

type Contact = Bounded<u8, MAX_CONTACT>;
type Contacts = Bounded<Contact, MAX_CONTACTS>;

impl Cell {
    /// The type byte.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Exchange { .. } => 1,
            Self::Exchanged { .. } => 129,
            Self::SetGate { .. } => 2,
            Self::GateSet { .. } => 130,
            Self::Advertise { .. } => 3,
            Self::Advertised { .. } => 131,
            Self::Seeds { .. } => 4,
            Self::SeedsAnswer { .. } => 132,
            Self::Describe { .. } => 5,
            Self::Described { .. } => 133,
            Self::Close { .. } => 6,
            Self::Closed { .. } => 134,
            Self::Echo { .. } => 7,
            Self::Echoed { .. } => 135,
            Self::Send { .. } => 16,
            Self::Deliver { .. } => 17,
        }
    }

    /// Returns true if the master sends this type and the endpoint receives it.
    #[must_use]
    pub const fn is_from_master(&self) -> bool {
        matches!(self.kind(), 1..=7 | 16)
    }

    /// The number of a request or an answer; messages have none.
    #[must_use]
    pub const fn number(&self) -> Option<u32> {
        match self {
            Self::Exchange { number, .. }
            | Self::Exchanged { number, .. }
            | Self::SetGate { number, .. }
            | Self::GateSet { number }
            | Self::Advertise { number, .. }
            | Self::Advertised { number }
            | Self::Seeds { number }
            | Self::SeedsAnswer { number, .. }
            | Self::Describe { number, .. }
            | Self::Described { number, .. }
            | Self::Close { number }
            | Self::Closed { number }
            | Self::Echo { number, .. }
            | Self::Echoed { number, .. } => Some(*number),
            Self::Send { .. } | Self::Deliver { .. } => None,
        }
    }

    /// Returns true for the types of the RSA exchange, the only ones that travel under K0 (protocol §7.2).
    #[must_use]
    pub const fn is_exchange(&self) -> bool {
        matches!(self.kind(), 1 | 129)
    }

    /// Encodes as `type 1 ‖ length 2 ‖ data ‖ zero`.
    #[must_use]
    pub fn encode(&self) -> [u8; CELL_PLAINTEXT] {
        let mut plaintext = [0; CELL_PLAINTEXT];
        let length = self.encode_data(part_mut::<3, CELL_DATA, _>(&mut plaintext));
        let mut writer = Writer::new(&mut plaintext);
        writer.put(&[self.kind()]);
        writer.put(&u16::try_from(length).unwrap_or(0).to_be_bytes());
        plaintext
    }

    fn encode_data(&self, out: &mut [u8; CELL_DATA]) -> usize {
        match self {
            Self::Exchange {
                number,
                spki,
                sealed,
            } => put(&(number, &**spki, &**sealed), out),
            Self::Exchanged {
                number,
                sealed,
                confirmation,
            } => put(&(number, &**sealed, confirmation), out),
            Self::SetGate { number, slot, gate } => put(&(number, slot, gate.0), out),
            Self::Advertise { number, contact } => put(
                &(
                    number,
                    Contact::try_from(contact.clone()).unwrap_or_default(),
                ),
                out,
            ),
            Self::SeedsAnswer { number, contacts } => put(&(number, bound(contacts)), out),
            Self::Describe { number, relay } => put(&(number, relay.0), out),
            Self::Described { number, descriptor } => {
                let (found, bytes) = descriptor
                    .as_deref()
                    .map_or((0, &[0; Descriptor::LEN]), |bytes| (1_u8, bytes));
                put(&(number, found, bytes), out)
            }
            Self::Echo { number, data } | Self::Echoed { number, data } => {
                put(&(number, data), out)
            }
            Self::GateSet { number }
            | Self::Advertised { number }
            | Self::Seeds { number }
            | Self::Close { number }
            | Self::Closed { number } => put(number, out),
            Self::Send { to, datagram } => {
                let mut writer = Writer::new(out);
                writer.put(&put_address(*to));
                writer.put(&[1]);
                writer.put(datagram.as_slice());
                CELL_DATA
            }
            Self::Deliver { datagram } => {
                Writer::new(out).put(datagram.as_slice());
                MESSAGE_DATAGRAM
            }
        }
    }

    /// Decodes a cell.
    ///
    /// # Errors
    /// If the type is unknown, the length is wrong, a value is out of its range, or padding is not zero.
    pub fn decode(plaintext: &[u8; CELL_PLAINTEXT]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(plaintext);
        let (kind, length) = (reader.u8()?, reader.u16()?);
        let data = reader.slice(usize::from(length))?;
        reader.zero_rest()?;
        match kind {
            16 => decode_send(data),
            17 => datagram(data).map(|datagram| Self::Deliver { datagram }),
            ..128 => decode_request(kind, data),
            128.. => decode_answer(kind, data),
        }
    }
}

fn decode_request(kind: u8, data: &[u8]) -> Result<Cell, Malformed> {
    match kind {
        1 => get(data).map(|(number, spki, sealed)| Cell::Exchange {
            number,
            spki,
            sealed,
        }),
        2 => match get(data)? {
            (number, slot @ (0 | 1), gate) => Ok(Cell::SetGate {
                number,
                slot,
                gate: Gate(gate),
            }),
            _ => Err(Malformed),
        },
        3 => get::<(u32, Contact)>(data).map(|(number, contact)| Cell::Advertise {
            number,
            contact: contact.into_vec(),
        }),
        4 => get(data).map(|number| Cell::Seeds { number }),
        5 => get(data).map(|(number, relay)| Cell::Describe {
            number,
            relay: RelayId(relay),
        }),
        6 => get(data).map(|number| Cell::Close { number }),
        7 => get(data).map(|(number, data)| Cell::Echo { number, data }),
        _ => Err(Malformed),
    }
}

fn decode_answer(kind: u8, data: &[u8]) -> Result<Cell, Malformed> {
    match kind {
        129 => get(data).map(|(number, sealed, confirmation)| Cell::Exchanged {
            number,
            sealed,
            confirmation,
        }),
        130 => get(data).map(|number| Cell::GateSet { number }),
        131 => get(data).map(|number| Cell::Advertised { number }),
        132 => get::<(u32, Contacts)>(data).map(|(number, contacts)| {
            let contacts = contacts
                .into_vec()
                .into_iter()
                .map(Bounded::into_vec)
                .collect();
            Cell::SeedsAnswer { number, contacts }
        }),
        133 => match get::<(u32, u8, Box<[u8; Descriptor::LEN]>)>(data)? {
            (number, 0, bytes) if is_zero(bytes.as_slice()) => Ok(Cell::Described {
                number,
                descriptor: None,
            }),
            (number, 1, bytes) => Ok(Cell::Described {
                number,
                descriptor: Some(bytes),
            }),
            _ => Err(Malformed),
        },
        134 => get(data).map(|number| Cell::Closed { number }),
        135 => get(data).map(|(number, data)| Cell::Echoed { number, data }),
        _ => Err(Malformed),
    }
}

fn decode_send(data: &[u8]) -> Result<Cell, Malformed> {
    let data: &[u8; CELL_DATA] = data.try_into().map_err(|_| Malformed)?;
    if part::<18, 1, _>(data) != &[1] || !is_zero(part::<1_139, 21, _>(data)) {
        return Err(Malformed);
    }
    Ok(Cell::Send {
        to: take_address(part::<0, 18, _>(data)),
        datagram: Box::new(*part::<19, MESSAGE_DATAGRAM, _>(data)),
    })
}

fn datagram(data: &[u8]) -> Result<Box<[u8; MESSAGE_DATAGRAM]>, Malformed> {
    data.try_into().map(Box::new).map_err(|_| Malformed)
}

fn bound(contacts: &[Vec<u8>]) -> Contacts {
    let fitting = contacts
        .iter()
        .filter_map(|contact| Contact::try_from(contact.clone()).ok());
    Contacts::try_from(fitting.take(MAX_CONTACTS).collect::<Vec<_>>()).unwrap_or_default()
}

/// Every payload fits: see the assertions above and the test with the longest ones.
fn put<T: Encode>(value: &T, out: &mut [u8; CELL_DATA]) -> usize {
    let length = codec::encode_into(value, out);
    debug_assert!(length.is_ok());
    length.unwrap_or(0)
}

fn get<T: Decode<()>>(data: &[u8]) -> Result<T, Malformed> {
    codec::decode(data)
}
