//! Labels that keep the command's own uses of hashes apart (protocol §2.1). None of them is ever on the wire.

/// Derives node seeds from the number of `--seed`; local.
pub const SEED: &[u8] = b"deut seed v1";

/// All labels.
pub const ALL: &[&[u8]] = &[SEED];
