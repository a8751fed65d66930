//! The seam for RSA: the core never computes with a private key; it gives out jobs (protocol §7.3).
//!
//! The real suite is in the `deut` crate; a stand-in with the same lengths and failures is in the tests crate.

use std::{fmt, sync::Arc};

/// Length of every RSA public key: SubjectPublicKeyInfo of a 2,048-bit key with e = 65537.
pub const SPKI_LEN: usize = 294;
/// Length of every OAEP ciphertext.
pub const OAEP_LEN: usize = 256;

/// Time after which a job that the worker refused is given out again.
pub(crate) const JOB_AGAIN_MS: u64 = 1_000;

/// A private key that can open ciphertexts and nothing else: it cannot be copied out, printed or serialised.
pub trait PrivateKey: Send + Sync {
    /// Opens an OAEP ciphertext of 32 bytes. Whatever is wrong with it, the answer is a pseudorandom seed, so no errors can be told
    /// apart. `blinding` seeds the blinding of the private operation.
    fn open(&self, ciphertext: &[u8; OAEP_LEN], blinding: [u8; 32]) -> [u8; 32];
}

/// The key pair of one tunnel (at a master) or of one run (at an endpoint).
#[derive(Clone)]
pub struct RsaKeyPair {
    /// The public half as SPKI.
    pub public: Box<[u8; SPKI_LEN]>,
    /// The private half.
    pub private: Arc<dyn PrivateKey>,
}

impl fmt::Debug for RsaKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaKeyPair(..)")
    }
}

/// The public key is not RSA-2048 with e = 65537 in canonical SPKI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RSA-2048 public key with e = 65537")]
pub struct BadRsaKey;

/// The RSA operations of this protocol.
pub trait RsaSuite: Send + Sync {
    /// Makes a key pair; the same seed gives the same key. Takes tens of milliseconds, so call it only in a worker.
    fn generate(&self, seed: [u8; 32]) -> RsaKeyPair;

    /// Encrypts 32 bytes to a public key with OAEP, whose randomness comes from `seed`.
    ///
    /// # Errors
    /// If the key is not RSA-2048 with e = 65537 in canonical SPKI.
    fn seal(
        &self,
        public: &[u8; SPKI_LEN],
        message: &[u8; 32],
        seed: [u8; 32],
    ) -> Result<[u8; OAEP_LEN], BadRsaKey>;
}

/// Work that takes longer than 0.2 ms.
pub enum Job {
    /// Generate a key pair.
    Generate {
        /// Seed of the key, fresh for each.
        seed: [u8; 32],
    },
    /// Decrypt an OAEP ciphertext.
    Open {
        /// The private key.
        key: Arc<dyn PrivateKey>,
        /// The ciphertext as it was received.
        ciphertext: Box<[u8; OAEP_LEN]>,
        /// Seed for the blinding of the private operation.
        blinding: [u8; 32],
    },
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generate { .. } => f.write_str("Job::Generate"),
            Self::Open { .. } => f.write_str("Job::Open"),
        }
    }
}

impl Job {
    /// Does the work. Call it in a worker thread.
    #[must_use]
    pub fn run(self, suite: &dyn RsaSuite) -> JobResult {
        match self {
            Self::Generate { seed } => JobResult::Key(suite.generate(seed)),
            Self::Open {
                key,
                ciphertext,
                blinding,
            } => JobResult::Opened(key.open(&ciphertext, blinding)),
        }
    }
}

/// The result of a job. No failures of the cryptography can be told apart.
pub enum JobResult {
    /// The new key pair.
    Key(RsaKeyPair),
    /// The 32 bytes of the peer's seed, or pseudorandom ones.
    Opened([u8; 32]),
    /// The worker's queue was full, or it is shutting down.
    Refused,
}

impl fmt::Debug for JobResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(_) => f.write_str("JobResult::Key"),
            Self::Opened(_) => f.write_str("JobResult::Opened"),
            Self::Refused => f.write_str("JobResult::Refused"),
        }
    }
}
