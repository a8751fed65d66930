//! What tests build worlds of: whole networks of cores ([`net`]), a few machines in lock step with a wire that a test owns
//! ([`world`]), a relay that a test plays by hand ([`peer`]), one machine among such relays ([`laboratory`]).

pub mod caps;
pub mod laboratory;
pub mod machine;
pub mod net;
pub mod peer;
pub mod ports;
pub mod relay;
pub mod watch;
pub mod world;
