//! The state that all parts of the persona's plane share.
use std::collections::VecDeque;

use deut_common::time::Now;
use rand::{RngExt, rngs::StdRng};

use super::{
    own_contact::OwnContact,
    rpcs::{PersonaRpc, PersonaRpcs, RpcKind},
};
use crate::{
    audit::{DropReason, PlaneAudit},
    config::Config,
    contact::{Contact, RawContact},
    io::DhtOutput,
    tickets::{Group, OnBehalf},
    wire::rpc::Request,
};

/// Lent to each part when something happens.
pub(super) struct PersonaContext {
    pub(super) config: Config,
    pub(super) own: OwnContact,
    pub(super) rpcs: PersonaRpcs,
    pub(super) counters: PlaneAudit,
    pub(super) choices: StdRng,
    pub(super) out: VecDeque<DhtOutput>,
}

impl PersonaContext {
    /// Counts an input that is discarded.
    pub(super) fn discard(&mut self, reason: DropReason) {
        self.counters.drops.count(reason);
    }

    /// Our contact in the form that requests carry.
    pub(super) fn sender(&self, now: &Now) -> Option<RawContact> {
        self.own.current(now).map(Contact::to_raw)
    }

    /// A random time from half of `micros` to one and a half times that.
    pub(super) fn jittered(&mut self, micros: u64) -> u64 {
        micros / 2 + self.choices.random_range(0..=micros)
    }

    pub(super) fn send(&mut self, to: Contact, group: Group, kind: RpcKind, request: &Request) {
        let ticket = self.rpcs.begin(PersonaRpc {
            to: to.clone(),
            group,
            kind,
            carried: self.own.contact_addresses(),
        });
        self.counters.sent += 1;
        self.out.push_back(DhtOutput::Send {
            ticket,
            group,
            query: None,
            to,
            body: request.to_body(),
            on_behalf: OnBehalf::Persona,
        });
    }
}
