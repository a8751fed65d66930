//! Public-key operations on Curve25519: signatures, and messages sealed to a persona (protocol §2, §8.1).
//!
//! Both cores reach them through a [`SuiteRef`] in their configuration. [`Curve25519`] is the one that is shipped; virtual networks
//! of a thousand nodes use a cheaper one of their own.

use std::{fmt, ops::Deref, sync::Arc};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable,
    aead::{AeadCtxR, AeadCtxS, ChaCha20Poly1305},
    kdf::HkdfSha256,
    kem::X25519HkdfSha256,
};
use rand::rngs::StdRng;
use zeroize::Zeroizing;

use crate::ids::PersonaKey;

type Public = <X25519HkdfSha256 as Kem>::PublicKey;
type Secret = <X25519HkdfSha256 as Kem>::PrivateKey;
type Encapped = <X25519HkdfSha256 as Kem>::EncappedKey;
type Sender = AeadCtxS<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>;
type Receiver = AeadCtxR<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>;

/// Number of bytes by which a sealed text is longer than its plaintext.
pub const SEAL_TAG: usize = 16;

/// The public-key operations. An implementation must keep the lengths, the failures and the random draws of [`Curve25519`].
pub trait Suite: Send + Sync {
    /// Makes an Ed25519 signature.
    fn sign(&self, key: &SigningKey, message: &[u8]) -> [u8; 64];

    /// Verifies a signature strictly: false for an unusable key, an R of small order or a scalar that is not canonical.
    fn verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool;

    /// Returns true if the bytes are usable as an Ed25519 key: the canonical encoding of a point that is not of small order.
    fn is_usable(&self, key: &[u8; 32]) -> bool;

    /// Seals to a persona (HPKE, base mode) and exports secrets of the context. Returns the encapsulated key of 32 bytes, and the
    /// ciphertext, [`SEAL_TAG`] bytes longer than the text. `None` if the key is not usable.
    fn seal(
        &self,
        to: &PersonaKey,
        text: Text<'_>,
        exports: &mut [Export<'_>],
        rng: &mut StdRng,
    ) -> Option<([u8; 32], Vec<u8>)>;

    /// Opens what [`Self::seal`] sealed, and exports the same secrets. `None` if it was sealed to another recipient or with another
    /// context, or was altered.
    fn open(
        &self,
        by: &OpeningKey,
        encapsulated: &[u8; 32],
        text: Text<'_>,
        exports: &mut [Export<'_>],
    ) -> Option<Zeroizing<Vec<u8>>>;
}

/// A text to be sealed or opened, with its context.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// Separates uses of one key: HPKE's `info`.
    pub info: &'a [u8],
    /// Associated data: bound to the ciphertext but not part of it.
    pub associated: &'a [u8],
    /// The plaintext, or the ciphertext with its tag.
    pub text: &'a [u8],
}

/// A secret that sender and recipient derive from the context: HPKE's `Export`.
#[derive(Debug)]
pub struct Export<'a> {
    /// Name of the secret.
    pub label: &'a [u8],
    /// Buffer that is filled with the secret; at most 8,160 bytes.
    pub to: &'a mut [u8],
}

/// The part of a persona's key pair that opening needs. Wiped on drop.
pub struct OpeningKey {
    public: PersonaKey,
    scalar: Zeroizing<[u8; 32]>,
}

impl OpeningKey {
    /// Derives the key pair from the 32-byte Ed25519 seed, which is not kept.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        Self {
            public: PersonaKey(key.verifying_key().to_bytes()),
            scalar: Zeroizing::new(key.to_scalar_bytes()),
        }
    }

    /// The Ed25519 public key.
    #[must_use]
    pub const fn public(&self) -> PersonaKey {
        self.public
    }
}

impl fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpeningKey(..)")
    }
}

/// The suite that a core was given. Two references are equal if they are to the same object.
#[derive(Clone)]
pub struct SuiteRef(Arc<dyn Suite>);

impl SuiteRef {
    /// A reference to any suite.
    #[must_use]
    pub fn new(suite: impl Suite + 'static) -> Self {
        Self(Arc::new(suite))
    }
}

/// The default is [`Curve25519`].
impl Default for SuiteRef {
    fn default() -> Self {
        Self::new(Curve25519)
    }
}

impl Deref for SuiteRef {
    type Target = dyn Suite;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl PartialEq for SuiteRef {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SuiteRef {}

impl fmt::Debug for SuiteRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SuiteRef(..)")
    }
}

/// The shipped suite: Ed25519, and HPKE with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20-Poly1305.
#[derive(Clone, Copy, Debug, Default)]
pub struct Curve25519;

impl Suite for Curve25519 {
    fn sign(&self, key: &SigningKey, message: &[u8]) -> [u8; 64] {
        key.sign(message).to_bytes()
    }

    fn verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        usable(key).is_some_and(|key| {
            key.verify_strict(message, &Signature::from_bytes(signature))
                .is_ok()
        })
    }

    fn is_usable(&self, key: &[u8; 32]) -> bool {
        usable(key).is_some()
    }

    fn seal(
        &self,
        to: &PersonaKey,
        text: Text<'_>,
        exports: &mut [Export<'_>],
        rng: &mut StdRng,
    ) -> Option<([u8; 32], Vec<u8>)> {
        let public = Public::from_bytes(usable(&to.0)?.to_montgomery().as_bytes()).ok()?;
        let (encapsulated, mut context): (Encapped, Sender) =
            hpke::setup_sender_with_rng(&OpModeS::Base, &public, text.info, rng).ok()?;
        let sealed = context.seal(text.text, text.associated).ok()?;
        for export in exports {
            context.export(export.label, export.to).ok()?;
        }
        Some((encapsulated.to_bytes().into(), sealed))
    }

    fn open(
        &self,
        by: &OpeningKey,
        encapsulated: &[u8; 32],
        text: Text<'_>,
        exports: &mut [Export<'_>],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let secret = Secret::from_bytes(by.scalar.as_slice()).ok()?;
        let mut context = receiver(&secret, encapsulated, text.info)?;
        let opened = Zeroizing::new(context.open(text.text, text.associated).ok()?);
        for export in exports {
            context.export(export.label, export.to).ok()?;
        }
        Some(opened)
    }
}

fn receiver(secret: &Secret, encapsulated: &[u8; 32], info: &[u8]) -> Option<Receiver> {
    let encapsulated = Encapped::from_bytes(encapsulated).ok()?;
    hpke::setup_receiver(&OpModeR::Base, secret, &encapsulated, info).ok()
}

fn usable(bytes: &[u8; 32]) -> Option<VerifyingKey> {
    let key = VerifyingKey::from_bytes(bytes).ok()?;
    // If a key had several encodings, it would have several names.
    let canonical = key.to_edwards().compress().to_bytes() == *bytes;
    (canonical && !key.is_weak()).then_some(key)
}

#[cfg(test)]
mod tests;
