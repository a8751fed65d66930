//! What somebody who watches can find out: scanners, statistics, transcripts of the wire, faults to plant in them.

pub mod capture;
pub mod laboratory;
pub mod machine;
pub mod needles;
pub mod stats;
pub mod wire;
