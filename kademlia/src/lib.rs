//! The Kademlia DHT of deut as a pure state machine: ids, contacts, routing table, lookups, records.
//!
//! It knows nothing of tunnels, sealing, message ids, sockets, clocks or operating-system randomness.
//! Time comes in as [`deut_common::time::Now`], randomness as one seed, requests and answers as bytes.
//!
//! - [`Kademlia::handle_input`] takes an input,
//! - [`Kademlia::poll_output`] returns the next thing to do, until [`DhtOutput::Wait`] ends the drain,
//! - [`Kademlia::audit`] gives sizes and counters.
//!
//! Two planes share nothing but the settings: the users' queries with their contact cache (`user`), and the persona with its
//! contact, routing table, store and upkeep (`persona`). Only the persona's public key passes from one to the other, since users
//! may announce it.
#![forbid(unsafe_code)]

mod audit;
pub mod bencode;
mod config;
mod contact;
mod density;
mod id;
mod identity;
mod io;
mod kademlia;
pub mod labels;
pub mod layouts;
mod lookup;
mod names;
mod persona;
mod query;
mod records;
mod seeding;
mod table;
#[cfg(test)]
mod testing;
mod tickets;
mod user;
mod wire;

pub use audit::{Audit, DropReason, Drops, LiveContacts, PlaneAudit};
pub use config::Config;
pub use contact::{CLOCK_TOLERANCE, Contact, ContactError, ContactRules};
pub use id::{Distance, Key, NodeId};
pub use identity::PersonaSecret;
pub use io::{DhtInput, DhtOutput, Failure, PersonaReach};
pub use kademlia::{Kademlia, TableEntry};
pub use names::magnet::{Link, Magnet, MagnetError, parse_key};
pub use query::{
    FoundPeer, NetworkRange, Progress, Query, QueryOutcome, QueryResult, QueryStats, Refusal,
};
pub use records::{
    announced::Announced,
    entry::can_be_announced,
    mutable::{MAX_SALT, MutableError, MutableKey, MutableRecord},
    value::MAX_VALUE,
};
pub use tickets::{Group, IncomingTicket, OnBehalf, QueryTicket, RpcTicket, TunnelTag};
pub use wire::limits::{Body, MAX_ANSWER_BODY, MAX_REQUEST_BODY};
