//! Measurements of `deut testnet`: the object that ends the output with `--json`.

use std::net::SocketAddr;

use deut::NodeStatus;
use serde::Serialize;

use super::network::Names;
use crate::{exit::Failure, step::Step};

/// The whole demonstration in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Report {
    /// Number of nodes that were up before the one that asks joined.
    pub(crate) nodes: usize,
    /// True if the magnet link was resolved to the announcer's persona and its addresses.
    pub(crate) resolved: bool,
    /// Time from the question to the answer, in milliseconds.
    pub(crate) lookup_ms: f64,
    /// Number of RPCs of the lookup.
    pub(crate) rpcs: u32,
    /// Number of datagrams that all nodes together sent during the lookup.
    pub(crate) datagrams: u64,
    /// Number of tunnels that were up when all nodes were ready.
    pub(crate) tunnels_ready: usize,
    /// Time from the start of the first node until all were ready, in milliseconds.
    pub(crate) ready_ms: f64,
    /// The magnet link.
    pub(crate) magnet: String,
    /// Number of the node that announces.
    pub(crate) announcer: usize,
    /// Number of the fresh node that asks.
    pub(crate) resolver: usize,
    /// Number of datagrams that all nodes together had sent when they were ready.
    pub(crate) datagrams_to_ready: u64,
    /// Number of RSA key pairs that all nodes together had made when they were ready.
    pub(crate) rsa_keys: u64,
    /// Duration of announcing, in milliseconds.
    pub(crate) announce_ms: f64,
    /// Number of nodes that stored the announcement.
    pub(crate) stored_at: usize,
    /// Number of the nodes closest to the announcer's persona that held its addresses when announcing was over.
    pub(crate) held_by: usize,
    /// Time from the start of the fresh node until it was ready, in milliseconds.
    pub(crate) join_ms: f64,
    /// Number of lookups until the announcement was found.
    pub(crate) lookups: u32,
    /// Length of the longest chain of answers.
    pub(crate) rounds: u32,
    /// The resolver's own tunnels for lookups.
    pub(crate) tunnels: Vec<Path>,
    /// Numbers of the nodes that were asked, in order.
    pub(crate) asked: Vec<usize>,
    /// Cells and messages that each node carried for others during the lookup; only nodes that did.
    pub(crate) carried: Vec<Load>,
    /// The announcer's persona, 64 hex digits.
    pub(crate) persona: String,
    /// Its endpoint addresses, each with the number of the node that runs the endpoint.
    pub(crate) addresses: Vec<(SocketAddr, Option<usize>)>,
    /// The failure that ended the demonstration early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Failure>,
}

/// One tunnel of the resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Path {
    /// Number of the node that is its first hop.
    pub(crate) first: Option<usize>,
    /// Number of relays in it, the endpoint included.
    pub(crate) hops: usize,
    /// Number of the node at its end.
    pub(crate) endpoint: Option<usize>,
    /// Number of messages sent through it during the lookup.
    pub(crate) sent: u64,
    /// Number of messages that arrived through it during the lookup.
    pub(crate) received: u64,
}

/// Work that a node did for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Load {
    /// The number of the node, from 1.
    pub(crate) node: usize,
    /// Number of cells relayed.
    pub(crate) cells: u64,
    /// Number of messages sent or delivered as an endpoint.
    pub(crate) messages: u64,
}

impl Report {
    /// Counts the tunnels, keys and datagrams once all nodes are ready.
    pub(super) fn count_standing(&mut self, statuses: &[NodeStatus]) {
        self.tunnels_ready = statuses
            .iter()
            .flat_map(|status| &status.tunnels)
            .filter(|tunnel| tunnel.up)
            .count();
        self.datagrams_to_ready = statuses.iter().map(|status| status.udp.sent).sum();
        self.rsa_keys = statuses
            .iter()
            .map(|status| counter(status, "rsa_keys"))
            .sum();
    }

    /// Counts what happened between two readings; the resolver is the last node.
    pub(super) fn count_lookup(
        &mut self,
        before: &[NodeStatus],
        after: &[NodeStatus],
        steps: &[Step],
        names: &Names,
    ) {
        let pairs = || before.iter().zip(after);
        self.datagrams = pairs()
            .map(|(one, other)| other.udp.sent.saturating_sub(one.udp.sent))
            .sum();
        self.carried = pairs()
            .enumerate()
            .map(|(index, (one, other))| load(index + 1, one, other))
            .collect();
        self.carried.retain(|load| load.cells + load.messages > 0);
        if let Some((one, other)) = pairs().next_back() {
            self.tunnels = paths(one, other, names);
        }
        let asked = steps.iter().filter_map(|step| match step {
            Step::Asked { node, .. } => names.persona(node),
            _ => None,
        });
        self.asked = asked.collect();
    }
}

fn load(node: usize, before: &NodeStatus, after: &NodeStatus) -> Load {
    let grown = |name: &str| counter(after, name).saturating_sub(counter(before, name));
    Load {
        node,
        cells: grown("relayed_cells"),
        messages: grown("endpoint_sent") + grown("endpoint_delivered"),
    }
}

fn paths(before: &NodeStatus, after: &NodeStatus, names: &Names) -> Vec<Path> {
    let lookup = after
        .tunnels
        .iter()
        .filter(|tunnel| tunnel.pool == "lookup");
    let path = |tunnel: &deut::status::TunnelStatus| {
        let earlier = before
            .tunnels
            .iter()
            .find(|earlier| earlier.handle == tunnel.handle);
        Path {
            first: names.relay(&tunnel.first_hop),
            hops: tunnel.hops,
            endpoint: names.relay(&tunnel.endpoint),
            sent: tunnel.sent - earlier.map_or(0, |earlier| earlier.sent.min(tunnel.sent)),
            received: tunnel.received
                - earlier.map_or(0, |earlier| earlier.received.min(tunnel.received)),
        }
    };
    lookup.map(path).collect()
}

fn counter(status: &NodeStatus, name: &str) -> u64 {
    status.counters.get(name).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_has_what_scripts_rely_on() {
        let json = serde_json::to_value(Report {
            nodes: 16,
            resolved: true,
            ..Report::default()
        })
        .expect("serialises");
        for name in [
            "nodes",
            "resolved",
            "lookup_ms",
            "rpcs",
            "datagrams",
            "tunnels_ready",
            "ready_ms",
        ] {
            assert!(json.get(name).is_some(), "{name}");
        }
        assert_eq!(
            (&json["nodes"], &json["resolved"]),
            (&16.into(), &true.into())
        );
    }
}
