//! The control socket, over which the other commands talk to a running daemon.
//!
//! It is a Unix socket with mode 0600. The client sends one request, a line of JSON of at most 64 KiB. The daemon answers with
//! lines of JSON (any number of steps, with empty lines as a sign of life, then exactly one result or error) and closes. See
//! `docs/operations.md`.

pub(crate) mod client;
pub(crate) mod daemon;
pub mod protocol;
pub(crate) mod server;
