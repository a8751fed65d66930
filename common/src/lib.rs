//! The vocabulary that both cores of deut share: [`time`], [`address`]es, [`ids`], the [`codec`], token [`buckets`], keyed
//! [`hasher`]s and the [`suite`] of public-key operations.
//!
//! It is pure, like the cores: no sockets, no clock, no randomness of the operating system.
#![forbid(unsafe_code)]

pub mod address;
pub mod buckets;
pub mod codec;
pub mod hasher;
pub mod ids;
pub mod suite;
pub mod time;
