//! DEUT: dynamic encrypted UDP tunnels, as a pure state machine.
//!
//! The crate has no sockets, no clock, no OS randomness and no threads. A driver gives it inputs and carries out its outputs:
//!
//! 1. [`Transport::handle_datagram`] for each datagram; its result may be a packet to send on at once;
//! 2. [`Transport::handle_input`] for everything else: an opened port, a finished RSA job, a command, time that passed;
//! 3. after each of them, [`Transport::poll_output`] until it returns [`io::Output::Wait`];
//! 4. getters ([`Transport::readiness`], [`Transport::tunnels`], [`Transport::counters`], ...) only look.
//!
//! The layers, from the wire up: `wire` (bytes) and `crypto`; `links` (sessions between neighbours); `directory` (the relays that
//! exist); `relayer` and `endpoint` (tunnels that we carry for others); `master` (tunnels of our own); `calls` (requests and
//! answers as messages between endpoints). `docs/protocol.md` is normative.
//!
//! Not in this crate: the DHT, sockets, files, and RSA itself (see [`rsa`]).

#![forbid(unsafe_code)]

mod calls;
pub mod config;
mod context;
pub mod crypto;
mod directory;
pub mod drop_reason;
mod endpoint;
pub mod ids;
mod incoming;
pub mod io;
pub mod kdf;
pub mod keys;
pub mod labels;
mod links;
mod master;
mod net;
mod own;

pub mod observe;
pub mod packet;
pub mod path_choice;
mod per_pool;
pub mod policy;
mod relayer;
mod routes;
pub mod rsa;

pub mod status;
mod timers;
pub mod transport;
mod walks;
pub mod wire;

pub use drop_reason::{DropCounts, DropReason};
pub use transport::{Handled, Restored, Transport};
