//! Networks of real cores whose tunnels and lookups are recorded.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use deut::core::CoreConfig;
use deut_kademlia::{NodeId, Query};
use deut_transport::ids::{PoolId, TunnelHandle};
use rand::RngExt;

use super::{
    lookup::{Asked, Lookup},
    path::{Path, Paths, Relay},
    record::{Recorder, Sent},
    source::generator,
};
use crate::{kit::relay::endpoint_ports, net::Net, stand_in::StandIn};

/// Virtual time between looks, µs.
const PAUSE_US: u64 = 500_000;
/// Virtual time before the first lookup, µs.
const SETTLE_US: u64 = 25_000_000;
/// Virtual time that a network gets at most, µs.
const MOST_US: u64 = 600_000_000;

/// Ports rest for two minutes; where none is left, an endpoint's coin sends the walk on.
fn many_ports(config: &mut CoreConfig) {
    endpoint_ports(&mut config.transport, 2_000);
}

/// Nodes that do nothing but build tunnels.
fn churning(config: &mut CoreConfig) {
    config.persona = false;
    config.transport.lookup_tunnels = 24;
    config.transport.times.tunnel_life_ms = 8_000;
    config.transport.times.overlap_ms = 1_000;
    many_ports(config);
}

/// Nodes with the pool of a user's daemon.
fn asking(config: &mut CoreConfig) {
    config.transport.lookup_tunnels = 28;
    many_ports(config);
}

fn all_know_all(net: &Net) -> bool {
    let others = net.nodes.len() - 1;
    net.nodes
        .iter()
        .all(|node| node.core.relays().len() == others)
}

/// At least `wanted` walks of `nodes` real cores that know each other; `None` if the network does not get there.
#[must_use]
pub fn walks(nodes: usize, wanted: usize, seed: u64) -> Option<Paths> {
    let mut net = Net::of_relays(seed, Arc::new(StandIn), nodes, churning);
    while !all_know_all(&net) {
        net.run(PAUSE_US);
        if net.now_us() > MOST_US {
            return None;
        }
    }
    let recorder = Recorder::attach(&mut net);
    while recorder.started() < wanted {
        net.run(PAUSE_US);
        if net.now_us() > MOST_US {
            return None;
        }
    }
    // Those on the way arrive.
    net.run(2_000_000);
    Some(recorder.paths())
}

/// Who hosts the persona behind each advertised address.
fn personas(net: &Net, known: &mut BTreeMap<SocketAddr, Relay>) {
    for (relay, node) in (0..).zip(&net.nodes) {
        let views = node.core.tunnels(net.now());
        let persona = views.iter().filter(|view| view.pool == PoolId::Persona);
        known.extend(persona.map(|view| (view.address, relay)));
    }
}

fn lookup(
    master: Relay,
    sent: &[Sent],
    tunnels: &BTreeMap<(Relay, TunnelHandle), Path>,
    personas: &BTreeMap<SocketAddr, Relay>,
) -> Option<Lookup> {
    let mut handles: Vec<TunnelHandle> = Vec::new();
    let mut requests = Vec::new();
    for copy in sent {
        let reply = handles
            .iter()
            .position(|reply| *reply == copy.reply)
            .unwrap_or_else(|| {
                handles.push(copy.reply);
                handles.len() - 1
            });
        requests.push(Asked {
            send: tunnels.get(&(master, copy.send))?.clone(),
            reply,
            recipient: personas.get(&copy.to).copied(),
        });
    }
    let path = |reply: &TunnelHandle| tunnels.get(&(master, *reply)).cloned();
    let replies = handles.iter().map(path).collect::<Option<Vec<Path>>>()?;
    let returning = sent
        .iter()
        .filter(|copy| handles.contains(&copy.send))
        .count();
    (!replies.is_empty()).then_some(Lookup {
        master,
        replies,
        requests,
        returning,
    })
}

/// `wanted` lookups for random keys, each node in turn, one at a time, in a network of `nodes` real cores.
#[must_use]
pub fn lookups(nodes: usize, wanted: usize, seed: u64) -> Vec<Lookup> {
    let mut net = Net::of_relays(seed, Arc::new(StandIn), nodes, asking);
    let recorder = Recorder::attach(&mut net);
    let mut rng = generator(seed, "keys", 0.0, 0);
    let (mut found, mut known) = (Vec::new(), BTreeMap::new());
    while net.now_us() < SETTLE_US {
        net.run(PAUSE_US / 2);
        personas(&net, &mut known);
    }
    for (node, master) in (0..nodes).zip(0..).cycle().take(wanted) {
        personas(&net, &mut known);
        let views = net.nodes[node].core.tunnels(net.now());
        let own: Vec<TunnelHandle> = views
            .iter()
            .filter(|view| view.pool == PoolId::Lookup)
            .map(|view| view.handle)
            .collect();
        recorder.take_sent();
        let key = NodeId(rng.random());
        net.ask(node, Query::GetValue { key });
        let mut sent = recorder.take_sent();
        sent.retain(|copy| copy.master == master && own.contains(&copy.send));
        found.extend(lookup(master, &sent, &recorder.tunnels(), &known));
    }
    found
}
