//! What users paste: magnet links and keys.

pub(crate) mod magnet;
