//! The command as users have it: the built binary as one process and as many. One binary, as linking takes longer than most tests.

#![allow(
    unreachable_pub,
    reason = "modules of one test binary share what they need"
)]

mod all_peers;
mod cli_daemon;
mod cli_errors;
mod cli_testnet;
mod clocks;
mod dead_node;
mod fleet;
mod joining;
mod kept;
mod limits;
mod listening;
mod logs;
mod machine;
mod namespace;
mod outputs;
mod owners;
// Nodes of both crates' tests take their ports by the same rule.
#[path = "../../../tests/it/ports.rs"]
mod ports;
mod processes;
mod rubbish;
mod stranger;
