//! The node as users have it: the library over real sockets, the built binary as one process and as many. One binary, as
//! linking takes longer than most tests.

#![allow(
    unreachable_pub,
    reason = "modules of one test binary share what they need"
)]

mod all_peers;
mod cli_daemon;
mod cli_errors;
mod cli_testnet;
mod clocks;
mod common;
mod dead_node;
mod embedding;
mod fleet;
mod joining;
mod kept;
mod limits;
mod listening;
mod logs;
mod machine;
mod namespace;
mod one_node;
mod outputs;
mod owners;
mod ports;
mod processes;
mod rubbish;
mod small_network;
mod stranger;
