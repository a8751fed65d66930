//! The state of a query's PING to an announced persona.
//!
//! Stored records outlive the machines that they name. So each persona whose contact was found gets a PING over the query's own
//! tunnels: sealed to the persona, at the addresses in its contact, one message like any other request of the query. It carries no
//! contact of ours. At most `max_probes` personas get one, each once per query, and none that has answered since it was found.
use deut_common::time::Mono;

/// The state of one PING.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Probe {
    #[default]
    NotAsked,
    /// The PING left at this time and has no answer yet.
    Asked(Mono),
    Answered,
    /// The PING went to its addresses and was not answered.
    Silent,
}

impl Probe {
    /// Returns true if it can be reached, false if it cannot; `None` while that is not known.
    pub(super) const fn reachable(self) -> Option<bool> {
        match self {
            Self::NotAsked | Self::Asked(_) => None,
            Self::Answered => Some(true),
            Self::Silent => Some(false),
        }
    }

    /// The state after an answer or silence. A persona that answered once in a query counts as reachable.
    pub(super) const fn after(self, answered: bool) -> Self {
        match (self, answered) {
            (Self::Answered, _) | (_, true) => Self::Answered,
            (_, false) => Self::Silent,
        }
    }
}
