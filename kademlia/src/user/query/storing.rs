//! The STOREs of one publication.
use std::collections::BTreeMap;

use deut_common::time::Mono;

use super::io::QueryIo;
use crate::{
    contact::Contact,
    id::{Key, NodeId},
    lookup::Lookup,
    records::{mutable::Version, record::Record, token::Token},
    user::{context::UserContext, rpcs::RpcPurpose},
    wire::rpc::Request,
};

/// The effect of a version that a node keeps on the STOREs of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Against {
    /// Ours is stored nowhere further.
    All,
    /// It keeps the place that ours should have at this node.
    ItsPlace,
    /// Another node steps in.
    Nothing,
}

/// See the module's text.
pub(in crate::user) struct Storing {
    record: Record,
    /// The record's key.
    key: Key,
    /// Nodes to be asked, the closest last.
    waiting: Vec<(Contact, Token)>,
    /// Under way; with the time since which it is slow.
    asked: BTreeMap<NodeId, Option<Mono>>,
    /// How many nodes took it.
    stored: usize,
    /// How many nodes are to take it.
    of: usize,
    /// So many are asked before one took it: a mutable record goes beyond the `width` closest only where it does not lose
    /// against another version, whose writer may not know of farther ones.
    at_first: usize,
    /// Nodes that keep another version of this number: it belongs there nevertheless, and no farther node steps in.
    taken: usize,
    /// The newest version of the mutable record that nodes keep instead of the one to be stored.
    kept: Option<Version>,
}

impl Storing {
    /// Stores at the `width` closest that answered, and at all others of the region that should hold as many: nodes that
    /// crowd around the key do not keep the record from where it belongs. The rest steps in for those that fail.
    pub(super) fn new(lookup: &Lookup, width: usize, record: Record) -> Self {
        let mut waiting: Vec<_> = lookup
            .answers()
            .map(|(contact, token)| (contact.clone(), token))
            .collect();
        waiting.reverse();
        let of = waiting.len().min(width.max(lookup.in_region()));
        let at_first = match record {
            Record::Mutable(_) => width,
            Record::Value(_) | Record::Peer { .. } => of,
        };
        Self {
            key: record.key(),
            record,
            waiting,
            asked: BTreeMap::new(),
            stored: 0,
            of,
            at_first,
            taken: 0,
            kept: None,
        }
    }

    /// Sends all STOREs that may be sent. Returns when it is over if nothing more comes: slow nodes are waited for as long as
    /// the configuration says, others until `patience`. None if it is over.
    pub(super) fn step(
        &mut self,
        cx: &mut UserContext,
        io: &mut QueryIo,
        patience: Mono,
        now: Mono,
    ) -> Option<Mono> {
        while let Some((contact, token)) = self.next() {
            let record = self.record.clone();
            let request = Request::Store { token, record };
            io.send(cx, contact, (RpcPurpose::Store, &self.key), &request);
        }
        let grace = cx.config.slow_grace;
        let ends = self.asked.values();
        ends.map(|since| since.map_or(patience, |since| since.plus_us(grace)))
            .max()
            .filter(|end| *end > now)
    }

    /// The record's key.
    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// How many nodes took it, and how many were to.
    pub(super) fn stored(&self) -> (usize, usize) {
        (self.stored, self.of)
    }

    /// The newest version of the mutable record that nodes keep instead.
    pub(super) fn kept(&self) -> Option<&Version> {
        self.kept.as_ref()
    }

    /// A node keeps another version. If that one stands against ours, nobody else is asked.
    pub(super) fn conflict(&mut self, kept: Version, against: Against) {
        match against {
            Against::All => self.waiting.clear(),
            Against::ItsPlace => self.taken += 1,
            Against::Nothing => {}
        }
        if self
            .kept
            .as_ref()
            .is_none_or(|known| kept.supersedes(known))
        {
            self.kept = Some(kept);
        }
    }

    /// The next node to store at.
    fn next(&mut self) -> Option<(Contact, Token)> {
        let most = match self.stored {
            0 => self.at_first.min(self.of),
            _ => self.of,
        };
        if self.stored + self.taken + self.asked.len() >= most {
            return None;
        }
        let (contact, token) = self.waiting.pop()?;
        self.asked.insert(contact.id(), None);
        Some((contact, token))
    }

    pub(super) fn slow(&mut self, node: &NodeId, now: Mono) {
        if let Some(since) = self.asked.get_mut(node) {
            since.get_or_insert(now);
        }
    }

    pub(super) fn ended(&mut self, node: &NodeId, stored: bool) {
        if self.asked.remove(node).is_some() && stored {
            self.stored += 1;
        }
    }
}
