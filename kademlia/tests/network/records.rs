//! Values and peer sets: stored, found, ended, announced again, refused.
use crate::model::{MINUTE, Model, SECOND};
use deut_kademlia::*;
use std::{collections::BTreeSet, net::SocketAddr};

const INFOHASH: [u8; 20] = [0x42; 20];

fn peers(model: &mut Model, node: usize) -> Vec<FoundPeer> {
    match model
        .query(node, Query::GetPeers { infohash: INFOHASH })
        .result
    {
        QueryResult::Peers(peers) => peers,
        QueryResult::NotFound => Vec::new(),
        other => panic!("{other:?}"),
    }
}

fn announce(model: &mut Model, node: usize, what: Announced) -> (usize, usize) {
    match model
        .query(
            node,
            Query::Announce {
                infohash: INFOHASH,
                what,
            },
        )
        .result
    {
        QueryResult::Stored { at, of, .. } => (at, of),
        other => panic!("{other:?}"),
    }
}

fn persona(model: &Model, node: usize) -> Announced {
    Announced::Persona(model.nodes[node].key)
}

fn address(text: &str) -> Announced {
    Announced::Address(text.parse::<SocketAddr>().expect("address"))
}

#[test]
fn a_value_comes_back_byte_for_byte_everywhere() {
    let mut model = Model::settled(60, Config::test(), 30);
    let value: Vec<u8> = (0..800u32).map(|byte| byte as u8).collect();
    let outcome = model.query(
        5,
        Query::PutValue {
            value: value.clone(),
        },
    );
    let key = NodeId::hash_of(&value);
    assert_eq!(outcome.result, QueryResult::Stored { key, at: 8, of: 8 });
    for node in (0..60).step_by(7) {
        assert_eq!(
            model.query(node, Query::GetValue { key }).result,
            QueryResult::Value(value.clone())
        );
    }
    let newcomer = model.join_without_persona();
    assert_eq!(
        model.query(newcomer, Query::GetValue { key }).result,
        QueryResult::Value(value)
    );
}

#[test]
fn an_announced_persona_is_found_with_its_current_addresses() {
    let mut model = Model::settled(60, Config::test(), 31);
    let what = persona(&model, 9);
    assert_eq!(announce(&mut model, 9, what), (8, 8));
    let reader = model.join_without_persona();
    // Later its tunnels are others, and the entry is still good.
    for _ in 0..3 {
        let found = peers(&mut model, reader);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].what, persona(&model, 9));
        let contact = found[0].contact.as_ref().expect("resolved");
        assert_eq!(
            Some(contact.persona_key()),
            model.nodes[9].dht.persona_key()
        );
        let now = model.now();
        let current = model.nodes[9]
            .dht
            .persona_contact(&now)
            .expect("has addresses");
        assert!(
            contact
                .addresses()
                .iter()
                .any(|address| current.addresses().contains(address))
        );
        assert!(
            model.nodes[reader]
                .progress
                .iter()
                .any(|step| matches!(step, Progress::Found(peer) if peer.contact.is_some()))
        );
        model.run_for(10 * MINUTE);
    }
}

#[test]
fn many_announcers_are_found_up_to_samples_and_addresses_stay_unverified() {
    let mut model = Model::settled(40, Config::test(), 32);
    for node in 0..12 {
        let what = persona(&model, node);
        announce(&mut model, node, what);
    }
    announce(&mut model, 20, address("192.0.2.7:6881"));
    announce(&mut model, 20, address("[2001:db8::7]:6881"));
    let found = peers(&mut model, 30);
    assert!(
        found.len() >= 12,
        "8 nodes with samples of 7 of 14: {}",
        found.len()
    );
    let resolved = found.iter().filter(|peer| peer.contact.is_some()).count();
    assert!(resolved >= 8, "{resolved} resolved");
    let addresses = found
        .iter()
        .filter(|peer| matches!(peer.what, Announced::Address(_)));
    assert!(addresses.clone().count() >= 1 && addresses.clone().all(|peer| peer.contact.is_none()));
}

#[test]
fn entries_of_a_dead_announcer_end_and_those_of_a_living_one_do_not() {
    let mut model = Model::settled(16, Config::test(), 33);
    let (dead, living) = (persona(&model, 1), persona(&model, 2));
    announce(&mut model, 1, dead);
    announce(&mut model, 2, living);
    model.kill(1);
    model.run_for(30 * MINUTE);
    let all = |model: &mut Model| -> Vec<Announced> {
        peers(model, 5).iter().map(|peer| peer.what).collect()
    };
    assert!(
        all(&mut model).contains(&dead),
        "control: 30 minutes are not the end"
    );
    model.run_for(20 * MINUTE);
    assert_eq!(all(&mut model), [living]);
}

#[test]
fn values_outlive_their_storers_while_the_publisher_lives() {
    let mut model = Model::settled(24, Config::test(), 34);
    model.query(
        0,
        Query::PutValue {
            value: b"kept".to_vec(),
        },
    );
    let key = NodeId::hash_of(b"kept");
    let storers: Vec<usize> = (1..24)
        .filter(|node| model.nodes[*node].dht.audit().stored_keys > 0)
        .collect();
    assert!(storers.len() >= 7);
    storers.iter().for_each(|node| model.kill(*node));
    model.run_for(65 * MINUTE);
    let reader = (1..24)
        .find(|node| model.nodes[*node].alive)
        .expect("alive");
    assert_eq!(
        model.query(reader, Query::GetValue { key }).result,
        QueryResult::Value(b"kept".to_vec())
    );
    // And without its publisher it ends.
    model.kill(0);
    model.run_for(125 * MINUTE);
    assert_eq!(
        model.query(reader, Query::GetValue { key }).result,
        QueryResult::NotFound
    );
}

#[test]
fn announcements_follow_a_new_persona_of_their_node() {
    let mut model = Model::settled(20, Config::test(), 35);
    let before = persona(&model, 3);
    announce(&mut model, 3, before);
    model.give_persona(3);
    model.run_for(3 * MINUTE);
    let after = persona(&model, 3);
    assert_ne!(before, after);
    let found = peers(&mut model, 10);
    assert_eq!(found[0].what, after);
    assert!(found[0].contact.is_some());
    // Nodes that are no longer among the closest may keep the old entry until it ends.
    assert!(
        found[1..]
            .iter()
            .all(|peer| peer.what == before && peer.given_by < found[0].given_by)
    );
    model.take_persona(3);
    model.run_for(50 * MINUTE);
    assert!(peers(&mut model, 10).is_empty());
}

#[test]
fn what_cannot_be_published_is_refused_with_its_reason() {
    let mut model = Model::settled(
        3,
        Config {
            max_published: 2,
            ..Config::test()
        },
        36,
    );
    let refused = |model: &mut Model, query| match model.query(0, query).result {
        QueryResult::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    };
    let large = Query::PutValue {
        value: vec![0; 801],
    };
    assert_eq!(refused(&mut model, large), Refusal::ValueTooLarge(801));
    for bad in ["0.0.0.0:1", "192.0.2.1:0", "224.0.0.1:1"] {
        let query = Query::Announce {
            infohash: INFOHASH,
            what: address(bad),
        };
        assert_eq!(refused(&mut model, query), Refusal::BadAddress);
    }
    model.query(0, Query::PutValue { value: vec![1] });
    model.query(0, Query::PutValue { value: vec![2] });
    assert_eq!(
        refused(&mut model, Query::PutValue { value: vec![3] }),
        Refusal::TooManyPublished
    );
    assert!(matches!(
        model.query(0, Query::PutValue { value: vec![2] }).result,
        QueryResult::Stored { .. }
    ));
}

#[test]
fn running_queries_are_capped_and_tickets_are_theirs() {
    let mut model = Model::settled(
        3,
        Config {
            max_queries: 2,
            ..Config::test()
        },
        37,
    );
    let query = || Query::FindNode {
        target: NodeId([1; 20]),
    };
    let first = model.start(0, query());
    model.start(0, query());
    let third = model.start(0, query());
    let refusal = |model: &Model, ticket| {
        model
            .outcome(0, ticket)
            .map(|outcome| outcome.result.clone())
    };
    assert_eq!(
        refusal(&model, third),
        Some(QueryResult::Refused(Refusal::TooManyQueries))
    );
    assert_eq!(refusal(&model, first), None);
    model.run_for(SECOND);
    assert!(matches!(
        refusal(&model, first),
        Some(QueryResult::Nodes(_))
    ));
}

/// Announces so many addresses on an infohash; what three nodes then find, and how many there are at least by their answers.
fn swarm_of(count: u8, seed: u8) -> Vec<(usize, Option<u64>)> {
    let mut model = Model::settled(30, Config::test(), seed);
    let infohash = [5; 20];
    for host in 0..count {
        let what = Announced::Address(([203, 0, 113, host], 6_881).into());
        model.query(usize::from(host % 20), Query::Announce { infohash, what });
    }
    let get = |node| {
        let outcome = model.query(node, Query::GetPeers { infohash });
        match outcome.result {
            QueryResult::Peers(peers) => (peers.len(), outcome.stats.peers_at_least),
            other => panic!("{other:?}"),
        }
    };
    (20..30).map(get).collect()
}

#[test]
fn a_sample_of_a_large_swarm_is_called_one_and_says_how_many_there_are_at_least() {
    let told = swarm_of(90, 70);
    println!("90 announced; found, and at least: {told:?}");
    let mut at_least: Vec<u64> = told
        .iter()
        .map(|(found, all)| {
            let all = all.expect("a sample");
            assert!(*found < 90 && all >= *found as u64, "{told:?}");
            all
        })
        .collect();
    at_least.sort_unstable();
    assert!(at_least[5] >= 50 && at_least[9] <= 95, "{told:?}");
    // What fits into an answer is no sample.
    assert_eq!(swarm_of(4, 71), vec![(4, None); 10], "control");
}

#[test]
fn asking_again_finds_those_whom_a_sample_left_out() {
    let mut model = Model::settled(30, Config::test(), 72);
    let infohash = [6; 20];
    for host in 0..150u8 {
        let what = Announced::Address(([203, 0, 113, host], 6_881).into());
        model.query(usize::from(host % 20), Query::Announce { infohash, what });
    }
    let (mut all, mut counts) = (BTreeSet::new(), Vec::new());
    for _ in 0..20 {
        let QueryResult::Peers(peers) = model.query(25, Query::GetPeers { infohash }).result else {
            panic!("nobody")
        };
        all.extend(peers.iter().map(|peer| peer.what));
        counts.push(all.len());
    }
    println!("150 announced; found after each lookup: {counts:?}");
    // A node keeps a hundred, and all of the eight mostly the same.
    assert!(counts[0] < 60 && counts[19] >= 98, "{counts:?}");
}
