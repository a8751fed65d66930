//! Immutable values.
use deut_common::codec::BoundedBytes;

/// Longest value in bytes.
pub const MAX_VALUE: usize = 800;

pub(crate) type ValueBytes = BoundedBytes<MAX_VALUE>;
