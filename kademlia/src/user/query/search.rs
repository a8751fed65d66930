//! A query's search for the nodes around its key: one path, and another one if that finds nothing.
use deut_common::time::{Mono, Now};

use super::io::QueryIo;
use crate::{
    lookup::{Lookup, Step},
    query::Progress,
    user::{context::UserContext, rpcs::RpcPurpose},
    wire::rpc::Request,
};

pub(in crate::user) struct KeySearch {
    lookup: Lookup,
    /// Number of paths that were tried after the first found nothing.
    retries: u32,
    /// The largest number of the eight closest that answered on an earlier path.
    best_closest: usize,
    told_waiting: bool,
}

impl KeySearch {
    pub(super) fn new(lookup: Lookup) -> Self {
        Self {
            lookup,
            retries: 0,
            best_closest: 0,
            told_waiting: false,
        }
    }

    /// The lookup over the present path.
    pub(in crate::user) fn lookup(&self) -> &Lookup {
        &self.lookup
    }

    pub(super) fn lookup_mut(&mut self) -> &mut Lookup {
        &mut self.lookup
    }

    /// Asks the nodes that can be asked now. Returns the time to look again; `None` once it is over.
    pub(super) fn step(
        &mut self,
        cx: &mut UserContext,
        io: &mut QueryIo,
        request: &Request,
        now: Mono,
    ) -> Option<Mono> {
        loop {
            match self.lookup.next(now) {
                Step::Ask(contact) => {
                    let target = self.lookup.target();
                    io.send(cx, contact, (RpcPurpose::Search, target), request);
                }
                Step::Wait(until) => return Some(until),
                Step::Finished
                    if self.retries == 0
                        && self.lookup.is_stuck()
                        && now < self.lookup.deadline() =>
                {
                    if !self.told_waiting {
                        self.told_waiting = true;
                        io.tell(cx, Progress::WaitingForContacts);
                    }
                    return Some(self.lookup.deadline());
                }
                Step::Finished => return None,
            }
        }
    }

    /// Continues over nodes that were not asked yet, since nodes on the way may have lied or led past the right ones. False if
    /// there are none or it was tried often enough.
    pub(super) fn retry(&mut self, cx: &mut UserContext, io: &QueryIo, now: &Now) -> bool {
        if self.retries >= cx.config.max_retries {
            return false;
        }
        let Some(path) = cx.second_path(&self.lookup, now) else {
            return false;
        };
        io.give_up_on_silent(cx, &self.lookup, now.mono);
        self.best_closest = self.closest_answered();
        self.lookup = path;
        self.retries += 1;
        true
    }

    /// Returns true while it has no node to ask and has reported that.
    pub(super) fn waits_for_contacts(&self) -> bool {
        self.told_waiting && self.lookup.is_stuck()
    }

    /// Number of the eight closest that answered on the best path.
    pub(super) fn closest_answered(&self) -> usize {
        self.best_closest.max(self.lookup.closest_answered())
    }
}
