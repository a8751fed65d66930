//! Networks of one, two and four nodes: real cores, the whole way through tunnels.
#![allow(
    clippy::print_stdout,
    reason = "figures for whoever runs it with --nocapture"
)]

use std::{net::SocketAddr, sync::Arc};

use deut::core::CoreConfig;
use deut_kademlia::{Announced, MutableRecord, NodeId, Query, QueryResult, bencode};
use deut_tests::{
    kit::relay::role,
    net::{Net, RELAY_PORT},
    stand_in::StandIn,
};
use deut_transport::{
    config::Config,
    policy::{Policy, Profile},
};

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;

fn version(seq: i64, text: &str) -> MutableRecord {
    let value = bencode::of_string(text.as_bytes());
    MutableRecord::sign(&[3; 32], Vec::new(), seq, value).expect("signs")
}

fn published(net: &Net, node: usize) -> usize {
    net.nodes[node].core.audit().kademlia.published
}

/// At how many nodes it was stored, of how many.
fn put(net: &mut Net, node: usize, query: Query) -> (usize, usize) {
    match net.ask(node, query).result {
        QueryResult::Stored { at, of, .. } => (at, of),
        other => panic!("{other:?}"),
    }
}

fn put_value(net: &mut Net, node: usize, value: &[u8]) -> (usize, usize) {
    let value = value.to_vec();
    put(net, node, Query::PutValue { value })
}

fn get(net: &mut Net, node: usize, value: &[u8]) -> QueryResult {
    let key = NodeId::hash_of(value);
    net.ask(node, Query::GetValue { key }).result
}

/// Looks until it is there, as `deut get` does; panics after two virtual minutes.
fn eventually(net: &mut Net, node: usize, value: &[u8]) {
    let until = net.now_us() + 2 * MINUTE;
    while get(net, node, value) != QueryResult::Value(value.to_vec()) {
        assert!(net.now_us() < until, "node {node} does not find it");
        net.run(SECOND);
    }
}

fn live_contacts(net: &Net, node: usize) -> usize {
    net.nodes[node].core.live_contacts(net.now()).persona
}

#[test]
fn one_node_keeps_what_is_put_and_publishes_it_when_others_come() {
    let mut net = Net::of_relays(1, Arc::new(StandIn), 1, |_| {});
    net.run(5 * SECOND);
    assert!(!net.nodes[0].core.readiness().ready);
    assert_eq!(put_value(&mut net, 0, b"early"), (0, 0));
    let record = version(1, "early");
    let query = Query::PutMutable {
        record: record.clone(),
        cas: None,
    };
    assert_eq!(put(&mut net, 0, query), (0, 0));
    assert_eq!(published(&net, 0), 2);
    net.run(10 * MINUTE);
    assert_eq!(published(&net, 0), 2, "however long it is alone");

    let second = net.add_relay(|_| {});
    net.run_ready();
    eventually(&mut net, second, b"early");
    let of = record.key().clone();
    let found = net
        .ask(second, Query::GetMutable { of, min_seq: None })
        .result;
    assert!(
        matches!(&found, QueryResult::Mutable { record: found, .. } if *found == record),
        "{found:?}"
    );
}

#[test]
fn two_nodes_put_and_get_everything() {
    for seed in 1..=5 {
        let mut net = Net::of_relays(seed, Arc::new(StandIn), 2, |_| {});
        net.run_ready();
        let met = net.run_until(2 * MINUTE, |net| {
            (0..2).all(|node| live_contacts(net, node) == 1)
        });
        assert!(met, "seed {seed}: the personas do not know each other");
        println!(
            "seed {seed}: both tables are filled after {} ms",
            net.now_us() / 1_000
        );
        net.run(5 * SECOND);
        for (writer, reader, value) in [(0, 1, b"there"), (1, 0, b"again")] {
            assert_eq!(
                put_value(&mut net, writer, value),
                (2, 2),
                "at all there are"
            );
            assert_eq!(
                get(&mut net, reader, value),
                QueryResult::Value(value.to_vec())
            );
        }
        assert_eq!(get(&mut net, 0, b"nobody put this"), QueryResult::NotFound);

        for (writer, seq) in [(0, 1), (1, 2)] {
            let record = version(seq, "text");
            let cas = Some(seq - 1);
            let query = Query::PutMutable {
                record: record.clone(),
                cas,
            };
            assert_eq!(put(&mut net, writer, query), (2, 2));
            let of = record.key().clone();
            let expected = QueryResult::Mutable {
                record,
                given_by: 2,
                older_by: 0,
            };
            assert_eq!(
                net.ask(1 - writer, Query::GetMutable { of, min_seq: None })
                    .result,
                expected
            );
        }

        let (infohash, what) = ([9; 20], Announced::Address(([192, 0, 2, 7], 6881).into()));
        assert_eq!(put(&mut net, 0, Query::Announce { infohash, what }), (2, 2));
        let QueryResult::Peers(peers) = net.ask(1, Query::GetPeers { infohash }).result else {
            panic!("nobody")
        };
        assert_eq!((peers[0].what, peers[0].given_by), (what, 2));
    }
}

/// The rules of public networks, with as few tunnels as the virtual networks have.
fn production(config: &mut CoreConfig) {
    let policy = Policy::new("tiny", Profile::Production).expect("a short name");
    config.transport = Config {
        lookup_tunnels: 4,
        persona_tunnels: 2,
        ..Config::new(policy, config.transport.role)
    };
    config.kademlia = deut_kademlia::Config::production();
}

/// A public address in a /16 of its own.
fn add_public(net: &mut Net, number: u8) {
    let address = SocketAddr::from(([11 + 20 * number, 3 * number, 7, 1], RELAY_PORT));
    net.add(role(address, 128), address, true, production);
}

#[test]
fn four_nodes_with_production_rules_put_and_get_once_their_personas_are_on() {
    let mut net = Net::new(4, Arc::new(StandIn));
    (0..4).for_each(|number| add_public(&mut net, number));
    net.run_ready();
    assert_eq!(
        put_value(&mut net, 0, b"before"),
        (0, 0),
        "no persona is on yet"
    );
    let on = |net: &Net| {
        (0..4)
            .filter(|node| net.nodes[*node].core.persona_key().is_some())
            .count()
    };
    assert_eq!(on(&net), 0, "control: they come at random times");
    // The last one comes after an hour at most; then they find each other.
    net.run(61 * MINUTE);
    assert_eq!(on(&net), 4);
    let met = net.run_until(10 * MINUTE, |net| {
        (0..4).all(|node| live_contacts(net, node) == 3)
    });
    println!(
        "all know all after {} virtual minutes",
        net.now_us() / MINUTE
    );
    assert!(met, "the personas do not know each other");
    eventually(&mut net, 3, b"before");
    net.run(MINUTE);
    // The command looks around again, three times in all: what the user's plane knows of a persona may be some minutes old.
    let stored = (0..3).map(|_| put_value(&mut net, 1, b"after"));
    assert_eq!(stored.max(), Some((4, 4)), "at all there are");
    for reader in 0..4 {
        assert_eq!(
            get(&mut net, reader, b"after"),
            QueryResult::Value(b"after".to_vec())
        );
    }
}
