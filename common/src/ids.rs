//! Identities that mean the same in both cores.

use std::fmt;

/// The id of a relay: `SHA-256(identity key)[..20]`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayId(pub [u8; 20]);

impl RelayId {
    /// The id of the relay with this Ed25519 identity key.
    #[must_use]
    pub fn of(identity: &[u8; 32]) -> Self {
        use sha2::{Digest, Sha256};
        let digest: [u8; 32] = Sha256::digest(identity).into();
        let mut id = [0; 20];
        id.copy_from_slice(&digest[..20]);
        Self(id)
    }
}

impl fmt::Debug for RelayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayId({self})")
    }
}

/// Forty hexadecimal digits; `{:.8}` gives the first 8.
impl fmt::Display for RelayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(40);
        for byte in self.0.iter().take(digits.div_ceil(2)) {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// A persona's Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonaKey(pub [u8; 32]);

impl fmt::Debug for PersonaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonaKey(..)")
    }
}
