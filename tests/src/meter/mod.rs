//! The anonymity meter: what an attacker who owns some of the relays learns, measured and beside it computed.
//!
//! Tunnels come from two sources of one type ([`Network`]): drawn by the rules on paper ([`OnPaper`]), or recorded in a
//! network of real cores ([`Paths`], filled by [`Recorder`]). The attacker is put on top of them: its relays are drawn
//! anew for each group of tunnels, never the master. So one set of recorded paths serves every size of attacker.
//!
//! The attacker is that of docs/threat-model.md: all its relays log everything and work together. The first of them on a
//! walk captures it, and writes down its predecessor.

pub mod closed;
pub mod crowds;
pub mod estimate;
pub mod even;
pub mod lookup;
pub mod lookup_tables;
pub mod path;
pub mod record;
pub mod report;
pub mod sampler;
pub mod scenes;
pub mod source;
pub mod table;
pub mod tables;
pub mod tunnel;

pub use estimate::Estimate;
pub use path::{Capture, Colluders, Path, Paths, Relay};
pub use record::Recorder;
pub use report::{Report, report};
pub use sampler::Rules;
pub use source::{Network, OnPaper};

/// Shares of the attacker that the tables show.
pub const SHARES: [f64; 5] = [0.01, 0.05, 0.10, 0.20, 0.30];

/// P(a relay of a walk passes it on).
pub const FORWARD: f64 = {
    let (forward, of) = deut_transport::policy::FORWARD_PROBABILITY;
    forward as f64 / of as f64
};
