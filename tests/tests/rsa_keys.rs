//! RSA keys: another for every tunnel and at every start; and the real suite beside the stand-in.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use deut::rsa_suite::RealRsa;
use deut_kademlia::{Query, QueryResult};
use deut_tests::{net::Net, stand_in::StandIn};
use deut_transport::{
    probe::{Direction, Seen},
    rsa::{RsaSuite, SPKI_LEN},
};

/// Type and length come first in what an endpoint reads, then the number of the request.
const SPKI_AT: usize = 3 + 4;
const EXCHANGE: u8 = 1;

/// The masters' public keys that all endpoints of a network read in exchanges, repeated ones once, by the tunnel's
/// ciphertext.
fn masters_keys(seed: u64, suite: Arc<dyn RsaSuite>) -> (Vec<Vec<u8>>, Net) {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let mut net = Net::of_relays(seed, suite, 12, |_| {});
    for node in &mut net.nodes {
        let seen = Arc::clone(&seen);
        node.core.set_probe(Box::new(move |what| {
            if let Seen::Cell(Direction::FromMaster, cell) = what
                && cell.first() == Some(&EXCHANGE)
            {
                let spki = cell[SPKI_AT..SPKI_AT + SPKI_LEN].to_vec();
                let ciphertext = cell[SPKI_AT + SPKI_LEN..SPKI_AT + SPKI_LEN + 256].to_vec();
                seen.lock().expect("one thread").insert((ciphertext, spki));
            }
        }));
    }
    net.run_ready();
    net.run(3_000_000);
    let keys = seen
        .lock()
        .expect("one thread")
        .iter()
        .map(|(_, spki)| spki.clone())
        .collect();
    (keys, net)
}

#[test]
fn no_two_tunnels_and_no_two_starts_share_a_key() {
    let mut all = BTreeSet::new();
    let mut tunnels = 0;
    for start in [1, 2] {
        let (keys, net) = masters_keys(start, Arc::new(StandIn));
        let up: usize = net
            .nodes
            .iter()
            .map(|node| node.core.tunnels(net.now()).len())
            .sum();
        assert!(
            keys.len() >= up && up >= 12 * 6,
            "every tunnel went through an exchange"
        );
        tunnels += keys.len();
        all.extend(keys);
    }
    assert_eq!(all.len(), tunnels);
    // The same start again gives the same keys: the count above would see a key that comes twice.
    let (again, _) = masters_keys(1, Arc::new(StandIn));
    assert!(again.iter().all(|key| all.contains(key)));
}

#[test]
fn a_small_network_with_real_rsa_does_what_the_stand_in_does() {
    let mut net = Net::of_relays(5, Arc::new(RealRsa), 6, |config| {
        config.transport.limits.keys_in_store = 0
    });
    net.run_ready();
    net.run(20_000_000);
    let value = b"through real keys".to_vec();
    let stored = net.ask(
        2,
        Query::PutValue {
            value: value.clone(),
        },
    );
    let QueryResult::Stored { key, at, .. } = stored.result else {
        panic!("{stored:?}")
    };
    assert!(at > 0);
    assert_eq!(
        net.ask(4, Query::GetValue { key }).result,
        QueryResult::Value(value)
    );
}
