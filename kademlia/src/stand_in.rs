//! For the tests crate only: a place where a simulator puts something cheaper than curve arithmetic.
//!
//! Compiled with the feature `probe`, which the shipped binary never has. Nothing is installed unless a test does so; what
//! is installed lives in the tests crate.
use std::sync::OnceLock;

/// Replaces the heaviest public-key work. Results must be those of the real thing.
pub trait Curves: Send + Sync {
    /// Whether an Ed25519 signature over `message` by a usable key holds; `real` tells.
    fn verify(
        &self,
        key: &[u8; 32],
        message: &[u8],
        signature: &[u8; 64],
        real: &dyn Fn() -> bool,
    ) -> bool;
    /// Whether a key is usable; `real` tells.
    fn usable(&self, key: &[u8; 32], real: &dyn Fn() -> bool) -> bool;
}

static CURVES: OnceLock<&'static dyn Curves> = OnceLock::new();

/// From now on, for every node of this process. Only the first call counts.
pub fn install(curves: &'static dyn Curves) {
    let _ = CURVES.set(curves);
}

pub(crate) fn curves() -> Option<&'static dyn Curves> {
    CURVES.get().copied()
}
