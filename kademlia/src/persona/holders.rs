//! Nodes that hold our contact, so that a search for us finds it.
//!
//! A node hands out only contacts that answered it, so what we sent it proves nothing by itself: it counts from its first own
//! request that we answered, with the newest contact it was sent since. The persona hears all this anyway, and asks nobody if it
//! can be found. A search for it by lookups of the same machine would tell an observer of both that they belong together.
use std::collections::BTreeMap;

use deut_common::address::EndpointAddress;

use crate::id::NodeId;

/// Number of holders that are remembered; beyond it the one farthest from us is forgotten.
const MOST: usize = 64;

#[derive(Debug)]
pub(super) struct Holders {
    own: NodeId,
    /// By id: the addresses in the newest of our contacts that the node has.
    with: BTreeMap<NodeId, Vec<EndpointAddress>>,
}

impl Holders {
    pub(super) const fn new(own: NodeId) -> Self {
        Self {
            own,
            with: BTreeMap::new(),
        }
    }

    /// The node asked us in its own name while our contact had these addresses, and is answered.
    pub(super) fn asked(&mut self, node: NodeId, addresses: &[EndpointAddress]) {
        self.with.insert(node, addresses.to_vec());
        if self.with.len() > MOST {
            let farthest = self.with.keys().max_by_key(|id| self.own.distance(id));
            if let Some(farthest) = farthest.copied() {
                self.with.remove(&farthest);
            }
        }
    }

    /// The node answered a request that carried our contact with these addresses.
    pub(super) fn was_sent(&mut self, node: &NodeId, addresses: &[EndpointAddress]) {
        if let Some(known) = self.with.get_mut(node) {
            known.clear();
            known.extend_from_slice(addresses);
        }
    }

    /// Returns true if the node holds a contact with an address that still leads to us.
    pub(super) fn holds(
        &self,
        node: &NodeId,
        leads_here: impl Fn(&EndpointAddress) -> bool,
    ) -> bool {
        self.with
            .get(node)
            .is_some_and(|addresses| addresses.iter().any(leads_here))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::address;

    #[test]
    fn who_was_sent_a_contact_holds_it_only_if_it_asked() {
        let (one, two) = (NodeId([1; 20]), NodeId([2; 20]));
        let [old, new] = ["10.0.0.1:2000", "10.0.0.2:2000"].map(address);
        let mut holders = Holders::new(NodeId([0; 20]));
        holders.was_sent(&one, &[old]);
        assert!(!holders.holds(&one, |_| true));
        holders.asked(one, &[old]);
        assert!(holders.holds(&one, |at| *at == old) && !holders.holds(&one, |at| *at == new));
        holders.was_sent(&one, &[new]);
        assert!(holders.holds(&one, |at| *at == new) && !holders.holds(&two, |_| true));
    }

    #[test]
    fn the_nearest_are_remembered() {
        let mut holders = Holders::new(NodeId([0; 20]));
        for number in (0..=255).rev() {
            holders.asked(NodeId([number; 20]), &[address("10.0.0.1:2000")]);
        }
        assert_eq!(holders.with.len(), MOST);
        assert!(holders.holds(&NodeId([0; 20]), |_| true));
        assert!(!holders.holds(&NodeId([255; 20]), |_| true));
    }
}
