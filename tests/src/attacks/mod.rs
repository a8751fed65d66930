//! Attacks on networks of real cores. Each gives its figure twice: without the defence, where it succeeds, and with it.
//!
//! ```text
//! cargo run --release -p deut-tests --bin attack -- NAME
//! ```

pub mod drown;

use std::fmt;

/// What an attack comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// What was counted.
    pub what: &'static str,
    /// Control: the defence is off.
    pub without: f64,
    /// The defence is on, as it is in every node.
    pub with: f64,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            without,
            with,
        } = self;
        write!(f, "{what}: {with:.3}; without the defence {without:.3}")
    }
}
