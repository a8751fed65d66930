//! DEUT: dynamic encrypted UDP tunnels, as a pure state machine.
//!
//! The crate has no sockets, no clock, no OS randomness and no threads. A driver feeds it and does what it says:
//!
//! 1. [`Transport::handle_datagram`] for each datagram; its result may be a packet to send on at once;
//! 2. [`Transport::handle_input`] for anything else: an opened port, a finished RSA job, a command, time that passed;
//! 3. after each of them, [`Transport::poll_output`] until it answers [`api::Output::Wait`];
//! 4. getters ([`Transport::readiness`], [`Transport::tunnels`], [`Transport::counters`], ...) look and change nothing.
//!
//! The layers, from the wire up: `wire` (bytes) and `crypto`; `links` (sessions between neighbours); `directory` (which
//! relays exist); `walks`, `relay` and `endpoint` (tunnels that we carry for others); `own` (tunnels whose master we
//! are); `calls` (requests and answers as messages between endpoints). `docs/protocol.md` is normative.
//!
//! Not in this crate: the DHT, sockets, RSA itself (see [`rsa`]), files.

#![forbid(unsafe_code)]

pub mod api;
pub mod bounded;
mod calls;
pub mod codec;
pub mod config;
pub mod crypto;
mod directory;
pub mod drop_reason;
mod endpoint;
pub mod ids;
pub mod keys;
pub mod labels;
mod limiter;
mod links;
#[cfg(feature = "probe")]
pub mod misconduct;
mod own;
pub mod packet;
pub mod policy;
#[cfg(feature = "probe")]
pub mod probe;
mod relay;
mod routes;
pub mod rsa;
mod shared;
#[cfg(feature = "probe")]
pub mod stand_in;
pub mod status;
mod timers;
pub mod transport;
mod walks;
pub mod wire;

pub use drop_reason::{DropCounts, DropReason};
pub use transport::{Handled, Restored, Transport};
