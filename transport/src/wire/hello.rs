//! HELLO and its echo, by which an endpoint port shows that it takes messages for a gate (protocol §7.5).

use super::bytes::{Writer, part};
use crate::{ids::Gate, packet::HELLO_DATAGRAM};

/// The nonce that a HELLO and its echo share.
pub type HelloNonce = [u8; 16];

/// A datagram of 64 bytes between endpoint ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hello {
    /// 1, a HELLO: asks if this port takes messages for this gate.
    Question {
        /// The first 8 bytes of the message that waits.
        gate: Gate,
        /// Nonce that the echo repeats.
        nonce: HelloNonce,
    },
    /// 2, the echo: the port takes them.
    Echo {
        /// Nonce of the HELLO.
        nonce: HelloNonce,
    },
}

const QUESTION: u8 = 1;
const ECHO: u8 = 2;

impl Hello {
    /// Encodes the datagram. `random` fills the bytes without meaning and must be drawn anew for each.
    #[must_use]
    pub fn encode(&self, random: [u8; HELLO_DATAGRAM]) -> [u8; HELLO_DATAGRAM] {
        let mut datagram = random;
        let (gate, kind, nonce) = match self {
            Self::Question { gate, nonce } => (gate.0, QUESTION, nonce),
            Self::Echo { nonce } => (*part::<0, 8, _>(&random), ECHO, nonce),
        };
        let mut writer = Writer::new(&mut datagram);
        writer.put(&gate);
        writer.put(&[kind]);
        writer.put(nonce);
        datagram
    }

    /// Decodes a datagram; `None` if its kind is unknown.
    #[must_use]
    pub fn decode(datagram: &[u8; HELLO_DATAGRAM]) -> Option<Self> {
        let nonce = *part::<9, 16, _>(datagram);
        match *part::<8, 1, _>(datagram) {
            [QUESTION] => Some(Self::Question {
                gate: Gate(*part::<0, 8, _>(datagram)),
                nonce,
            }),
            [ECHO] => Some(Self::Echo { nonce }),
            _ => None,
        }
    }
}
