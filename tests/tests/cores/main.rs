//! Networks of real cores in virtual time with real curve arithmetic, and what reads them. One binary, as linking takes longer
//! than most tests.

mod answers;
mod apart;
mod calls;
mod copies;
mod documents;
mod endpoint_blindness;
mod everything_real;
mod fuzz_corpora;
mod fuzz_twins;
mod hostile_relayer;
mod hundreds;
mod large_network;
mod lifetimes;
mod links;
mod lock_step;
mod meter;
mod on_the_wire;
mod outgrown;
mod overtaken;
mod rsa_keys;
mod tiny;
mod walk_coins;
