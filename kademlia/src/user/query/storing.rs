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

/// The effect on the STOREs of our version if a node keeps another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Against {
    /// Our version goes to no more nodes.
    All,
    /// The other version keeps the place that ours should have at this node.
    ItsPlace,
    /// None: another node takes the place of this one.
    Nothing,
}

pub(in crate::user) struct Storing {
    record: Record,
    /// The record's key.
    key: Key,
    /// Nodes that may be asked, the closest last.
    waiting: Vec<(Contact, Token)>,
    /// Nodes with a STORE under way, each with the time since which it is slow.
    asked: BTreeMap<NodeId, Option<Mono>>,
    /// Number of nodes that stored it.
    stored: usize,
    /// Number of nodes that are to store it.
    of: usize,
    /// Number of nodes to ask before one has stored it. A mutable record goes beyond the `width` closest only if it does not lose
    /// against another version, whose writer may not know of farther nodes.
    at_first: usize,
    /// Number of nodes that keep another version with the same number: the record belongs there nevertheless, and no farther node
    /// takes their place.
    taken: usize,
    /// The newest version of the mutable record that nodes keep instead of the one to be stored.
    kept: Option<Version>,
}

impl Storing {
    /// Stores at the `width` closest nodes that answered and at all others of the region that should hold as many, so that nodes
    /// which crowd around the key do not keep the record from where it belongs. The remaining nodes replace those that fail.
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

    /// Sends all STOREs that may be sent. Returns the time at which it is over if nothing more comes: slow nodes are waited for as
    /// long as the configuration says, others until `patience`. `None` if it is over.
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

    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// Number of nodes that stored it, and of those that were to.
    pub(super) fn stored(&self) -> (usize, usize) {
        (self.stored, self.of)
    }

    /// The newest version of the mutable record that nodes keep instead.
    pub(super) fn kept(&self) -> Option<&Version> {
        self.kept.as_ref()
    }

    /// A node keeps another version. If that takes precedence over ours, no more nodes are asked.
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
