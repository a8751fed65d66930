//! RSA key pairs made in the background, one for each tunnel, used once (protocol §7.3).

use std::collections::BTreeSet;

use crate::{
    context::Context,
    ids::JobTicket,
    io::Priority,
    rsa::{Job, JobResult, RsaKeyPair},
};

/// Number of keys under way at once.
const UNDER_WAY: usize = 8;

#[derive(Default)]
pub(super) struct KeyStore {
    ready: Vec<RsaKeyPair>,
    under_way: BTreeSet<JobTicket>,
}

impl KeyStore {
    pub(super) fn len(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn take(&mut self) -> Option<RsaKeyPair> {
        self.ready.pop()
    }

    /// Takes back a key that was not used. If many builds fail at once, more come back than are worth keeping.
    pub(super) fn give_back(&mut self, cx: &Context, pair: RsaKeyPair) {
        if self.ready.len() < cx.config.limits.keys_in_store.max(UNDER_WAY) {
            self.ready.push(pair);
        }
    }

    /// Orders keys for the missing tunnels, and some to keep in store.
    pub(super) fn order(&mut self, cx: &mut Context, missing: usize, first: bool) {
        let keep = cx.config.limits.keys_in_store;
        // The store is filled only when no tunnel is missing: other parts of this process may need the processor.
        let wanted = if missing > 0 {
            missing.min(UNDER_WAY)
        } else {
            keep
        };
        let priority = match (missing > 0, first) {
            (true, true) => Priority::FirstTunnels,
            (true, false) => Priority::Own,
            (false, _) => Priority::Refill,
        };
        while self.ready.len() + self.under_way.len() < wanted && self.under_way.len() < UNDER_WAY {
            let seed = cx.secret();
            let ticket = cx.job(priority, Job::Generate { seed });
            self.under_way.insert(ticket);
        }
    }

    /// A key job ended; handles it if the ticket is one of ours.
    pub(super) fn on_job(
        &mut self,
        cx: &mut Context,
        ticket: JobTicket,
        result: &JobResult,
    ) -> bool {
        if !self.under_way.remove(&ticket) {
            return false;
        }
        if let JobResult::Key(pair) = result {
            cx.counters.rsa_keys += 1;
            self.ready.push(pair.clone());
        }
        true
    }
}
