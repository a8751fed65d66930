//! Lookups find the true eight closest, also where nodes are silent and messages get lost.
use crate::model::{Model, SECOND};
use deut_kademlia::*;

fn find(model: &mut Model, node: usize, target: NodeId) -> (Vec<Contact>, QueryStats) {
    let outcome = model.query(node, Query::FindNode { target });
    match outcome.result {
        QueryResult::Nodes(nodes) => (nodes, outcome.stats),
        other => panic!("{other:?}"),
    }
}

/// Mean recall over `count` lookups from random living nodes.
fn mean_recall(model: &mut Model, count: usize) -> f64 {
    let mut sum = 0.0;
    for _ in 0..count {
        let node = loop {
            let node = model.random_index(model.nodes.len());
            if model.nodes[node].alive && !model.nodes[node].silent {
                break node;
            }
        };
        let target = model.random_id();
        let (nodes, _) = find(model, node, target);
        sum += model.recall(&target, &nodes);
    }
    sum / count as f64
}

#[test]
fn two_hundred_nodes_find_the_true_eight_closest() {
    let mut model = Model::settled(200, Config::test(), 1);
    let recall = mean_recall(&mut model, 60);
    assert!(recall >= 0.99, "recall {recall}");

    let (mut rpcs, mut rounds, mut estimates) = (0, 0, Vec::new());
    for _ in 0..40 {
        let target = model.random_id();
        let (nodes, stats) = find(&mut model, 7, target);
        assert_eq!(nodes.len(), 8);
        assert!(nodes.is_sorted_by_key(|contact| target.distance(&contact.id())));
        assert_eq!(stats.closest_answered, 8);
        assert!(
            stats.micros < SECOND,
            "nobody is silent: {} µs",
            stats.micros
        );
        rpcs += stats.sent;
        rounds += stats.rounds;
        estimates.push(stats.network_estimate.expect("eight answered"));
    }
    assert!(
        rpcs / 40 <= 20 && rounds / 40 <= 4,
        "{rpcs} RPCs, {rounds} rounds in 40 lookups"
    );
    estimates.sort_unstable();
    assert!(
        (100..400).contains(&estimates[20]),
        "median estimate of 200: {estimates:?}"
    );
}

#[test]
fn a_tenth_of_silent_nodes_and_lost_messages_leave_97_percent_of_recall() {
    let mut model = Model::settled(150, Config::test(), 2);
    for node in (0..150).step_by(10) {
        model.nodes[node].silent = true;
    }
    model.loss = 0.10;
    let recall = mean_recall(&mut model, 60);
    assert!(recall >= 0.97, "recall {recall}");
}

#[test]
fn after_a_third_of_all_nodes_died_at_once_the_others_find_each_other() {
    let mut model = Model::settled(90, Config::test(), 3);
    (0..90).step_by(3).for_each(|node| model.kill(node));
    let before = mean_recall(&mut model, 30);
    assert!(before >= 0.9, "at once: {before}");
    model.run_for(600 * SECOND);
    let after = mean_recall(&mut model, 30);
    assert!(after >= 0.99, "ten minutes later: {after}");
}

#[test]
fn a_lookup_stops_at_64_rpcs_or_10_seconds() {
    let mut model = Model::settled(60, Config::test(), 4);
    (0..60).for_each(|node| model.nodes[node].silent = true);
    let outcome = model.query(
        0,
        Query::FindNode {
            target: NodeId([9; 20]),
        },
    );
    assert!(
        outcome.stats.sent <= 64 && outcome.stats.micros <= 10 * SECOND,
        "{:?}",
        outcome.stats
    );
    assert_eq!(outcome.stats.answered, 0);
    assert_eq!(outcome.result, QueryResult::NotFound);
    assert_eq!(outcome.stats.network_estimate, None);
}

#[test]
fn the_same_seed_gives_the_same_network() {
    let run = |seed| {
        let mut model = Model::settled(20, Config::test(), seed);
        model.loss = 0.05;
        let (nodes, stats) = find(&mut model, 3, NodeId([1; 20]));
        (nodes, stats, model.traffic.sent)
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5).0, run(6).0, "control");
}

#[test]
fn a_cancelled_query_ends_at_once_and_sends_nothing_more() {
    let mut model = Model::settled(20, Config::test(), 7);
    let ticket = model.start(
        3,
        Query::FindNode {
            target: NodeId([1; 20]),
        },
    );
    model.input(3, DhtInput::Cancel(ticket));
    assert_eq!(
        model.outcome(3, ticket).map(|outcome| &outcome.result),
        Some(&QueryResult::Cancelled)
    );
    let sent = model.traffic.user_requests.len();
    model.run_for(5 * SECOND);
    assert_eq!(model.traffic.user_requests.len(), sent);
}
