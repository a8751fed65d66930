//! RSA keys: another for every tunnel and at every start; and the real suite beside the stand-in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use deut::rsa_suite::RealRsa;
use deut_kademlia::{Query, QueryResult};
use deut_tests::{net::Net, stand_in::StandIn};
use deut_transport::{
    observe::{Direction, Seen},
    rsa::{BadRsaKey, OAEP_LEN, RsaKeyPair, RsaSuite, SPKI_LEN},
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
        node.core.add_observer(Box::new(move |what| {
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
    // Twin: tunnels that share a key.
    let stuck = Written {
        stuck: true,
        ..Written::default()
    };
    let (keys, _) = masters_keys(1, Arc::new(stuck));
    assert!(keys.iter().collect::<BTreeSet<_>>().len() < keys.len());
}

/// The stand-in, taking down which ciphertext was made for which key.
#[derive(Default)]
struct Written {
    /// Fault: every key is the same one.
    stuck: bool,
    sealed: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl RsaSuite for Written {
    fn generate(&self, seed: [u8; 32]) -> RsaKeyPair {
        StandIn.generate(if self.stuck { [7; 32] } else { seed })
    }

    fn seal(
        &self,
        public: &[u8; SPKI_LEN],
        message: &[u8; 32],
        seed: [u8; 32],
    ) -> Result<[u8; OAEP_LEN], BadRsaKey> {
        let sealed = StandIn.seal(public, message, seed)?;
        let mut written = self.sealed.lock().expect("one thread");
        written.insert(sealed.to_vec(), public.to_vec());
        Ok(sealed)
    }
}

/// From now on, the keys of this node as an endpoint: those for which the ciphertexts were made that it is given.
fn endpoint_keys(
    net: &mut Net,
    node: usize,
    suite: &Arc<Written>,
) -> Arc<Mutex<BTreeSet<Vec<u8>>>> {
    let keys = Arc::new(Mutex::new(BTreeSet::new()));
    let (seen, suite) = (Arc::clone(&keys), Arc::clone(suite));
    net.nodes[node].core.add_observer(Box::new(move |what| {
        if let Seen::Cell(Direction::FromMaster, cell) = what
            && cell.first() == Some(&EXCHANGE)
        {
            let ciphertext = &cell[SPKI_AT + SPKI_LEN..SPKI_AT + SPKI_LEN + OAEP_LEN];
            let key = suite.sealed.lock().expect("one thread")[ciphertext].clone();
            seen.lock().expect("one thread").insert(key);
        }
    }));
    keys
}

/// Encoded public keys.
type Keys = BTreeSet<Vec<u8>>;

/// The endpoint keys of one node in three lives with one identity, and those of two others.
fn three_lives(stuck: bool) -> (Vec<Keys>, Vec<Keys>) {
    const NODE: usize = 4;
    let suite = Arc::new(Written {
        stuck,
        ..Written::default()
    });
    let mut net = Net::of_relays(9, suite.clone(), 8, |_| {});
    let others = [5, 6].map(|other| endpoint_keys(&mut net, other, &suite));
    let mut lives = Vec::new();
    for life in 0..3 {
        if life > 0 {
            net.kill(NODE);
            net.run(1_000_000);
            net.restart(NODE);
        }
        let keys = endpoint_keys(&mut net, NODE, &suite);
        // Newcomers build tunnels at once, everybody else only when theirs end.
        let heard = || !keys.lock().expect("one thread").is_empty();
        for _ in 0..12 {
            net.run(5_000_000);
            if !heard() {
                net.add_client(|_| {});
            }
        }
        assert!(heard(), "nobody builds a tunnel to it in life {life}");
        lives.push(keys.lock().expect("one thread").clone());
    }
    let others = others.map(|keys| keys.lock().expect("one thread").clone());
    (lives, others.to_vec())
}

/// One key in each life, and no key twice.
fn one_key_for_each_life(lives: &[BTreeSet<Vec<u8>>], others: &[BTreeSet<Vec<u8>>]) -> bool {
    let all: BTreeSet<_> = lives.iter().chain(others).flatten().collect();
    let each = lives.iter().chain(others).all(|keys| keys.len() == 1);
    each && all.len() == lives.len() + others.len()
}

#[test]
fn an_endpoint_has_one_key_in_each_life_and_another_after_every_start() {
    let (lives, others) = three_lives(false);
    assert!(one_key_for_each_life(&lives, &others));
    // Twins: keys that do not depend on what was drawn for them; a node that keeps its key over a restart.
    let (stuck, all) = three_lives(true);
    assert!(!one_key_for_each_life(&stuck, &all));
    assert!(!one_key_for_each_life(
        &[lives[0].clone(), lives[0].clone()],
        &others
    ));
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
