//! A query's searches for the contacts of announced personas.
use std::collections::BTreeMap;

use deut_common::time::{Mono, Now};

use super::io::QueryIo;
use crate::{
    id::NodeId,
    lookup::{Lookup, Step},
    user::{context::UserContext, rpcs::RpcPurpose},
    wire::rpc::Request,
};

#[derive(Default)]
pub(in crate::user) struct PersonaSearches {
    /// The running searches, by the persona's id.
    running: BTreeMap<NodeId, Lookup>,
    /// Number of searches that were started, including those that are over.
    started: usize,
}

impl PersonaSearches {
    /// Starts a search for a persona, unless there were enough.
    pub(super) fn start(&mut self, cx: &UserContext, id: NodeId, now: &Now) {
        if self.started >= cx.config.max_resolved {
            return;
        }
        let mut lookup = Lookup::new(id, &cx.config, now.mono);
        cx.begin(&mut lookup, 2 * cx.config.width, now);
        self.running.insert(id, lookup);
        self.started += 1;
    }

    /// The contact was found.
    pub(super) fn found(&mut self, id: &NodeId) {
        self.running.remove(id);
    }

    /// Asks the nodes that can be asked now. Returns the time to look again; `None` once all searches are over.
    pub(super) fn step(
        &mut self,
        cx: &mut UserContext,
        io: &mut QueryIo,
        now: &Now,
    ) -> Option<Mono> {
        let mut wake: Option<Mono> = None;
        self.running.retain(|_, lookup| {
            let until = step_one(lookup, cx, io, now);
            wake = wake.into_iter().chain(until).min();
            until.is_some()
        });
        wake
    }

    pub(super) fn get_mut(&mut self, id: &NodeId) -> Option<&mut Lookup> {
        self.running.get_mut(id)
    }

    pub(super) fn lookups_mut(&mut self) -> impl Iterator<Item = &mut Lookup> {
        self.running.values_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.running.len()
    }
}

/// Continues one search. If it found nothing, it goes on once, over nodes that it has not asked.
fn step_one(
    lookup: &mut Lookup,
    cx: &mut UserContext,
    io: &mut QueryIo,
    now: &Now,
) -> Option<Mono> {
    let target = *lookup.target();
    let request = Request::FindNode {
        target,
        sender: None,
    };
    loop {
        match lookup.next(now.mono) {
            Step::Ask(contact) => {
                let purpose = RpcPurpose::FindPersona(target);
                io.send(cx, contact, (purpose, &target), &request);
            }
            Step::Wait(until) => return Some(until),
            Step::Finished => {
                io.give_up_on_silent(cx, lookup, now.mono);
                if lookup.is_second_path() || cx.config.max_retries == 0 {
                    return None;
                }
                *lookup = cx.second_path(lookup, now)?;
            }
        }
    }
}
