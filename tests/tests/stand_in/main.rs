//! Networks in virtual time whose curve arithmetic is a stand-in. It is installed once for a whole process, so they are kept
//! apart from `cores`.

mod announced;
mod clocks;
mod hostile_relayers_sim;
mod offline;
mod resilience;
mod settings;
mod simulator;
mod stand_in_messages;
