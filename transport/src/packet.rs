//! A datagram that is moved in, transformed in place and moved out.

use std::fmt;

/// Length of every datagram on a relay port.
pub const RELAY_DATAGRAM: usize = 1_232;
/// Length of every message datagram between endpoint ports.
pub const MESSAGE_DATAGRAM: usize = 1_120;
/// Length of a HELLO and of its echo, which also travel between endpoint ports.
pub const HELLO_DATAGRAM: usize = 64;

/// One datagram in a fixed buffer.
pub struct Packet {
    buffer: Box<[u8; Self::CAPACITY]>,
    len: usize,
}

impl Packet {
    /// Size of the buffer. It is larger than any datagram we know, so that longer ones show.
    pub const CAPACITY: usize = 1_280;

    /// A packet of `len` zero bytes, at most [`Packet::CAPACITY`].
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        Self {
            buffer: Box::new([0; Self::CAPACITY]),
            len: len.min(Self::CAPACITY),
        }
    }

    /// A copy of these bytes, truncated to [`Packet::CAPACITY`].
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut packet = Self::zeroed(bytes.len());
        let len = packet.len;
        packet.buffer[..len].copy_from_slice(&bytes[..len]);
        packet
    }

    /// The whole buffer, for receiving into.
    #[must_use]
    pub fn buffer_mut(&mut self) -> &mut [u8; Self::CAPACITY] {
        &mut self.buffer
    }

    /// Sets the length after receiving, at most [`Packet::CAPACITY`].
    pub fn set_len(&mut self, len: usize) {
        self.len = len.min(Self::CAPACITY);
    }

    /// The datagram.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.len]
    }

    /// The datagram, to be changed in place.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.len]
    }

    /// The datagram as one of the relay port; `None` if it has another length.
    #[must_use]
    pub fn as_relay_mut(&mut self) -> Option<&mut [u8; RELAY_DATAGRAM]> {
        self.bytes_mut().try_into().ok()
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packet({} bytes)", self.len)
    }
}
