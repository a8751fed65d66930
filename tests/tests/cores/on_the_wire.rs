//! What an eavesdropper on every wire learns: sizes, and nothing that can be followed or read (protocol §1, §4).

#![expect(clippy::print_stdout, reason = "figures for whoever reads along")]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use deut::core::{CoreConfig, CoreEvent};
use deut_kademlia::{Announced, Query, QueryResult, layouts::Peers};
use deut_tests::{
    net::{Net, Sighting},
    observe::{
        capture::{self, SealedCopy, is_relay},
        needles::Needles,
        wire::{self, Fields, is_hello},
    },
    stand_in::StandIn,
};
use deut_transport::wire::descriptor::Descriptor;

const NODES: usize = 16;
/// Datagrams that every relayer has seen at least, in and out.
const ENOUGH: usize = 10_000;

/// A busy network, and what it must not show.
struct Observed {
    transcript: Vec<Sighting>,
    copies: BTreeMap<[u8; 16], SealedCopy>,
    relays: BTreeMap<IpAddr, Descriptor>,
    infohash: [u8; 20],
    secrets: Vec<(String, Vec<u8>)>,
}

impl Observed {
    fn needles(&self) -> Needles {
        self.secrets
            .iter()
            .fold(Needles::new(), |needles, (name, secret)| {
                needles.any_run(name, secret)
            })
    }
}

fn load(net: &Net, transcript: &[Sighting]) -> usize {
    let handled = |ip: IpAddr| {
        transcript
            .iter()
            .filter(|seen| is_relay(seen) && (seen.from.ip() == ip || seen.to.ip() == ip))
            .count()
    };
    net.nodes
        .iter()
        .map(|node| handled(node.address.ip()))
        .min()
        .unwrap_or(0)
}

/// Fewer relays than there are, so that endpoints must ask each other; changing, so that all of them have work.
fn small_directory(config: &mut CoreConfig) {
    config.transport.limits.relays = 12;
    config.transport.times.newcomer_ms = 5_000;
}

/// Value, announcement, and lookups of both from everywhere, until every relayer has seen enough.
fn observe(seed: u64) -> Observed {
    let mut net = Net::new(seed, Arc::new(StandIn));
    let transcript = capture::wire(&mut net);
    for _ in 0..NODES {
        net.add_relay(small_directory);
    }
    let told = capture::probe_all(&mut net);
    net.run_ready();
    net.run(10_000_000);
    // Copies of what was lost must not be recognised either.
    net.wire.loss_per_mille = 2;
    let personas: Vec<[u8; 32]> = net
        .nodes
        .iter()
        .map(|node| node.core.persona_key().expect("a persona"))
        .collect();
    let (infohash, value): ([u8; 20], Vec<u8>) = (
        [*b"0123456789", *b"abcdefghij"]
            .concat()
            .try_into()
            .expect("20"),
        noise(700),
    );
    let announce = Query::Announce {
        infohash,
        what: Announced::Persona(personas[5]),
    };
    let announced = net.ask(5, announce).result;
    let put = net
        .ask(
            3,
            Query::PutValue {
                value: value.clone(),
            },
        )
        .result;
    let (QueryResult::Stored { key: dht_key, .. }, QueryResult::Stored { key, .. }) =
        (announced, put)
    else {
        panic!("not stored")
    };
    let mut round = 0;
    while load(&net, &transcript.borrow()) < ENOUGH {
        for node in 0..NODES {
            let query = if (node + round) % 2 == 0 {
                Query::GetPeers { infohash }
            } else {
                Query::GetValue { key }
            };
            net.query(node, query);
        }
        net.run(5_000_000);
        round += 1;
        assert!(round < 100, "too little traffic");
    }
    let done = |event: &CoreEvent| matches!(event, CoreEvent::Done(_, outcome) if !matches!(outcome.result, QueryResult::NotFound));
    let found: usize = net
        .nodes
        .iter()
        .map(|node| node.events.iter().filter(|(_, event)| done(event)).count())
        .sum();
    println!("{found} of {} queries brought something", NODES * round + 2);
    assert!(found * 10 >= NODES * round * 9);

    let mut secrets = vec![
        ("infohash".to_owned(), infohash.to_vec()),
        ("value".to_owned(), value),
    ];
    secrets.push((
        "blinded key".into(),
        Peers::of(&infohash).blinded().to_vec(),
    ));
    secrets.push(("DHT key".into(), dht_key.0.to_vec()));
    secrets.push(("key of the value".into(), key.0.to_vec()));
    secrets.extend(
        personas
            .iter()
            .map(|key| ("persona key".to_owned(), key.to_vec())),
    );
    let relays = net.nodes.iter().map(|node| {
        let bytes = node.core.own_descriptor().expect("a relay");
        (
            node.address.ip(),
            Descriptor::decode(&bytes).expect("its own"),
        )
    });
    let (relays, copies) = (relays.collect(), capture::copies(&told));
    net.tap = None;
    Observed {
        transcript: transcript.take(),
        copies,
        relays,
        infohash,
        secrets,
    }
}

fn noise(len: usize) -> Vec<u8> {
    use rand::{Rng, SeedableRng, rngs::StdRng};
    let mut bytes = vec![0; len];
    StdRng::seed_from_u64(99).fill_bytes(&mut bytes);
    bytes
}

/// One network serves all checks: it is the expensive part.
#[test]
fn an_eavesdropper_sees_equal_sizes_and_nothing_to_read_or_to_follow() {
    let mut observed = observe(11);
    println!("{} datagrams", observed.transcript.len());
    sizes(&mut observed);
    secrets(&mut observed);
    fields(&mut observed);
    answers(&mut observed);
    runs(&mut observed);
}

fn some(transcript: &[Sighting], what: impl FnMut(&Sighting) -> bool) -> usize {
    transcript.iter().position(what).expect("there is one")
}

fn is_kind(seen: &Sighting, kind: u8) -> bool {
    is_relay(seen) && seen.bytes[0] == kind
}

fn sizes(observed: &mut Observed) {
    let messages = observed
        .transcript
        .iter()
        .filter(|seen| !is_relay(seen) && !is_hello(seen))
        .count();
    let hellos = observed.transcript.iter().filter(|seen| is_hello(seen));
    let hellos = hellos.count();
    println!("{messages} messages and {hellos} HELLOs between endpoints");
    assert!(messages > 1_000 && hellos > 20 && wire::sizes(&observed.transcript).none());
    // Twin: one datagram is a byte longer.
    observed.transcript[7].bytes.push(0);
    assert!(!wire::sizes(&observed.transcript).none());
    observed.transcript[7].bytes.pop();
    // Twin: a HELLO is a byte longer.
    let at = some(&observed.transcript, is_hello);
    observed.transcript[at].bytes.push(0);
    assert!(!wire::sizes(&observed.transcript).none());
    observed.transcript[at].bytes.pop();
}

fn secrets(observed: &mut Observed) {
    let hidden = wire::secrets(&observed.transcript, &observed.needles());
    assert!(hidden.none(), "{hidden:?}");
    // Where they are allowed: in what storing nodes are asked, before the seal. The infohash never is.
    let needles = observed.needles();
    let asked: BTreeSet<&str> = observed
        .copies
        .values()
        .flat_map(|copy| needles.find(&copy.body))
        .collect();
    let names = [
        "DHT key",
        "blinded key",
        "key of the value",
        "persona key",
        "value",
    ];
    assert_eq!(asked, BTreeSet::from(names));
    // Where it is allowed: a WhoAreYou answer tells the identity key, in clear and nowhere else.
    let relay = observed.relays.values().next().expect("relays");
    let public = Needles::new().any_run("identity", &relay.identity);
    let of_kind = |kind| {
        observed
            .transcript
            .iter()
            .filter(move |seen| is_kind(seen, kind))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert!(!wire::secrets(&of_kind(6), &public).none());
    assert!(wire::secrets(&of_kind(4), &public).none());
    // Twins: a relayer that passes something on in clear.
    let at = some(&observed.transcript, |seen| is_kind(seen, 4));
    let honest = observed.transcript[at].clone();
    for (name, secret) in &observed.secrets {
        let mut leaked = honest.clone();
        leaked.bytes[300..300 + secret.len()].copy_from_slice(secret);
        let found = wire::secrets(&[leaked], &needles);
        assert!(
            found.0.iter().any(|text| text.starts_with(name)),
            "{name}: {found:?}"
        );
    }
    // Twin: an endpoint that tells where it asks why it asks.
    let at = some(&observed.transcript, is_hello);
    let honest = observed.transcript[at].clone();
    observed.transcript[at].bytes[30..50].copy_from_slice(&observed.infohash);
    assert!(!wire::secrets(&observed.transcript, &observed.needles()).none());
    observed.transcript[at] = honest;
}

fn fields(observed: &mut Observed) {
    let check =
        |transcript: &[Sighting]| Fields::check(transcript, Net::policy(), &observed.relays);
    let (complaints, kinds) = check(&observed.transcript);
    println!("{kinds:?}");
    assert!(complaints.none(), "{complaints:?}");
    assert!(kinds.len() == 7 && kinds.values().all(|count| *count > 10));
    // Twins, one for each kind: a field that is off by one bit.
    let honest = observed.transcript[..4_000].to_vec();
    assert!(check(&honest).0.none());
    for (kind, at) in [
        (1, 2),
        (1, 1_190),
        (2, 9),
        (2, 1_201 - 16),
        (4, 1),
        (4, 15),
        (5, 1),
        (6, 30),
        (6, 100),
        (6, 250),
        (6, 307),
        (6, 340),
    ] {
        let mut broken = honest.clone();
        let which = some(&broken, |seen| is_kind(seen, kind));
        broken[which].bytes[at] ^= 1;
        assert!(!check(&broken).0.none(), "kind {kind}, byte {at}");
    }
    // Twins of HELLOs: an echo of another nonce, an unknown kind, padding that is not random.
    let mut hellos = observed.transcript.clone();
    hellos.retain(is_hello);
    assert!(check(&hellos).0.none());
    for (kind, at) in [(2, 9), (2, 24), (1, 8)] {
        let mut broken = hellos.clone();
        let which = some(&broken, |seen| seen.bytes[8] == kind);
        broken[which].bytes[at] ^= 4;
        assert!(!check(&broken).0.none(), "HELLO of kind {kind}, byte {at}");
    }
    hellos.iter_mut().for_each(|seen| seen.bytes[25..].fill(0));
    assert!(!check(&hellos).0.none());
    // Twin: padding that is not random.
    let mut zeros = observed.transcript.clone();
    zeros.retain(|seen| is_kind(seen, 5));
    assert!(check(&zeros).0.none());
    zeros.iter_mut().for_each(|seen| seen.bytes[22..].fill(0));
    assert!(
        check(&zeros)
            .0
            .0
            .iter()
            .any(|text| text.contains("not random"))
    );
}

fn answers(observed: &mut Observed) {
    let (complaints, count) = wire::answers(&observed.transcript, &observed.copies);
    println!("{count} answers to {} requests", observed.copies.len());
    assert!(count >= 1_000 && complaints.none(), "{complaints:?}");
    // Twin: a node that answers from the endpoint that was asked.
    let at = some(&observed.transcript, |seen| {
        !is_relay(seen)
            && observed
                .copies
                .contains_key(&capture::message_id(&seen.bytes))
    });
    let honest = observed.transcript[at].from;
    observed.transcript[at].from =
        observed.copies[&capture::message_id(&observed.transcript[at].bytes)].to;
    assert!(
        !wire::answers(&observed.transcript, &observed.copies)
            .0
            .none()
    );
    observed.transcript[at].from = honest;
}

fn runs(observed: &mut Observed) {
    for &relayer in observed.relays.keys() {
        let followed = wire::runs(&observed.transcript, relayer);
        assert!(followed.none(), "{followed:?}");
    }
    // Twin: a relayer that leaves eight bytes of a cell as they were.
    let relayer = *observed.relays.keys().next().expect("relays");
    let entering = some(&observed.transcript, |seen| {
        is_kind(seen, 4) && seen.to.ip() == relayer
    });
    let leaving = some(&observed.transcript, |seen| {
        is_kind(seen, 4) && seen.from.ip() == relayer
    });
    let run: [u8; 8] = std::array::from_fn(|i| observed.transcript[entering].bytes[500 + i]);
    observed.transcript[leaving].bytes[701..709].copy_from_slice(&run);
    let followed = wire::runs(&observed.transcript, relayer);
    assert_eq!(followed.0.len(), 1, "{followed:?}");
}
