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
    sync::{Arc, Mutex, PoisonError},
};

use deut_common::ids::RelayId;
use deut_transport::wire::descriptor::Descriptor;
use sha2::{Digest, Sha256};

/// Answers that are remembered; beyond it all are forgotten.
const REMEMBERED: usize = 1 << 20;

/// Put in place by [`install`].
struct Remembering {
    answers: Mutex<BTreeMap<[u8; 16], bool>>,
    descriptors: Mutex<BTreeMap<RelayId, Arc<Descriptor>>>,
}

static REMEMBERING: Remembering = Remembering::new();

/// From now on all nodes of this process use it.
pub fn install() {
    deut_transport::stand_in::install(&REMEMBERING);
    deut_kademlia::stand_in::install(&REMEMBERING);
}

impl Remembering {
    const fn new() -> Self {
        Self {
            answers: Mutex::new(BTreeMap::new()),
            descriptors: Mutex::new(BTreeMap::new()),
        }
    }

    fn answer(&self, parts: &[&[u8]], real: &dyn Fn() -> bool) -> bool {
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
            let answer = real();
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            if answers.len() >= REMEMBERED {
                answers.clear();
            }
            answers.insert(name, answer);
            answer
        })
    }
}

impl deut_transport::stand_in::Curves for Remembering {
    fn sign(&self, key: &[u8; 32], message: &[u8]) -> [u8; 64] {
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

    fn verify(
        &self,
        key: &[u8; 32],
        message: &[u8],
        signature: &[u8; 64],
        real: &dyn Fn() -> bool,
    ) -> bool {
        *signature == self.sign(key, message)
            || self.answer(&[b"verify", key, signature, message], real)
    }

    fn usable(&self, key: &[u8; 32], real: &dyn Fn() -> bool) -> bool {
        self.answer(&[b"usable", key], real)
    }

    fn share(&self, descriptor: Descriptor) -> Arc<Descriptor> {
        let mut known = self
            .descriptors
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match known.get(&descriptor.id()) {
            Some(shared) if **shared == descriptor => Arc::clone(shared),
            _ => {
                let shared = Arc::new(descriptor);
                known.insert(shared.id(), Arc::clone(&shared));
                shared
            }
        }
    }

    fn message_secret(&self, recipient: &[u8; 32], enc: &[u8; 32]) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"message")
            .chain_update(recipient)
            .chain_update(enc)
            .finalize()
            .into()
    }
}

impl deut_kademlia::stand_in::Curves for Remembering {
    fn verify(
        &self,
        key: &[u8; 32],
        message: &[u8],
        signature: &[u8; 64],
        real: &dyn Fn() -> bool,
    ) -> bool {
        self.answer(&[b"verify strong", key, signature, message], real)
    }

    fn usable(&self, key: &[u8; 32], real: &dyn Fn() -> bool) -> bool {
        self.answer(&[b"strong", key], real)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, net::SocketAddr};

    use deut_transport::{ids::NetworkId, keys::RelayKeys, stand_in::Curves as _};

    use super::*;

    fn nobody() -> bool {
        false
    }

    #[test]
    fn a_relays_signature_fails_for_another_key_message_or_signature() {
        let curves = Remembering::new();
        let signature = curves.sign(&[1; 32], b"message");
        assert!(curves.verify(&[1; 32], b"message", &signature, &nobody));
        assert!(!curves.verify(&[2; 32], b"message", &signature, &nobody));
        assert!(!curves.verify(&[1; 32], b"massage", &signature, &nobody));
        assert!(!curves.verify(&[1; 32], b"message!", &signature, &nobody));
        for bit in 0..512 {
            let mut other = signature;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!curves.verify(&[1; 32], b"message", &other, &nobody));
        }
        // A split elsewhere is another message: key and message are not merely put side by side.
        assert_ne!(signature, curves.sign(&[1; 32], b"messag"));
    }

    #[test]
    fn a_personas_signature_is_really_checked_once_for_each_key_message_and_signature() {
        let curves = Remembering::new();
        let asked = Cell::new(0);
        let (key, message, signature) = ([3; 32], b"contact".to_vec(), [4; 64]);
        let genuine = |k: &[u8; 32], m: &[u8], s: &[u8; 64]| {
            let real = || {
                asked.set(asked.get() + 1);
                (k, m, s) == (&key, &message[..], &signature)
            };
            deut_kademlia::stand_in::Curves::verify(&curves, k, m, s, &real)
        };
        for _ in 0..3 {
            assert!(genuine(&key, &message, &signature));
            assert!(!genuine(&[5; 32], &message, &signature));
            assert!(!genuine(&key, b"contacts", &signature));
            assert!(!genuine(&key, &message, &[6; 64]));
        }
        assert_eq!(asked.get(), 4);
    }

    #[test]
    fn two_relays_with_one_name_are_not_taken_for_each_other() {
        let curves = Remembering::new();
        let signed = |host: u8, epoch: u32| {
            Descriptor::sign(
                &RelayKeys::from_seed(&[1; 32]),
                NetworkId([1, 2, 3, 4]),
                SocketAddr::from(([198, 51, 100, host], 4_000)),
                None,
                epoch,
                epoch + 60,
            )
        };
        let first = curves.share(signed(1, 30_000_000));
        assert!(Arc::ptr_eq(&first, &curves.share(signed(1, 30_000_000))));
        let moved = curves.share(signed(2, 30_000_001));
        assert_eq!(*moved, signed(2, 30_000_001));
        assert_eq!(*first, signed(1, 30_000_000), "who holds it keeps it");
    }
}
