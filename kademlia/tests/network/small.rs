//! Networks of one, two, three and four nodes.
use crate::model::{Model, SECOND};
use deut_kademlia::*;

fn put(model: &mut Model, node: usize, value: &[u8]) -> (NodeId, usize, usize) {
    match model
        .query(
            node,
            Query::PutValue {
                value: value.to_vec(),
            },
        )
        .result
    {
        QueryResult::Stored { key, at, of } => (key, at, of),
        other => panic!("{other:?}"),
    }
}

fn get(model: &mut Model, node: usize, key: NodeId) -> QueryResult {
    model.query(node, Query::GetValue { key }).result
}

#[test]
fn alone_a_node_keeps_its_value_and_publishes_it_when_others_come() {
    let mut model = Model::new(Config::test(), 10);
    // Alone there is nobody who could host its endpoints, so it hears of no contact, not even its own.
    model.seeds = false;
    let first = model.join();
    model.run_for(5 * SECOND);
    let (key, at, of) = put(&mut model, first, b"early");
    assert_eq!((at, of), (0, 0));
    assert!(
        model.nodes[first]
            .progress
            .contains(&Progress::WaitingForContacts)
    );
    assert_eq!(model.nodes[first].dht.audit().published, 1);
    model.seeds = true;
    let second = model.join();
    model.run_for(10 * SECOND);
    assert_eq!(
        get(&mut model, second, key),
        QueryResult::Value(b"early".to_vec())
    );
}

#[test]
fn two_three_and_four_nodes_store_and_find() {
    for count in [2, 3, 4] {
        let mut model = Model::settled(count, Config::test(), 10 + count as u8);
        let (key, at, of) = put(&mut model, 0, b"value");
        assert_eq!((at, of), (count, count), "at all nodes there are");
        for node in 0..count {
            let outcome = model.query(node, Query::GetValue { key });
            assert_eq!(outcome.result, QueryResult::Value(b"value".to_vec()));
        }
        let unknown = model.query(
            0,
            Query::GetValue {
                key: NodeId([7; 20]),
            },
        );
        assert_eq!(unknown.result, QueryResult::NotFound);
        assert_eq!(unknown.stats.closest_answered as usize, count);
        assert_eq!(unknown.stats.network_estimate, Some(count as u64));
    }
}

#[test]
fn four_nodes_with_production_settings_store_and_find() {
    let mut model = Model::settled(4, Config::production(), 20);
    let (key, at, _) = put(&mut model, 0, b"value");
    assert!(at >= 3);
    for node in 0..4 {
        assert_eq!(
            get(&mut model, node, key),
            QueryResult::Value(b"value".to_vec())
        );
    }
}

#[test]
fn a_value_spreads_as_a_small_network_grows() {
    let mut model = Model::settled(2, Config::test(), 21);
    let (key, ..) = put(&mut model, 0, b"value");
    (0..20).for_each(|_| {
        model.join();
    });
    model.run_for(180 * SECOND);
    model.kill(0);
    model.kill(1);
    assert_eq!(
        get(&mut model, 15, key),
        QueryResult::Value(b"value".to_vec())
    );
}

#[test]
fn nobody_there_is_told_apart_from_not_found() {
    let mut model = Model::new(Config::test(), 22);
    let only = model.join_without_persona();
    let outcome = model.query(
        only,
        Query::GetValue {
            key: NodeId([1; 20]),
        },
    );
    assert_eq!(outcome.result, QueryResult::NotFound);
    assert_eq!((outcome.stats.sent, outcome.stats.closest_answered), (0, 0));
    assert_eq!(outcome.stats.micros, 10 * SECOND);
}
