//! The Kademlia DHT of deut as a pure state machine: ids, contacts, routing table, lookups, records.
//!
//! It knows nothing of tunnels, sealing, message ids, sockets, clocks or operating-system randomness.
//! Time comes in as [`Now`], randomness as one seed, requests and answers as bytes.
//!
//! - [`Kademlia::handle_input`] takes what happened,
//! - [`Kademlia::poll_output`] returns what to do, until [`DhtOutput::Wait`] ends the drain,
//! - [`Kademlia::audit`] shows sizes and counters.
//!
//! Two planes share nothing but the settings: users' queries with their contact cache (`user`), and the
//! persona with its contact, routing table, store and upkeep (`persona`). What passes between them is
//! the persona's public key, which users may announce.
#![forbid(unsafe_code)]

mod api;
mod audit;
pub mod bencode;
mod codec;
mod config;
mod contact;
mod entry;
mod hasher;
mod id;
mod identity;
pub mod labels;
mod lookup;
mod machine;
mod magnet;
mod mutable;
mod persona;
#[cfg(feature = "probe")]
pub mod probe;
mod rpc;
mod seeding;
#[cfg(feature = "probe")]
pub mod stand_in;
pub mod store;
mod table;
#[cfg(test)]
mod testing;
mod tickets;
mod token;
mod user;

pub use api::*;
pub use audit::{Audit, DropReason, Drops, LiveContacts, PlaneAudit};
pub use config::{Config, ContactRules};
pub use contact::{CLOCK_TOLERANCE, Contact, ContactError};
pub use entry::can_be_announced;
pub use id::{Distance, Key, NodeId};
pub use identity::PersonaSecret;
pub use machine::{Kademlia, TableEntry};
pub use magnet::{Link, Magnet, MagnetError, parse_key};
pub use mutable::{MAX_SALT, MutableError, MutableKey, MutableRecord};
