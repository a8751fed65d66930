//! How lookups went in a stretch of time, to see how a network recovers.

use std::fmt;

use super::{Lookups, Simulation, lookups::ratio};

/// Counts since some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// From when on, virtual seconds.
    pub from_s: u64,
    /// Until when.
    pub until_s: u64,
    /// Lookups made and found whose publisher is there.
    pub lookups: (u64, u64),
    /// Of the true closest nodes: how many there were, and how many were found.
    pub recall: (u64, u64),
}

impl Window {
    /// All counts of a simulation up to now; what later ones are compared with.
    #[must_use]
    pub fn up_to_now(simulation: &Simulation) -> Self {
        let Lookups {
            tried,
            found,
            recall,
            ..
        } = simulation.lookups();
        Self {
            from_s: 0,
            until_s: simulation.seconds(),
            lookups: (*tried, *found),
            recall: *recall,
        }
    }

    /// What came after `earlier`, counted from the same beginning.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            from_s: earlier.until_s,
            until_s: self.until_s,
            lookups: (
                self.lookups.0 - earlier.lookups.0,
                self.lookups.1 - earlier.lookups.1,
            ),
            recall: (
                self.recall.0 - earlier.recall.0,
                self.recall.1 - earlier.recall.1,
            ),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} to {} s: {} of {} lookups, recall {:.4}",
            self.from_s,
            self.until_s,
            self.lookups.1,
            self.lookups.0,
            ratio(self.recall.1, self.recall.0)
        )
    }
}
