//! Networks of real cores in lock-step, with the stand-in for RSA.
#![allow(
    clippy::print_stdout,
    reason = "figures for whoever runs it with --nocapture"
)]

use std::sync::Arc;

use deut_kademlia::{Announced, Query, QueryResult};
use deut_tests::{net::Net, stand_in::StandIn};

fn network(seed: u64, count: usize) -> Net {
    Net::of_relays(seed, Arc::new(StandIn), count, |_| {})
}

#[test]
fn sixteen_nodes_become_ready() {
    let mut net = network(1, 16);
    net.run_ready();
    for node in &net.nodes {
        assert!(node.core.audit().transport.within_caps());
        println!("{:?} {:?}", node.core.readiness(), node.core.counters());
        println!("{:?}", node.core.drops().iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_value_put_on_one_node_is_found_by_another() {
    let mut net = network(2, 16);
    net.run_ready();
    net.run(10_000_000);
    let value = b"hello from the other side".to_vec();
    let stored = net.ask(
        3,
        Query::PutValue {
            value: value.clone(),
        },
    );
    println!("{stored:?}");
    let QueryResult::Stored { key, at, .. } = stored.result else {
        panic!("{stored:?}")
    };
    assert!(at > 0);
    let found = net.ask(9, Query::GetValue { key });
    println!("{:?}", found.stats);
    assert_eq!(found.result, QueryResult::Value(value));
}

#[test]
fn an_announced_persona_is_found_with_its_endpoint_addresses() {
    let mut net = network(3, 16);
    net.run_ready();
    net.run(10_000_000);
    let infohash = [7; 20];
    let key = net.nodes[5]
        .events
        .iter()
        .find_map(|(_, event)| match event {
            deut::core::CoreEvent::Persona { key } => Some(*key),
            _ => None,
        });
    let what = Announced::Persona(key.expect("a persona"));
    println!("{:?}", net.ask(5, Query::Announce { infohash, what }));
    let client = net.add_client(|_| {});
    net.run_ready();
    let found = net.ask(client, Query::GetPeers { infohash });
    println!("{found:?}");
    let QueryResult::Peers(peers) = found.result else {
        panic!("{found:?}")
    };
    assert!(
        peers
            .iter()
            .any(|peer| peer.what == what && peer.contact.is_some())
    );
}
