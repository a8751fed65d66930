//! The control socket: how the other commands talk to a running daemon.
//!
//! A Unix socket, mode 0600. The client sends one request, a line of JSON of at most 64 KiB; the daemon answers with lines of
//! JSON: any number of steps, empty lines as a sign of life, then exactly one result or error, and closes. See
//! `docs/operations.md`.

pub(crate) mod client;
pub(crate) mod daemon;
pub mod protocol;
pub(crate) mod server;
