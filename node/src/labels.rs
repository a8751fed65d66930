//! Labels that keep the node's own uses of hashes apart (protocol §2.1). None of them is ever on the wire.

/// All labels.
pub const ALL: &[&[u8]] = &[crate::rsa_suite::REFUSAL];
