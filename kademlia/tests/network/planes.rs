//! The users' plane and the persona's plane share nothing.
use std::collections::BTreeSet;

use deut_common::{
    address::EndpointAddress,
    time::{Mono, Now, Unix},
};
use deut_kademlia::*;

use crate::model::{Model, SECOND, contains};

fn table_ids(model: &Model, node: usize) -> BTreeSet<NodeId> {
    model.nodes[node]
        .dht
        .table(&model.now())
        .iter()
        .map(|entry| entry.contact.id())
        .collect()
}

fn user_ids(model: &Model, node: usize) -> BTreeSet<NodeId> {
    model.nodes[node]
        .dht
        .user_contacts(&model.now())
        .iter()
        .map(Contact::id)
        .collect()
}

#[test]
fn what_a_user_learns_does_not_enter_the_table_and_the_other_way_round() {
    let mut model = Model::settled(30, Config::test(), 50);
    // From here on each plane gets what it gets only from its own RPCs and seeds: these are by hand.
    model.seeds = false;
    let node = model.join();
    model.run_for(5 * SECOND);
    assert!(table_ids(&model, node).is_empty() && user_ids(&model, node).is_empty());

    let contact = |model: &Model, of: usize| {
        let contact = model.nodes[of]
            .dht
            .persona_contact(&model.now())
            .expect("has one");
        contact.as_bytes().to_vec()
    };
    let seed = contact(&model, 4);
    model.input(node, DhtInput::Seeds(OnBehalf::User, vec![seed]));
    for byte in 0..10 {
        model.query(
            node,
            Query::FindNode {
                target: NodeId([byte * 25; 20]),
            },
        );
    }
    let learned = user_ids(&model, node);
    assert!(
        learned.len() > 8,
        "control: the user learned {}",
        learned.len()
    );
    assert!(
        table_ids(&model, node).is_empty(),
        "users' contacts entered the table"
    );

    let other = model.join();
    let seed = contact(&model, 5);
    model.input(other, DhtInput::Seeds(OnBehalf::Persona, vec![seed]));
    model.run_for(30 * SECOND);
    assert!(
        table_ids(&model, other).len() > 8,
        "control: the persona learned"
    );
    assert!(
        user_ids(&model, other).is_empty(),
        "the persona's contacts reached users"
    );
    assert_eq!(model.nodes[other].dht.audit().user.sent, 0);
}

#[test]
fn a_user_can_not_read_the_store_of_its_own_persona_directly() {
    let mut model = Model::settled(12, Config::test(), 51);
    model.query(
        0,
        Query::PutValue {
            value: b"v".to_vec(),
        },
    );
    let key = NodeId::hash_of(b"v");
    let holder = (0..12)
        .find(|node| model.nodes[*node].dht.audit().stored_keys > 0)
        .expect("stored");
    // Everyone else is silent: the holder has the value, its user cannot get it without an answer by tunnel.
    (0..12).for_each(|node| model.nodes[node].silent = true);
    assert_eq!(
        model.query(holder, Query::GetValue { key }).result,
        QueryResult::NotFound
    );
    model.nodes[holder].silent = false;
    let outcome = model.query((holder + 1) % 12, Query::GetValue { key });
    assert_eq!(outcome.result, QueryResult::Value(b"v".to_vec()), "control");
}

#[test]
fn user_requests_hold_no_key_address_or_infohash_of_anybody() {
    let mut model = Model::settled(20, Config::test(), 52);
    model.traffic.user_requests.clear();
    let infohash = [0x42; 20];
    let what = Announced::Persona(model.nodes[2].key);
    model.query(2, Query::Announce { infohash, what });
    model.query(3, Query::GetPeers { infohash });
    model.query(
        4,
        Query::FindNode {
            target: NodeId([9; 20]),
        },
    );
    let needles: Vec<Vec<u8>> = model
        .nodes
        .iter()
        .map(|node| node.key.to_vec())
        .chain([infohash.to_vec()])
        .collect();
    let requests = &model.traffic.user_requests;
    assert!(requests.len() > 20);
    for (_, body) in requests {
        assert!(needles.iter().all(|needle| !contains(body, needle)));
    }
    // The same scanner finds a needle where it is allowed: the target of a lookup; and the model finds
    // the persona's key in every request of the upkeep.
    assert!(requests.iter().any(|(_, body)| contains(body, &[9; 20])));
    assert!(model.traffic.persona_requests_with_own_key > 100);
    // STORE is the only request that could carry a contact's worth of bytes: all others are short.
    assert!(
        requests
            .iter()
            .all(|(_, body)| body.len() <= 22 || body[0] == 4)
    );
}

#[test]
fn all_requests_of_one_query_share_a_group_and_no_two_queries_do() {
    // `Model` checks that groups end once and send nothing afterwards; here, that queries do not mix.
    let mut dht = Kademlia::new(Config::test(), [1; 32], &Now::default());
    let now = Now {
        mono: Mono(1),
        unix: Unix(1_750_000_000),
    };
    let seeds = (1..6).map(|number| {
        let secret = PersonaSecret::from_seed(&[number; 32]);
        let address = EndpointAddress {
            ip: [127, 0, 0, number].into(),
            port: 2_000,
        };
        Contact::sign(&secret, 0, 1_750_000_600 / 60, &[address])
            .expect("signs")
            .as_bytes()
            .to_vec()
    });
    dht.handle_input(&now, DhtInput::Seeds(OnBehalf::User, seeds.collect()));
    dht.handle_input(
        &now,
        DhtInput::Start(
            QueryTicket(1),
            Query::FindNode {
                target: NodeId([1; 20]),
            },
        ),
    );
    dht.handle_input(
        &now,
        DhtInput::Start(
            QueryTicket(2),
            Query::FindNode {
                target: NodeId([2; 20]),
            },
        ),
    );
    let mut groups = [BTreeSet::new(), BTreeSet::new()];
    loop {
        match dht.poll_output(&now) {
            DhtOutput::Send {
                group,
                query: Some(QueryTicket(query)),
                ..
            } => {
                groups[query as usize - 1].insert(group);
            }
            DhtOutput::Wait { .. } => break,
            _ => {}
        }
    }
    assert_eq!((groups[0].len(), groups[1].len()), (1, 1));
    assert!(groups[0].is_disjoint(&groups[1]));
}
