//! Things announced on an infohash.
use std::net::SocketAddr;

/// A thing that a peer entry announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Announced {
    /// A plain address, which nobody verified. Its announcer makes it public.
    Address(SocketAddr),
    /// A persona's Ed25519 public key. Its endpoint addresses are found by FIND_NODE(SHA-1(key)).
    Persona([u8; 32]),
}
