//! A stand-in for RSA with its real lengths and failures, so that virtual networks need no hours of key generation.
//!
//! It hides nothing: whoever has the public key can open. One scenario with the real suite keeps it honest.

use std::sync::Arc;

use deut::rsa_suite::RealRsa;
use deut_transport::rsa::{BadRsaKey, OAEP_LEN, PrivateKey, RsaKeyPair, RsaSuite, SPKI_LEN};
use sha2::{Digest, Sha256};

/// First byte of every stand-in key, so that others are refused.
const MARK: u8 = 0x30;

/// The suite.
pub struct StandIn;

struct StandInKey {
    public: Box<[u8; SPKI_LEN]>,
    reject: [u8; 32],
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

fn xor(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    std::array::from_fn(|i| a[i] ^ b[i])
}

impl RsaSuite for StandIn {
    fn generate(&self, seed: [u8; 32]) -> RsaKeyPair {
        let mut public = Box::new([0; SPKI_LEN]);
        for (i, chunk) in public.chunks_mut(32).enumerate() {
            let block = hash(&[b"public", &seed, &[i as u8]]);
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        public[0] = MARK;
        let reject = hash(&[b"reject", &seed]);
        RsaKeyPair {
            public: public.clone(),
            private: Arc::new(StandInKey { public, reject }),
        }
    }

    fn seal(
        &self,
        public: &[u8; SPKI_LEN],
        message: &[u8; 32],
        seed: [u8; 32],
    ) -> Result<[u8; OAEP_LEN], BadRsaKey> {
        if public[0] != MARK {
            return Err(BadRsaKey);
        }
        let mut sealed = [0; OAEP_LEN];
        sealed[..32].copy_from_slice(&seed);
        sealed[32..64].copy_from_slice(&xor(message, &hash(&[b"pad", public, &seed])));
        sealed[64..96].copy_from_slice(&hash(&[b"check", public, &seed, message]));
        for (i, chunk) in sealed[96..].chunks_mut(32).enumerate() {
            chunk.copy_from_slice(&hash(&[b"fill", &seed, &[i as u8]])[..chunk.len()]);
        }
        Ok(sealed)
    }
}

impl PrivateKey for StandInKey {
    fn open(&self, sealed: &[u8; OAEP_LEN], _blinding: [u8; 32]) -> [u8; 32] {
        let seed: [u8; 32] = std::array::from_fn(|i| sealed[i]);
        let masked: [u8; 32] = std::array::from_fn(|i| sealed[32 + i]);
        let message = xor(&masked, &hash(&[b"pad", self.public.as_slice(), &seed]));
        if sealed[64..96] == hash(&[b"check", self.public.as_slice(), &seed, &message]) {
            message
        } else {
            hash(&[b"rejected", &self.reject, sealed])
        }
    }
}

/// Real RSA whose keys were made before: "making" a key draws one from a pool.
pub struct Pooled {
    keys: Vec<RsaKeyPair>,
}

impl Pooled {
    /// Makes so many keys, the same ones each time.
    #[must_use]
    pub fn new(count: u8) -> Self {
        Self {
            keys: (0..count).map(|n| RealRsa.generate([n; 32])).collect(),
        }
    }
}

impl RsaSuite for Pooled {
    fn generate(&self, seed: [u8; 32]) -> RsaKeyPair {
        let number = usize::from(seed[0]) | usize::from(seed[1]) << 8;
        let key = &self.keys[number % self.keys.len()];
        RsaKeyPair {
            public: key.public.clone(),
            private: Arc::clone(&key.private),
        }
    }

    fn seal(
        &self,
        public: &[u8; SPKI_LEN],
        message: &[u8; 32],
        seed: [u8; 32],
    ) -> Result<[u8; OAEP_LEN], BadRsaKey> {
        RealRsa.seal(public, message, seed)
    }
}
