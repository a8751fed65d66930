//! The only reader of the operating system's randomness: one seed per node, from which everything else is drawn.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is the one place that may"
)]

use rand::{TryRng, rngs::SysRng};

/// 32 bytes from the operating system.
///
/// # Errors
/// If the system has none to give.
pub(crate) fn seed() -> Result<[u8; 32], String> {
    let mut seed = [0; 32];
    SysRng
        .try_fill_bytes(&mut seed)
        .map_err(|error| error.to_string())?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_seeds_differ() {
        assert_ne!(super::seed().unwrap(), super::seed().unwrap());
    }
}
