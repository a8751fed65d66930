//! Records: values, peer entries and mutable records, who may store them, and where they are kept.

pub(crate) mod announced;
pub(crate) mod entry;
pub(crate) mod mutable;
pub(crate) mod record;
pub(crate) mod store;
pub(crate) mod token;
pub(crate) mod value;
