//! The library over real sockets, as applications that embed a node have it. One binary, as linking takes longer than most tests.

#![allow(
    unreachable_pub,
    reason = "modules of one test binary share what they need"
)]

mod common;
mod embedding;
mod one_node;
#[allow(dead_code, reason = "the tests of the command use all of it")]
mod ports;
mod small_network;
