//! For the tests crate only: a place where a simulator puts something cheaper than curve arithmetic.
//!
//! Compiled with the feature `probe`, which the shipped binary never has. Nothing is installed unless a test does so; what
//! is installed lives in the tests crate.

use std::sync::{Arc, OnceLock};

use crate::wire::descriptor::Descriptor;

/// Replaces the heaviest public-key work. Lengths and failures must be those of the real thing.
pub trait Curves: Send + Sync {
    /// A relay's signature: a function of its public key and the message.
    fn sign(&self, key: &[u8; 32], message: &[u8]) -> [u8; 64];
    /// Whether a signature over `message` holds: one of [`Self::sign`], or an Ed25519 signature; `real` tells.
    fn verify(
        &self,
        key: &[u8; 32],
        message: &[u8],
        signature: &[u8; 64],
        real: &dyn Fn() -> bool,
    ) -> bool;
    /// Whether a key is a point of the curve and not of small order; `real` tells.
    fn usable(&self, key: &[u8; 32], real: &dyn Fn() -> bool) -> bool;
    /// What sender and recipient of a message share: a function of the recipient's Ed25519 key and `enc`.
    fn message_secret(&self, recipient: &[u8; 32], enc: &[u8; 32]) -> [u8; 32];
    /// One copy of a verified descriptor for all nodes of the process.
    fn share(&self, descriptor: Descriptor) -> Arc<Descriptor>;
}

pub(crate) fn share(descriptor: Descriptor) -> Arc<Descriptor> {
    match curves() {
        Some(curves) => curves.share(descriptor),
        None => Arc::new(descriptor),
    }
}

static CURVES: OnceLock<&'static dyn Curves> = OnceLock::new();

/// From now on, for every node of this process. Only the first call counts.
pub fn install(curves: &'static dyn Curves) {
    let _ = CURVES.set(curves);
}

pub(crate) fn curves() -> Option<&'static dyn Curves> {
    CURVES.get().copied()
}
