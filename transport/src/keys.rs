//! Long-term keys: those of a relay (protocol §3) and the persona's (§8.1).

use std::fmt;

use deut_common::ids::{PersonaKey, RelayId};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::{crypto::kdf, labels};

/// The secrets of a relay, all from one seed. Wiped on drop.
pub struct RelayKeys {
    identity: SigningKey,
    link: StaticSecret,
    onion: StaticSecret,
    id: RelayId,
}

impl RelayKeys {
    /// Derives the identity, link and onion keys from the 32-byte key seed (protocol §3).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
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
        }
    }

    /// The name of this relay.
    #[must_use]
    pub fn id(&self) -> RelayId {
        self.id
    }

    /// The Ed25519 public key.
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
        let message = parts.concat();
        #[cfg(feature = "probe")]
        if let Some(curves) = crate::stand_in::curves() {
            return curves.sign(&self.identity(), &message);
        }
        self.identity.sign(&message).to_bytes()
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

/// The persona's secret, as far as the transport needs it: it opens requests. Wiped on drop.
pub struct PersonaSecret {
    x25519: Zeroizing<[u8; 32]>,
    public: PersonaKey,
}

impl PersonaSecret {
    /// From the 32-byte Ed25519 seed; the seed itself is not kept.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        let key = SigningKey::from_bytes(&seed);
        Self {
            x25519: Zeroizing::new(key.to_scalar_bytes()),
            public: PersonaKey(key.verifying_key().to_bytes()),
        }
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public(&self) -> PersonaKey {
        self.public
    }

    /// The secret in its X25519 form (not clamped).
    pub(crate) fn x25519(&self) -> &[u8; 32] {
        &self.x25519
    }
}

impl fmt::Debug for PersonaSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonaSecret(..)")
    }
}

/// Checks an Ed25519 signature over the concatenation of `parts`, strictly (protocol §2): keys and R of small order
/// and non-canonical scalars are refused.
#[must_use]
pub fn verify(public: &[u8; 32], parts: &[&[u8]], signature: &[u8; 64]) -> bool {
    let message = parts.concat();
    let real = || {
        usable(public).is_some_and(|key| {
            key.verify_strict(&message, &Signature::from_bytes(signature))
                .is_ok()
        })
    };
    #[cfg(feature = "probe")]
    if let Some(curves) = crate::stand_in::curves() {
        return curves.verify(public, &message, signature, &real);
    }
    real()
}

/// Whether this is a point of the curve and not of small order: requests can be sealed to it.
#[must_use]
pub fn is_usable_persona(key: &PersonaKey) -> bool {
    #[cfg(feature = "probe")]
    if let Some(curves) = crate::stand_in::curves() {
        return curves.usable(&key.0, &|| usable(&key.0).is_some());
    }
    usable(&key.0).is_some()
}

/// Whether this can be a relay's identity key: a point of the curve, not of small order.
#[must_use]
pub fn is_usable_identity(key: &[u8; 32]) -> bool {
    #[cfg(feature = "probe")]
    if let Some(curves) = crate::stand_in::curves() {
        return curves.usable(key, &|| usable(key).is_some());
    }
    usable(key).is_some()
}

/// The persona key in its X25519 form, if it is usable.
pub(crate) fn persona_x25519(key: &PersonaKey) -> Option<[u8; 32]> {
    usable(&key.0).map(|key| key.to_montgomery().to_bytes())
}

fn usable(key: &[u8; 32]) -> Option<VerifyingKey> {
    VerifyingKey::from_bytes(key)
        .ok()
        .filter(|key| !key.is_weak())
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
        let signature = keys.sign(&[b"label", b"text"]);
        assert!(verify(&keys.identity(), &[b"label", b"text"], &signature));
        assert!(verify(&keys.identity(), &[b"labeltext"], &signature));
        assert!(!verify(&keys.identity(), &[b"label", b"next"], &signature));
        assert!(!verify(&other.identity(), &[b"label", b"text"], &signature));
        let mut altered = signature;
        altered[0] ^= 1;
        assert!(!verify(&keys.identity(), &[b"label", b"text"], &altered));
    }

    #[test]
    fn small_order_and_off_curve_keys_are_refused() {
        let identity_point = {
            let mut key = [0; 32];
            key[0] = 1;
            key
        };
        // y = 2 is on no point of the curve.
        let off_curve = {
            let mut key = [0; 32];
            key[0] = 2;
            key
        };
        for bad in [[0; 32], identity_point, off_curve] {
            assert!(!is_usable_persona(&PersonaKey(bad)) && !is_usable_identity(&bad));
            assert!(!verify(&bad, &[b"text"], &[0; 64]));
        }
        assert!(is_usable_persona(
            &PersonaSecret::from_seed([3; 32]).public()
        ));
    }

    #[test]
    fn both_x25519_forms_of_a_persona_belong_together() {
        let persona = PersonaSecret::from_seed([9; 32]);
        let public = PublicKey::from(&StaticSecret::from(*persona.x25519())).to_bytes();
        assert_eq!(persona_x25519(&persona.public()), Some(public));
    }

    #[test]
    fn debug_shows_no_secret() {
        let persona = PersonaSecret::from_seed([0xab; 32]);
        assert_eq!(format!("{persona:?}"), "PersonaSecret(..)");
        let text = format!("{:?}", RelayKeys::from_seed(&[0xab; 32]));
        assert!(text.len() < 24, "{text}");
    }
}
