//! When a plane asks endpoints for contacts.
use crate::{api::Mono, config::Config};

/// Often while there are no contacts, less often while there are few, and now and then always: parts of a network that
/// know only themselves find each other through endpoints that they share.
#[derive(Debug, Default)]
pub(crate) struct Seeding {
    last: Option<Mono>,
}

impl Seeding {
    /// The earliest time to ask again, with this many live contacts.
    pub(crate) fn due(
        &self,
        contacts: usize,
        enough: usize,
        config: &Config,
        now: Mono,
    ) -> Option<Mono> {
        let interval = match contacts {
            0 => config.seeds_interval,
            few if few < enough => config.seeds_interval_low,
            _ => config.seeds_interval_enough,
        };
        Some(self.last.map_or(now, |last| last.plus(interval)))
    }

    /// Notes that seeds are asked for, if it is time to.
    pub(crate) fn ask(
        &mut self,
        contacts: usize,
        enough: usize,
        config: &Config,
        now: Mono,
    ) -> bool {
        let due = self
            .due(contacts, enough, config, now)
            .is_some_and(|due| due <= now);
        if due {
            self.last = Some(now);
        }
        due
    }
}
