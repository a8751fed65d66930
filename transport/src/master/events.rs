//! News of the master for the rest of the node.

use crate::{
    ids::{PoolId, TunnelHandle},
    packet::MESSAGE_DATAGRAM,
};

pub(crate) enum MasterEvent {
    /// A reply gate is open: a tunnel came up, or may serve another lookup.
    ReplyGate,
    /// The tunnel is gone.
    Down(TunnelHandle),
    /// A message came through this tunnel.
    Message(TunnelHandle, Box<[u8; MESSAGE_DATAGRAM]>),
    /// The persona's set of addresses changed.
    Addresses,
}

impl MasterEvent {
    /// A tunnel of the pool retires or is gone. Only the persona's tunnels have addresses that others know.
    pub(super) fn addresses_of(pool: PoolId) -> Option<Self> {
        (pool == PoolId::Persona).then_some(Self::Addresses)
    }
}

/// The recipient of a message: the user, who made a call, or the persona.
#[derive(Clone, Copy)]
pub(crate) enum Recipient {
    Caller,
    Persona,
}
