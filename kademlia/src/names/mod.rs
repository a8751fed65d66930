//! Magnet links and keys, as users paste them.

pub(crate) mod magnet;
