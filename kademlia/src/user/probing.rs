//! Whether announced personas answer: what is stored under a key outlives the machines that it names.
//!
//! A PING goes to each persona whose contact was found, over the query's own tunnels: sealed to the persona, at the addresses
//! that its contact names, one message like any other request of the query. It names nobody. At most `max_probes` personas are
//! asked, each once per query, and none that has answered since it was found.
use deut_common::time::{Mono, Now};

use super::{
    CallKind, UserPlane,
    query::{UserQuery, probe::Probe},
};
use crate::{
    audit::DropReason,
    contact::{Contact, RawContact},
    records::announced::Announced,
    wire::rpc::Request,
};

impl UserPlane {
    /// Asks personas whose contacts have come; whether an answer is worth waiting for.
    pub(super) fn step_probes(&mut self, number: u64, query: &mut UserQuery, now: &Now) -> bool {
        for contact in query.take_unprobed(self.config.max_probes, now.mono) {
            let request = Request::Ping { sender: None };
            self.send(number, query, contact, CallKind::Probe, &request);
        }
        // Where somebody answered, the others only add to it.
        let patience = match query.has_reachable() {
            true => self.config.probe_grace,
            false => self.config.max_lookup,
        };
        let until = query
            .probed_since()
            .map(|since| since.plus_us(patience))
            .filter(|until| *until > now.mono)
            .min();
        if let Some(until) = until {
            query.wake = query.wake.min(until);
        }
        until.is_some()
    }

    /// The answer to a probe.
    pub(super) fn accept_pong(
        &mut self,
        query: &mut UserQuery,
        to: &Contact,
        contact: RawContact,
        now: &Now,
    ) -> Result<(), DropReason> {
        let known = self.cache.find(&to.id());
        let newest = contact
            .verify_unless(known, &self.config.contact, now.unix)
            .map_err(DropReason::Contact)?;
        if newest.persona_key() != to.persona_key() {
            return Err(DropReason::UnexpectedAnswer);
        }
        self.cache.heard(&newest);
        if let Some(progress) = query.resolve(&newest) {
            self.progress(query, progress);
        }
        Ok(())
    }

    /// A search for a persona found no contact: it goes on once over nodes that it did not ask.
    pub(super) fn resolve_elsewhere(
        &mut self,
        lookup: &mut crate::lookup::Lookup,
        now: &Now,
    ) -> bool {
        if lookup.is_second_path() || self.config.max_retries == 0 {
            return false;
        }
        let deadline = now.mono.plus_us(self.config.max_lookup / 2);
        let mut path = lookup.disjoint(&self.config, now.mono, deadline);
        self.add_known(&mut path, self.config.max_user_contacts, now);
        *lookup = path;
        !lookup.is_empty()
    }
}

impl UserQuery {
    /// Those to be asked now; they count as asked.
    fn take_unprobed(&mut self, most: usize, now: Mono) -> Vec<Contact> {
        let asked = |probe: &Probe| *probe != Probe::NotAsked;
        let mut left = most.saturating_sub(self.probes().filter(|probe| asked(probe)).count());
        let mut chosen = Vec::new();
        for (contact, probe) in self.contacts_mut() {
            if left > 0 && *probe == Probe::NotAsked {
                left -= 1;
                *probe = Probe::Asked(now);
                chosen.push(contact.clone());
            }
        }
        chosen
    }

    /// Since when those have been asked that did not answer yet.
    fn probed_since(&self) -> impl Iterator<Item = Mono> {
        self.probes().filter_map(|probe| match probe {
            Probe::Asked(since) => Some(since),
            _ => None,
        })
    }

    /// Somebody who was announced can be reached; for a plain address nothing speaks against it.
    fn has_reachable(&self) -> bool {
        self.probes().any(|probe| probe == Probe::Answered)
            || self
                .announced()
                .any(|what| matches!(what, Announced::Address(_)))
    }
}
