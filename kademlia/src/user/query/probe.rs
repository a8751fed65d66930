//! How far a query has got in asking an announced persona whether it is there.
//!
//! What is stored under a key outlives the machines that it names. So a PING goes to each persona whose contact was found, over
//! the query's own tunnels: sealed to the persona, at the addresses that its contact names, one message like any other request
//! of the query. It names nobody. At most `max_probes` personas are asked, each once per query, and none that has answered
//! since it was found.
use deut_common::time::Mono;

/// The state of one probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Probe {
    #[default]
    NotAsked,
    /// The PING left at this time; no answer yet.
    Asked(Mono),
    Answered,
    /// It was asked at its addresses and did not answer.
    Silent,
}

impl Probe {
    /// True if it can be reached, false if it cannot; none while that is not known.
    pub(super) const fn reachable(self) -> Option<bool> {
        match self {
            Self::NotAsked | Self::Asked(_) => None,
            Self::Answered => Some(true),
            Self::Silent => Some(false),
        }
    }

    /// The state after an answer or a silence. A persona that answered once in a query counts as reachable.
    pub(super) const fn after(self, answered: bool) -> Self {
        match (self, answered) {
            (Self::Answered, _) | (_, true) => Self::Answered,
            (_, false) => Self::Silent,
        }
    }
}
