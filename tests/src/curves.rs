//! Cheaper curve arithmetic for big virtual networks: true answers, remembered; signatures of relays and a shared secret
//! without a curve.
//!
//! A relay's signature is a hash of its public key and the message: a thousand relays ask each other `WhoAreYou` every few
//! minutes, and no two answers are alike. It fails like a real one: for another key, message or signature. A persona's
//! signature is really checked the first time and remembered after that: a thousand nodes check the same contact. The
//! secret of a message is a hash of the recipient's public key and a random value of the real length: whoever knows the
//! public key could open it, and nobody else. `tests/cores/everything_real.rs` runs one network with everything real beside it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use deut_common::{
    ids::PersonaKey,
    suite::{Curve25519, Export, OpeningKey, SEAL_TAG, Suite, SuiteRef, Text},
};
use deut_transport::{crypto::aead::AeadKey, kdf::Prk};
use ed25519_dalek::SigningKey;
use rand::{Rng, rngs::StdRng};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Answers that are remembered; beyond it all are forgotten.
const REMEMBERED: usize = 1 << 20;

/// One suite for all nodes of a network.
#[must_use]
pub fn remembered() -> SuiteRef {
    SuiteRef::new(Remembering::new(Curve25519))
}

/// Asks `real` once for each question.
struct Remembering<S> {
    real: S,
    answers: Mutex<BTreeMap<[u8; 16], bool>>,
}

impl<S: Suite> Remembering<S> {
    const fn new(real: S) -> Self {
        Self {
            real,
            answers: Mutex::new(BTreeMap::new()),
        }
    }

    fn answer(&self, parts: &[&[u8]], real: impl Fn(&S) -> bool) -> bool {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
        }
        let mut name = [0; 16];
        name.copy_from_slice(&hash.finalize()[..16]);
        let known = {
            let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.get(&name).copied()
        };
        known.unwrap_or_else(|| {
            let answer = real(&self.real);
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            if answers.len() >= REMEMBERED {
                answers.clear();
            }
            answers.insert(name, answer);
            answer
        })
    }
}

fn signature(key: &[u8; 32], message: &[u8]) -> [u8; 64] {
    let half = Sha256::new()
        .chain_update(b"sign")
        .chain_update(key)
        .chain_update(message)
        .finalize();
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&half);
    signature[32..].copy_from_slice(&Sha256::digest(half));
    signature
}

/// What sender and recipient share: the key of the text, and what is exported.
fn shared(to: &PersonaKey, enc: &[u8; 32], info: &[u8], exports: &mut [Export<'_>]) -> AeadKey {
    let secret: [u8; 32] = Sha256::new()
        .chain_update(b"message")
        .chain_update(to.0)
        .chain_update(enc)
        .finalize()
        .into();
    let prk = Prk::extract(enc, &secret);
    for export in exports {
        let bytes = prk.expand::<32>(&[export.label]);
        export.to.copy_from_slice(&bytes[..export.to.len()]);
    }
    AeadKey::new(*prk.expand(&[info]))
}

impl<S: Suite> Suite for Remembering<S> {
    fn sign(&self, key: &SigningKey, message: &[u8]) -> [u8; 64] {
        signature(key.verifying_key().as_bytes(), message)
    }

    fn verify(&self, key: &[u8; 32], message: &[u8], signed: &[u8; 64]) -> bool {
        *signed == signature(key, message)
            || self.answer(&[b"verify", key, signed, message], |real| {
                real.verify(key, message, signed)
            })
    }

    fn is_usable(&self, key: &[u8; 32]) -> bool {
        self.answer(&[b"usable", key], |real| real.is_usable(key))
    }

    fn seal(
        &self,
        to: &PersonaKey,
        text: Text<'_>,
        exports: &mut [Export<'_>],
        rng: &mut StdRng,
    ) -> Option<([u8; 32], Vec<u8>)> {
        let mut enc = [0; 32];
        rng.fill_bytes(&mut enc);
        let key = shared(to, &enc, text.info, exports);
        let mut sealed = [text.text, &[0; SEAL_TAG]].concat();
        key.seal_in_place([0; 12], text.associated, &mut sealed);
        Some((enc, sealed))
    }

    fn open(
        &self,
        by: &OpeningKey,
        enc: &[u8; 32],
        text: Text<'_>,
        exports: &mut [Export<'_>],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let key = shared(&by.public(), enc, text.info, exports);
        let mut opened = Zeroizing::new(vec![0; text.text.len().checked_sub(SEAL_TAG)?]);
        let aad = text.associated;
        key.open_into([0; 12], aad, text.text, &mut opened).ok()?;
        Some(opened)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Counts how often it is asked whether a signature holds; one does.
    struct Counting(Mutex<Cell<u32>>);

    const GENUINE: ([u8; 32], &[u8], [u8; 64]) = ([3; 32], b"contact", [4; 64]);

    impl Suite for Counting {
        fn sign(&self, _: &SigningKey, _: &[u8]) -> [u8; 64] {
            unreachable!("nobody signs here")
        }
        fn verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
            self.0.lock().expect("one thread").update(|asked| asked + 1);
            (*key, message, *signature) == GENUINE
        }
        fn is_usable(&self, _: &[u8; 32]) -> bool {
            unreachable!("nobody asks")
        }
        fn seal(
            &self,
            _: &PersonaKey,
            _: Text<'_>,
            _: &mut [Export<'_>],
            _: &mut StdRng,
        ) -> Option<([u8; 32], Vec<u8>)> {
            unreachable!("nobody seals here")
        }
        fn open(
            &self,
            _: &OpeningKey,
            _: &[u8; 32],
            _: Text<'_>,
            _: &mut [Export<'_>],
        ) -> Option<Zeroizing<Vec<u8>>> {
            unreachable!("nobody opens here")
        }
    }

    #[test]
    fn a_relays_signature_fails_for_another_key_message_or_signature() {
        let suite = remembered();
        let key = SigningKey::from_bytes(&[1; 32]);
        let (public, other) = (
            key.verifying_key().to_bytes(),
            SigningKey::from_bytes(&[2; 32]),
        );
        let signature = suite.sign(&key, b"message");
        assert!(suite.verify(&public, b"message", &signature));
        assert!(!suite.verify(&other.verifying_key().to_bytes(), b"message", &signature));
        assert!(!suite.verify(&public, b"massage", &signature));
        assert!(!suite.verify(&public, b"message!", &signature));
        for bit in 0..512 {
            let mut altered = signature;
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(!suite.verify(&public, b"message", &altered));
        }
        // A split elsewhere is another message: key and message are not merely put side by side.
        assert_ne!(signature, suite.sign(&key, b"messag"));
    }

    #[test]
    fn a_personas_signature_is_really_checked_once_for_each_key_message_and_signature() {
        let suite = Remembering::new(Counting(Mutex::default()));
        let (key, message, signature) = GENUINE;
        for _ in 0..3 {
            assert!(suite.verify(&key, message, &signature));
            assert!(!suite.verify(&[5; 32], message, &signature));
            assert!(!suite.verify(&key, b"contacts", &signature));
            assert!(!suite.verify(&key, message, &[6; 64]));
        }
        assert_eq!(suite.real.0.lock().expect("one thread").get(), 4);
    }
}
