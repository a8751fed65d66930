//! Seeds from the number of `--seed`.

use sha2::{Digest, Sha256};

use crate::labels;

/// 32 bytes from a number, different for each purpose.
pub(crate) fn seed_of(purpose: &str, number: u64) -> [u8; 32] {
    Sha256::new()
        .chain_update(labels::SEED)
        .chain_update(purpose)
        .chain_update(number.to_be_bytes())
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_differ_by_purpose_and_number() {
        assert_ne!(seed_of("run", 1), seed_of("run", 2));
        assert_ne!(seed_of("run", 1), seed_of("testnet", 1));
        assert_eq!(seed_of("run", 1), seed_of("run", 1));
    }
}
