//! The layers of a cell: one AES-128-CTR and one AES-128 block per hop and direction (protocol §7.1).

use std::fmt;

use aws_lc_rs::{
    cipher::{
        AES_128, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext,
        UnboundCipherKey,
    },
    iv::FixedLength,
};

use crate::wire::{bytes::part, frame::CELL_BODY};

/// XORs AES-128-CTR into `data`, the counter block starting at `iv` (128-bit, big-endian).
pub(crate) struct Stream(EncryptingKey);

impl Stream {
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        Self(EncryptingKey::ctr(unbound(key)).expect("AES-128 has a counter mode"))
    }

    pub(crate) fn xor(&self, iv: &[u8; 16], data: &mut [u8]) {
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        self.0
            .less_safe_encrypt(data, context)
            .map(drop)
            .expect("a counter mode takes any length");
    }
}

/// Steps a nonce forward (every hop) or back (the master).
struct Step {
    forward: EncryptingKey,
    back: DecryptingKey,
}

impl Step {
    fn new(key: &[u8; 16]) -> Self {
        Self {
            forward: EncryptingKey::ecb(unbound(key)).expect("AES-128 takes single blocks"),
            back: DecryptingKey::ecb(unbound(key)).expect("AES-128 takes single blocks"),
        }
    }

    fn forward(&self, nonce: &mut [u8; 16]) {
        self.forward
            .less_safe_encrypt(nonce, EncryptionContext::None)
            .map(drop)
            .expect("one whole block");
    }

    fn back(&self, nonce: &mut [u8; 16]) {
        self.back
            .decrypt(nonce, DecryptionContext::None)
            .map(drop)
            .expect("one whole block");
    }
}

fn unbound(key: &[u8; 16]) -> UnboundCipherKey {
    UnboundCipherKey::new(&AES_128, key).expect("AES-128 keys have 16 bytes")
}

/// One direction of one hop.
struct Direction {
    stream: Stream,
    step: Step,
}

impl Direction {
    fn new(stream: &[u8; 16], step: &[u8; 16]) -> Self {
        Self {
            stream: Stream::new(stream),
            step: Step::new(step),
        }
    }

    /// A hop's work on a cell.
    fn apply(&self, nonce: &mut [u8; 16], body: &mut [u8; CELL_BODY]) {
        self.stream.xor(nonce, body);
        self.step.forward(nonce);
    }

    /// The master's work that undoes one hop's, whether before sending or after receipt.
    fn undo(&self, nonce: &mut [u8; 16], body: &mut [u8; CELL_BODY]) {
        self.step.back(nonce);
        self.stream.xor(nonce, body);
    }
}

/// The layer keys of one hop, both directions, expanded; wiped on drop.
pub struct LayerKeys {
    forward: Direction,
    back: Direction,
}

impl LayerKeys {
    /// The keys in the first 64 of the 80 bytes of protocol §6.2: forward stream, forward nonce, back stream, back nonce key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        Self {
            forward: Direction::new(part::<0, 16, _>(bytes), part::<16, 16, _>(bytes)),
            back: Direction::new(part::<32, 16, _>(bytes), part::<48, 16, _>(bytes)),
        }
    }

    /// A hop's work on a cell from the master: XORs the stream of the nonce, then steps the nonce.
    pub fn forward(&self, nonce: &mut [u8; 16], body: &mut [u8; CELL_BODY]) {
        self.forward.apply(nonce, body);
    }

    /// A hop's work on a cell to the master.
    pub fn back(&self, nonce: &mut [u8; 16], body: &mut [u8; CELL_BODY]) {
        self.back.apply(nonce, body);
    }

    /// The master's counterpart of one hop's `forward`, called for hops n, …, 1 before sending.
    pub fn prepare_forward(&self, nonce: &mut [u8; 16], body: &mut [u8; CELL_BODY]) {
        self.forward.undo(nonce, body);
    }

    /// The master's counterpart of one hop's `back`, called for hops 1, …, n on receipt.
    pub fn undo_back(&self, nonce: &mut [u8; 16], body: &mut [u8; CELL_BODY]) {
        self.back.undo(nonce, body);
    }
}

impl fmt::Debug for LayerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LayerKeys(..)")
    }
}
