//! What tests build worlds of: whole networks of cores ([`net`]), a few machines in lock step with a wire that a test owns
//! ([`world`]), and what both have in common.

pub mod caps;
pub mod machine;
pub mod net;
pub mod relay;
pub mod watch;
pub mod world;
