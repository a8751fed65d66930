//! The persona's key pair.
use crate::{id::NodeId, labels};
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use std::fmt;

/// The Ed25519 signing key of a persona. It is never on disk and is wiped when dropped.
pub struct PersonaSecret(SigningKey);

impl PersonaSecret {
    /// The key for a 32-byte seed (the private key of RFC 8032).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The node id: SHA-1 of the public key.
    #[must_use]
    pub fn id(&self) -> NodeId {
        NodeId::hash_of(&self.public())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for PersonaSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonaSecret(..)")
    }
}

/// The proof of work of `nonce`: the number of leading zero bits of SHA-256(label ‖ key ‖ nonce).
pub(crate) fn work_bits(key: &[u8; 32], nonce: u32) -> u32 {
    let hash = Sha256::new()
        .chain_update(labels::CONTACT_WORK)
        .chain_update(key)
        .chain_update(nonce.to_be_bytes())
        .finalize();
    let [a, b, c, d, ..] = hash.0;
    u32::from_be_bytes([a, b, c, d]).leading_zeros()
}

/// The search for a nonce, in slices so that no call takes long.
#[derive(Debug)]
pub(crate) struct WorkSearch {
    key: [u8; 32],
    bits: u32,
    next: u32,
}

impl WorkSearch {
    /// Number of tries per slice, which take about 0.1 ms.
    const SLICE: u32 = 512;

    pub(crate) fn new(key: [u8; 32], bits: u32) -> Self {
        Self { key, bits, next: 0 }
    }

    /// Tries one slice. Returns the smallest nonce that fits once it is found.
    pub(crate) fn step(&mut self) -> Option<u32> {
        let from = self.next;
        self.next = from.wrapping_add(Self::SLICE);
        (0..Self::SLICE)
            .map(|offset| from.wrapping_add(offset))
            .find(|nonce| work_bits(&self.key, *nonce) >= self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    #[test]
    fn rfc_8032_test_1_gives_the_published_public_key() {
        let seed: [u8; 32] =
            hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
                .try_into()
                .expect("32 bytes");
        let public: [u8; 32] =
            hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
                .try_into()
                .expect("32 bytes");
        assert_eq!(PersonaSecret::from_seed(&seed).public(), public);
    }

    #[test]
    fn the_search_finds_a_nonce_with_the_wanted_work() {
        let mut search = WorkSearch::new([7; 32], 12);
        let nonce = std::iter::repeat_with(|| search.step())
            .flatten()
            .next()
            .expect("found");
        assert!(work_bits(&[7; 32], nonce) >= 12);
        assert!((0..nonce).all(|smaller| work_bits(&[7; 32], smaller) < 12));
    }

    #[test]
    fn a_secret_prints_nothing() {
        assert_eq!(
            format!("{:?}", PersonaSecret::from_seed(&[1; 32])),
            "PersonaSecret(..)"
        );
    }
}
