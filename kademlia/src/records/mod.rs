//! Records: values, peer entries and mutable records, the rules for storing them, and the store.

pub(crate) mod announced;
pub(crate) mod entry;
pub(crate) mod mutable;
pub(crate) mod record;
pub(crate) mod store;
pub(crate) mod token;
pub(crate) mod value;
