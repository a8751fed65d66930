//! Whole networks of in-memory nodes.
mod dead;
mod lookups;
mod model;
mod mutable;
mod planes;
mod records;
mod small;
