//! Things announced on an infohash.
use std::net::SocketAddr;

/// A thing that a peer entry announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Announced {
    /// A plain address that nobody verified. Whoever announces it makes it public.
    Address(SocketAddr),
    /// A persona's Ed25519 public key; its endpoint addresses are found by FIND_NODE(SHA-1(key)).
    Persona([u8; 32]),
}
