//! Searches that find nothing at first, and the number of nodes that store a record.
use std::sync::LazyLock;

use super::*;
use crate::{records::record::StoreResult::Stored, wire::rpc::MAX_CONTACTS};

const KEY: &[u8] = b"hi";

/// Two nodes, the closer one to the key first.
fn two() -> [Contact; 2] {
    let key = NodeId::hash_of(KEY);
    let mut both = [contact(1, 10), contact(2, 10)];
    both.sort_by_key(|contact| key.distance(&contact.id()));
    both
}

/// A search whose lookup counts only the closest node. Returns the first RPC and its group.
fn search(config: Config) -> Rig {
    let mut rig = Rig::new(Config { width: 1, ..config });
    let seeds = two().map(|contact| contact.as_bytes().to_vec());
    rig.input(DhtInput::Seeds(OnBehalf::User, seeds.to_vec()));
    let key = NodeId::hash_of(KEY);
    rig.input(DhtInput::Start(QueryTicket(1), Query::GetValue { key }));
    rig
}

fn asked(rig: &Rig) -> Vec<NodeId> {
    rig.sent.iter().map(|sent| sent.to).collect()
}

#[test]
fn a_search_that_found_nothing_goes_on_over_nodes_that_it_did_not_ask() {
    let [first, second] = two();
    let mut rig = search(Config::test());
    assert_eq!(asked(&rig), [first.id()]);
    rig.respond(rig.sent[0].ticket, &nodes(&[]));
    assert_eq!(asked(&rig), [first.id(), second.id()]);
    assert_eq!(rig.results, []);
    let found = Answer::Value {
        token: [9; 8],
        value: value(KEY),
    };
    rig.respond(rig.sent[1].ticket, &found);
    assert_eq!(rig.results, [QueryResult::Value(KEY.to_vec())]);
    // Control: without a second path nothing is found.
    let mut rig = search(Config {
        max_retries: 0,
        ..Config::test()
    });
    rig.respond(rig.sent[0].ticket, &nodes(&[]));
    assert_eq!(asked(&rig), [first.id()]);
    assert_eq!(rig.results, [QueryResult::NotFound]);
}

#[test]
fn the_second_path_leads_through_no_node_of_the_first_and_is_the_last() {
    let [first, second] = two();
    let mut rig = search(Config::test());
    rig.respond(rig.sent[0].ticket, &nodes(&[]));
    rig.respond(rig.sent[1].ticket, &nodes(&[first.clone(), second]));
    assert_eq!(rig.sent.len(), 2, "neither is asked again");
    assert_eq!(rig.results, [QueryResult::NotFound]);
    // A first node that does not answer at all ends its path as well.
    let mut rig = search(Config::test());
    let ticket = rig.sent[0].ticket;
    rig.input(DhtInput::Failed(ticket, crate::io::Failure::OverSeveral));
    rig.respond(rig.sent[1].ticket, &nodes(&[first]));
    assert_eq!((rig.sent.len(), rig.results.len()), (2, 1));
}

/// Number of nodes of a network without the asker.
const NODES: u64 = 40;

static NETWORK: LazyLock<Vec<Contact>> =
    LazyLock::new(|| (1..=NODES).map(|number| contact(number, 10)).collect());

/// Number of nodes within this part of the id space around a key.
fn within(key: &NodeId, part: f64) -> usize {
    let near = |contact: &&Contact| key.distance(&contact.id()).fraction() <= part;
    NETWORK.iter().filter(near).count()
}

/// Answers everything, as in a network in which all nodes know each other.
fn serve(rig: &mut Rig) {
    let mut done = 0;
    while let Some(sent) = rig.sent.get(done) {
        let (ticket, request) = (sent.ticket, sent.request.clone());
        done += 1;
        let answer = match request {
            Request::FindNode { target, .. } => {
                let mut all = NETWORK.clone();
                all.sort_by_key(|contact| target.distance(&contact.id()));
                all.truncate(MAX_CONTACTS);
                nodes(&all)
            }
            Request::Store { .. } => Answer::Stored(Stored),
            other => panic!("{other:?}"),
        };
        rig.respond(ticket, &answer);
    }
    rig.sent.clear();
}

/// Puts a value after this many other lookups. Returns at how many nodes it is stored, and out of how many.
fn put(text: &str, lookups: u8) -> (usize, usize) {
    let mut rig = Rig::new(Config::test());
    for some in NETWORK.chunks(8) {
        let seeds = some.iter().map(|c| c.as_bytes().to_vec()).collect();
        rig.input(DhtInput::Seeds(OnBehalf::User, seeds));
    }
    for number in 0..lookups {
        let target = NodeId::hash_of(&[number]);
        let ticket = QueryTicket(u64::from(number) + 10);
        rig.input(DhtInput::Start(ticket, Query::FindNode { target }));
        serve(&mut rig);
    }
    let value = text.as_bytes().to_vec();
    rig.input(DhtInput::Start(QueryTicket(1), Query::PutValue { value }));
    serve(&mut rig);
    match rig.results.last() {
        Some(QueryResult::Stored { at, of, .. }) => (*at, *of),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_value_is_stored_at_all_nodes_of_the_region_that_should_hold_eight() {
    let texts = || (0..1_000).map(|number| format!("value {number}"));
    let key = |text: &String| NodeId::hash_of(text.as_bytes());
    // The size is estimated. These regions are crowded or empty whatever the estimate is within these bounds.
    let (small, large) = (8.0 / (1.4 * NODES as f64), 8.0 / (NODES as f64 / 1.4));
    let crowded = texts()
        .find(|text| within(&key(text), small) >= 10)
        .expect("one of many");
    let empty = texts()
        .find(|text| within(&key(text), large) <= 8)
        .expect("one of many");
    let (at, of) = put(&crowded, 15);
    assert_eq!(at, of);
    assert!(at >= within(&key(&crowded), small), "{at}");
    assert!(at > 8 && at <= within(&key(&crowded), large), "{at}");
    // Controls: with fewer nodes in the region there are eight, and also if the size of the network is not known.
    assert_eq!(put(&empty, 15), (8, 8));
    assert_eq!(put(&crowded, 0), (8, 8));
}
