//! Cheaper curve arithmetic for big virtual networks: true answers, remembered; signatures of relays and a shared secret
//! without a curve.
//!
//! A relay's signature is a hash of its public key and the message: a thousand relays ask each other `WhoAreYou` every few
//! minutes, and no two answers are alike. It fails like a real one: for another key, message or signature. A persona's
//! signature is really checked the first time and remembered after that: a thousand nodes check the same contact. The
//! secret of a message is a hash of the recipient's public key and a random value of the real length: whoever knows the
//! public key could open it, and nobody else. `tests/everything_real.rs` runs one network with everything real beside it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use deut_transport::{ids::RelayId, wire::descriptor::Descriptor};

use sha2::{Digest, Sha256};

/// Answers that are remembered; beyond it all are forgotten.
const REMEMBERED: usize = 1 << 20;

/// Put in place by [`install`].
struct Remembering {
    answers: Mutex<BTreeMap<[u8; 16], bool>>,
    descriptors: Mutex<BTreeMap<RelayId, Arc<Descriptor>>>,
}

static REMEMBERING: Remembering = Remembering {
    answers: Mutex::new(BTreeMap::new()),
    descriptors: Mutex::new(BTreeMap::new()),
};

/// From now on all nodes of this process use it.
pub fn install() {
    deut_transport::stand_in::install(&REMEMBERING);
    deut_kademlia::stand_in::install(&REMEMBERING);
}

impl Remembering {
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
