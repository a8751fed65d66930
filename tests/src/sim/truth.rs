//! What an all-knowing observer sees: which personas exist and which are closest to a point.

use std::collections::BTreeMap;

use deut_kademlia::NodeId;

use crate::net::Net;

/// Node ids by node, so that each persona key is hashed once.
#[derive(Default)]
pub(super) struct Truth {
    ids: BTreeMap<usize, ([u8; 32], NodeId)>,
}

impl Truth {
    /// The ids of all personas that can be reached now, closest to `target` first.
    pub(super) fn closest(&mut self, net: &Net, target: &NodeId, count: usize) -> Vec<NodeId> {
        let mut ids: Vec<NodeId> = Vec::new();
        for (index, node) in net.nodes.iter().enumerate() {
            if !node.alive || node.paused {
                continue;
            }
            let Some(key) = node.core.persona_key() else {
                continue;
            };
            if node.core.persona_contact(net.now_at(index)).is_none() {
                continue;
            }
            let known = self
                .ids
                .entry(index)
                .or_insert_with(|| (key, NodeId::hash_of(&key)));
            if known.0 != key {
                *known = (key, NodeId::hash_of(&key));
            }
            ids.push(known.1);
        }
        ids.sort_unstable_by_key(|id| target.distance(id));
        ids.truncate(count);
        ids
    }
}
