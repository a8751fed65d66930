//! Labels that keep the command's own uses of hashes apart (protocol §2.1). None of them is ever on the wire.

/// Node seeds from the number that `--seed` gives; local.
pub const SEED: &[u8] = b"deut seed v1";

/// All of them.
pub const ALL: &[&[u8]] = &[SEED];
