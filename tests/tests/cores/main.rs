//! Networks of real cores in virtual time, and what reads them. One binary, as linking takes longer than most tests. Those that need
//! many tunnels bring cheaper curves (`tests/src/curves.rs`), each for itself.

mod announced;
mod answers;
mod apart;
mod attacks;
mod calls;
mod clocks;
mod copies;
mod documents;
mod endpoint_blindness;
mod everything_real;
mod fuzz_corpora;
mod fuzz_twins;
mod hostile_relayer;
mod hostile_relayers_sim;
mod hundreds;
mod large_network;
mod lifetimes;
mod links;
mod lock_step;
mod meter;
mod offline;
mod on_the_wire;
mod outgrown;
mod overtaken;
mod resilience;
mod rsa_keys;
mod settings;
mod simulator;
mod stand_in_messages;
mod tiny;
mod walk_coins;
