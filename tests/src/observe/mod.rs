//! What somebody who watches can find out: scanners, statistics, transcripts of the wire.

pub mod capture;
pub mod machine;
pub mod needles;
pub mod stats;
pub mod wire;
