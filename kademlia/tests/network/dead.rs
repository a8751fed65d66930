//! Nodes that died while others go on naming them: who pays for it, and how often.
use crate::model::{Model, SECOND};
use deut_kademlia::*;

const LOOKUPS: usize = 100;

/// As it would be with next to no memory of failures and without a shorter grace: who failed once has no grace, but is
/// waited for until it is slow.
fn forgetful() -> Config {
    Config {
        doubt: (0, 0),
        least_grace: u64::MAX,
        ..Config::test()
    }
}

fn announced(infohash: [u8; 20], host: u8) -> Query {
    let address = ([203, 0, 113, host], 6_881).into();
    Query::Announce {
        infohash,
        what: Announced::Address(address),
    }
}

/// Nodes that keep something for others.
fn keepers(model: &Model) -> Vec<usize> {
    let keeps = |node: &usize| model.nodes[*node].dht.audit().stored_keys > 0;
    (0..model.nodes.len()).filter(keeps).collect()
}

/// The duration that so many percent of these do not exceed, in milliseconds.
fn percentile(micros: &mut [u64], percent: usize) -> u64 {
    micros.sort_unstable();
    micros[(micros.len() * percent / 100).min(micros.len() - 1)] / 1_000
}

/// One of the eight nodes that keep what was announced dies; what each of the next gets of another node takes.
fn with_one_dead_keeper(config: Config, seed: u8) -> Vec<u64> {
    let mut model = Model::settled(16, config, seed);
    let infohash = [9; 20];
    model.query(2, announced(infohash, 1));
    let dead = keepers(&model)
        .into_iter()
        .find(|node| ![0, 2].contains(node));
    // The reader knows all that are there.
    model.query(0, Query::GetPeers { infohash });
    model.kill(dead.expect("somebody keeps it"));
    let get = |_| {
        let outcome = model.query(0, Query::GetPeers { infohash });
        assert!(matches!(&outcome.result, QueryResult::Peers(peers) if peers.len() == 1));
        model.run_for(SECOND / 10);
        outcome.stats.micros
    };
    (0..LOOKUPS).map(get).collect()
}

#[test]
fn one_dead_node_near_a_key_does_not_delay_each_lookup() {
    for seed in 0..5 {
        let mut before = with_one_dead_keeper(forgetful(), seed);
        let mut now = with_one_dead_keeper(Config::test(), seed);
        let slowest = percentile(&mut now, 100);
        let (before, now) = (percentile(&mut before, 95), percentile(&mut now, 95));
        println!("seed {seed}: 95 % within {now} ms instead of {before}, slowest {slowest} ms");
        assert!(before >= 1_000, "control: {before}");
        assert!(now <= 200 && slowest <= 400, "seed {seed}: {now} {slowest}");
    }
}

/// A tenth of all nodes is dead: what lookups of one node for random points and for values take, and the mean recall.
fn with_a_tenth_dead(config: Config, seed: u8) -> (Vec<u64>, f64, usize) {
    let mut model = Model::settled(60, config, seed);
    model.loss = 0.01;
    let keys: Vec<NodeId> = (0..10u8)
        .map(|number| {
            let value = vec![number; 9];
            let key = NodeId::hash_of(&value);
            model.query(1 + usize::from(number), Query::PutValue { value });
            key
        })
        .collect();
    (12..60).step_by(8).for_each(|node| model.kill(node));
    let (mut took, mut recall, mut found) = (Vec::new(), 0.0, 0);
    for round in 0..LOOKUPS {
        let target = model.random_id();
        let outcome = model.query(0, Query::FindNode { target });
        let QueryResult::Nodes(nodes) = &outcome.result else {
            panic!("nobody answered");
        };
        recall += model.recall(&target, nodes) / LOOKUPS as f64;
        took.push(outcome.stats.micros);
        let key = keys[round % keys.len()];
        let outcome = model.query(0, Query::GetValue { key });
        found += usize::from(matches!(outcome.result, QueryResult::Value(_)));
        took.push(outcome.stats.micros);
    }
    (took, recall, found)
}

#[test]
fn a_tenth_of_dead_contacts_costs_neither_time_nor_recall() {
    for seed in 20..22 {
        let (mut before, recall_before, _) = with_a_tenth_dead(forgetful(), seed);
        let (mut now, recall, found) = with_a_tenth_dead(Config::test(), seed);
        let (before, now) = (percentile(&mut before, 95), percentile(&mut now, 95));
        println!(
            "seed {seed}: 95 % within {now} ms instead of {before}, recall {recall:.4} instead of {recall_before:.4}"
        );
        assert!(now <= 2_500, "seed {seed}: {now} {before}");
        assert_eq!(found, LOOKUPS, "seed {seed}");
        assert!(recall >= 0.995, "seed {seed}: {recall} {recall_before}");
    }
}

/// 37 of 40 nodes die at once; what gets of a survivor take: of a value that another survivor puts, and of unknown keys.
fn with_three_survivors(config: Config, seed: u8) -> (Vec<u64>, Vec<u64>) {
    let mut model = Model::settled(40, config, seed);
    (3..40).for_each(|node| model.kill(node));
    let value = b"after it".to_vec();
    let key = NodeId::hash_of(&value);
    model.query(1, Query::PutValue { value });
    let (mut gets, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let outcome = model.query(0, Query::GetValue { key });
        let is_found = matches!(outcome.result, QueryResult::Value(_));
        assert!(is_found, "seed {seed}: {outcome:?}");
        gets.push(outcome.stats.micros);
        let target = model.random_id();
        let outcome = model.query(0, Query::GetValue { key: target });
        assert_eq!(outcome.result, QueryResult::NotFound);
        unknown.push(outcome.stats.micros);
    }
    (gets, unknown)
}

#[test]
fn three_survivors_of_forty_work_after_seconds() {
    for seed in 30..33 {
        let sum = |took: &[u64]| took.iter().sum::<u64>() / 1_000;
        let (before, unknown_before) = with_three_survivors(forgetful(), seed);
        let (gets, unknown) = with_three_survivors(Config::test(), seed);
        println!(
            "seed {seed}: ten gets {} ms instead of {}, ten unknown keys {} ms instead of {}",
            sum(&gets),
            sum(&before),
            sum(&unknown),
            sum(&unknown_before)
        );
        // The first ones learn who is gone; those that follow do not wait for them.
        let mut late = unknown[2..].to_vec();
        assert!(
            percentile(&mut late, 50) <= 3_000,
            "seed {seed}: {unknown:?}"
        );
        assert!(sum(&gets) <= 5_000, "seed {seed}: {gets:?}");
        assert!(sum(&unknown) <= 45_000, "seed {seed}: {unknown:?}");
        assert!(
            sum(&unknown_before) >= 50_000,
            "control: {unknown_before:?}"
        );
    }
}
