//! Long-term keys: those of a relay (protocol §3) and that of the persona, as [`OpeningKey`] (§8.1).

use std::fmt;

pub use deut_common::suite::OpeningKey;
use deut_common::{ids::RelayId, suite::SuiteRef};
use ed25519_dalek::SigningKey;
use x25519_dalek::{PublicKey, StaticSecret};

use crate::{kdf, labels};

/// The secret keys of a relay, all derived from one seed. Wiped on drop.
pub struct RelayKeys {
    identity: SigningKey,
    link: StaticSecret,
    onion: StaticSecret,
    id: RelayId,
    suite: SuiteRef,
}

impl RelayKeys {
    /// Derives the identity, link and onion keys from the 32-byte key seed (protocol §3).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::with_suite(seed, SuiteRef::default())
    }

    /// The same keys, but their signatures are made by `suite`.
    #[must_use]
    pub fn with_suite(seed: &[u8; 32], suite: SuiteRef) -> Self {
        let derive = |label: &[u8]| kdf::derive::<32>(&[], seed, &[label]);
        let identity = SigningKey::from_bytes(&derive(labels::RELAY_IDENTITY));
        let link = StaticSecret::from(*derive(labels::RELAY_LINK));
        let onion = StaticSecret::from(*derive(labels::RELAY_ONION));
        let id = RelayId::of(&identity.verifying_key().to_bytes());
        Self {
            identity,
            link,
            onion,
            id,
            suite,
        }
    }

    /// The relay's id, a hash of its identity key.
    #[must_use]
    pub fn id(&self) -> RelayId {
        self.id
    }

    /// The Ed25519 public key of the identity.
    #[must_use]
    pub fn identity(&self) -> [u8; 32] {
        self.identity.verifying_key().to_bytes()
    }

    /// The X25519 public key of the link handshake.
    #[must_use]
    pub fn link(&self) -> [u8; 32] {
        PublicKey::from(&self.link).to_bytes()
    }

    /// The X25519 public key of the onion path.
    #[must_use]
    pub fn onion(&self) -> [u8; 32] {
        PublicKey::from(&self.onion).to_bytes()
    }

    /// Signs the concatenation of `parts` with the identity key; the first part is the label.
    #[must_use]
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 64] {
        self.suite.sign(&self.identity, &parts.concat())
    }

    /// The link key's secret half, for the handshake.
    pub(crate) fn link_secret(&self) -> &StaticSecret {
        &self.link
    }
}

impl fmt::Debug for RelayKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayKeys({:.8})", self.id)
    }
}

/// Returns true if the concatenation of `parts`, the first of which is the label, was signed with this Ed25519 key.
#[must_use]
pub fn verify(suite: &SuiteRef, public: &[u8; 32], parts: &[&[u8]], signature: &[u8; 64]) -> bool {
    suite.verify(public, &parts.concat(), signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_three_different_keys_again_and_again() {
        let (one, again, other) = (
            RelayKeys::from_seed(&[7; 32]),
            RelayKeys::from_seed(&[7; 32]),
            RelayKeys::from_seed(&[8; 32]),
        );
        assert_eq!(
            (one.identity(), one.link(), one.onion()),
            (again.identity(), again.link(), again.onion())
        );
        assert!(
            one.link() != one.onion()
                && one.identity() != other.identity()
                && one.id() != other.id()
        );
        assert_eq!(one.id(), RelayId::of(&one.identity()));
    }

    #[test]
    fn a_signature_holds_for_its_parts_and_key_only() {
        let (keys, other) = (
            RelayKeys::from_seed(&[1; 32]),
            RelayKeys::from_seed(&[2; 32]),
        );
        let suite = SuiteRef::default();
        let signature = keys.sign(&[b"label", b"text"]);
        assert!(verify(
            &suite,
            &keys.identity(),
            &[b"label", b"text"],
            &signature
        ));
        assert!(verify(
            &suite,
            &keys.identity(),
            &[b"labeltext"],
            &signature
        ));
        assert!(!verify(
            &suite,
            &keys.identity(),
            &[b"label", b"next"],
            &signature
        ));
        assert!(!verify(
            &suite,
            &other.identity(),
            &[b"label", b"text"],
            &signature
        ));
        let mut altered = signature;
        altered[0] ^= 1;
        assert!(!verify(
            &suite,
            &keys.identity(),
            &[b"label", b"text"],
            &altered
        ));
    }

    #[test]
    fn debug_shows_no_secret() {
        let text = format!("{:?}", RelayKeys::from_seed(&[0xab; 32]));
        assert!(text.len() < 24, "{text}");
    }
}
