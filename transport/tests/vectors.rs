//! The independent vectors of `tests/vectors/walk.json` (made by `walk.py` from `docs/protocol.md` alone).

use deut_common::suite::SuiteRef;
use std::net::SocketAddr;

use deut_transport::{
    crypto::{
        aead::{AeadKey, counter_nonce},
        answer::EndpointAnswer,
        exchange::{Transcript, session_key_bytes, session_keys},
        layer::LayerKeys,
        message::{gate, response_key_bytes},
        noise::{check_mac1, mac1_key},
        walk::{Hop, MasterWalk},
    },
    ids::NetworkId,
    keys::RelayKeys,
    policy::{Policy, Profile},
    wire::{
        cell::CELL_PLAINTEXT,
        datagram::{Kind, parse_who_are_you_answer, who_are_you_answer},
        descriptor::{Descriptor, PortRange, put_address, take_address},
        message::encode_response,
    },
};
use rand::{SeedableRng, rngs::StdRng};
use serde_json::Value;
use sha2::{Digest, Sha256};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/walk.json");

fn vectors() -> Value {
    let text = std::fs::read_to_string(FILE).expect("the vectors belong to the repository");
    serde_json::from_str(&text).expect("JSON")
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("a string").as_bytes();
    let digit = |c: u8| {
        u8::try_from(char::from(c).to_digit(16).expect("a hexadecimal digit")).expect("below 16")
    };
    text.chunks(2)
        .map(|pair| digit(pair[0]) * 16 + digit(pair[1]))
        .collect()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().expect("that many bytes")
}

fn rule<const N: usize>(a: usize, b: usize) -> [u8; N] {
    std::array::from_fn(|i| u8::try_from((a * i + b) % 256).expect("below 256"))
}

fn sha256(parts: &[&[u8]]) -> Vec<u8> {
    Sha256::digest(parts.concat()).to_vec()
}

/// The four hops of the vectors, checked by themselves in the first test.
fn hops(v: &Value) -> Vec<Hop> {
    let (_, mut element) = MasterWalk::from_scalar(array(&v["walk"]["x1"]));
    (0..4)
        .map(|i| {
            let hop =
                Hop::from_scalar(&element, array(&v["walk"]["y"][i])).expect("a genuine element");
            element = hop.next_element();
            hop
        })
        .collect()
}

#[test]
fn elements_and_secrets_of_a_walk() {
    let v = vectors();
    let hops = hops(&v);
    for (i, hop) in hops.iter().enumerate() {
        assert_eq!(hop.element(), &array(&v["walk"]["E"][i]), "E {i}");
        assert_eq!(hop.reply(), &array(&v["walk"]["Y"][i]), "Y {i}");
        assert_eq!(hop.shared(), &array(&v["walk"]["s"][i]), "s {i}");
        assert_eq!(
            *hop.hop_key_bytes(),
            array(&v["hop_keys"][i]),
            "hop keys {i}"
        );
    }
    assert_eq!(*hops[3].endpoint_key_bytes(), array(&v["endpoint_keys"]));
    // b is inside: the next E shows it
    assert_eq!(&hops[2].next_element(), hops[3].element());
}

#[test]
fn refused_and_accepted_encodings() {
    let v = vectors();
    let take = |bytes: [u8; 32]| Hop::from_scalar(&bytes, [7; 32]);
    let multiples = v["ristretto"]["multiples"].as_array().expect("a list");
    assert!(take(array(&multiples[0])).is_err(), "the identity");
    assert!(multiples[1..].iter().all(|good| take(array(good)).is_ok()));
    let refused = v["ristretto"]["refused"].as_array().expect("a list");
    assert!(refused.len() >= 5 && refused.iter().all(|bad| take(array(bad)).is_err()));
}

type Work = fn(&LayerKeys, &mut [u8; 16], &mut [u8; 1_179]);

fn assert_cell(v: &Value, nonce: &[u8; 16], body: &[u8; 1_179]) {
    assert_eq!(*nonce, array(&v["nonce"]));
    assert_eq!(sha256(&[body]), bytes(&v["body_sha256"]));
}

#[test]
fn layers() {
    let v = &vectors()["layer"];
    let hops: [LayerKeys; 2] = [0, 1].map(|i| LayerKeys::from_bytes(&array(&v["hops"][i])));
    let start = || (rule::<16>(5, 1), rule::<1_179>(7, 3));
    assert_cell(&v["start"], &start().0, &start().1);
    for (name, order, work) in [
        ("forward", [0, 1], LayerKeys::forward as Work),
        ("back", [1, 0], LayerKeys::back),
    ] {
        let (mut nonce, mut body) = start();
        for (step, hop) in order.into_iter().enumerate() {
            work(&hops[hop], &mut nonce, &mut body);
            assert_cell(&v[name][step], &nonce, &body);
        }
    }
    let begin = |v: &Value| {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&v["counter"].as_u64().expect("a number").to_be_bytes());
        (nonce, rule::<1_179>(7, 3))
    };
    // what the master sends comes out as counter ‖ zero behind hop 2
    let (mut nonce, mut body) = begin(&v["master_forward"]);
    hops[1].prepare_forward(&mut nonce, &mut body);
    hops[0].prepare_forward(&mut nonce, &mut body);
    assert_cell(&v["master_forward"]["first"], &nonce, &body);
    // what hop 2 starts with arrives at the master, who undoes it
    let (mut nonce, mut body) = begin(&v["master_back"]);
    hops[1].back(&mut nonce, &mut body);
    hops[0].back(&mut nonce, &mut body);
    assert_cell(&v["master_back"]["arrives"], &nonce, &body);
    hops[0].undo_back(&mut nonce, &mut body);
    hops[1].undo_back(&mut nonce, &mut body);
    assert_eq!((nonce, body), begin(&v["master_back"]));
}

#[test]
fn wrapped_answers() {
    let all = vectors();
    let v = &all["answer"];
    let (mut block, mut sealed) = (rule::<384>(11, 5), rule::<800>(13, 7));
    assert_eq!(sha256(&[&block, &sealed]), bytes(&v["start_sha256"]));
    for (step, hop) in hops(&all).iter().rev().enumerate() {
        hop.wrap(&mut block, &mut sealed);
        assert_eq!(
            sha256(&[&block, &sealed]),
            bytes(&v["after_wrap_sha256"][step]),
            "step {step}"
        );
    }
    assert_eq!(block[..64], bytes(&v["final_first_64"]));
    assert_eq!(sealed[768..], bytes(&v["final_last_32"]));
}

fn relay(v: &Value) -> (RelayKeys, Descriptor) {
    let keys = RelayKeys::from_seed(&array(&v["relay_keys"]["seed"]));
    let address = "198.51.100.7:4433".parse().expect("an address");
    let range = Some(PortRange {
        first: 5_000,
        last: 5_127,
    });
    let network = NetworkId(array(&v["network"]["production"]));
    let descriptor = Descriptor::sign(&keys, network, address, range, 29_000_000, 29_001_440);
    (keys, descriptor)
}

#[test]
fn the_endpoints_answer() {
    let v = vectors();
    let (keys, descriptor) = relay(&v);
    let hops = hops(&v);
    let answer = EndpointAnswer {
        descriptor,
        spki: Box::new(rule(17, 1)),
        address: "198.51.100.7:5003".parse().expect("an address"),
        families: 1,
        expiry: 1_740_000_800,
    };
    let mut sealed = answer.seal(&keys, &hops[3]);
    assert_eq!(sha256(&[&sealed]), bytes(&v["sealed"]["sealed_sha256"]));
    assert_eq!(sealed[784..], bytes(&v["sealed"]["tag"]));
    let mut block = [0; 384];
    hops.iter()
        .rev()
        .for_each(|hop| hop.wrap(&mut block, &mut sealed));
    let (master, _) = MasterWalk::from_scalar(array(&v["walk"]["x1"]));
    let opened = master.peel(&block, &sealed).expect("the master opens it");
    assert_eq!(opened.layers.len(), 4);
    assert_eq!(
        sha256(&[&opened.answer]),
        bytes(&v["sealed"]["content_sha256"])
    );
    assert_eq!(opened.answer[513..577], bytes(&v["sealed"]["signature"]));
    assert_eq!(
        EndpointAnswer::open_and_verify(&SuiteRef::default(), &opened),
        Ok(answer)
    );
}

#[test]
fn the_exchange_and_a_cell_under_its_keys() {
    let v = vectors();
    let hop = hops(&v).pop().expect("four hops");
    let transcript = Transcript {
        element: hop.element(),
        reply: hop.reply(),
        endpoint_spki: &rule(17, 1),
        master_spki: &rule(19, 2),
        oaep_m: &rule(23, 3),
        oaep_e: &rule(29, 4),
    };
    assert_eq!(transcript.hash(), array(&v["session"]["transcript"]));
    let keys = session_key_bytes(hop.shared(), &transcript, &rule(31, 5), &rule(37, 6));
    assert_eq!(*keys, array(&v["session"]["keys"]));

    let (k1, confirmation) = session_keys(hop.shared(), &transcript, &rule(31, 5), &rule(37, 6));
    assert_eq!(confirmation, keys[64..]);
    let v = &v["body"];
    let data = bytes(&v["data"]);
    let mut body = [0; CELL_PLAINTEXT + 16];
    body[0] = u8::try_from(v["type"].as_u64().expect("a number")).expect("a byte");
    body[1..3].copy_from_slice(&u16::try_from(data.len()).expect("short").to_be_bytes());
    body[3..3 + data.len()].copy_from_slice(&data);
    k1.forward.seal_in_place(
        counter_nonce(v["counter"].as_u64().expect("a number")),
        &[],
        &mut body,
    );
    assert_eq!(sha256(&[&body]), bytes(&v["body_sha256"]));
    assert_eq!(body[CELL_PLAINTEXT..], bytes(&v["tag"]));
}

#[test]
fn gates() {
    let v = vectors();
    for v in v["gate"].as_array().expect("a list") {
        let port = u16::try_from(v["port"].as_u64().expect("a number")).expect("a port");
        let mut address = [0; 18];
        address[..16].copy_from_slice(&bytes(&v["ip"]));
        address[16..].copy_from_slice(&port.to_be_bytes());
        let address: SocketAddr = take_address(&address);
        assert_eq!(gate(&array(&v["x"]), address).0, array(&v["gate"]));
    }
}

#[test]
fn networks_and_relay_keys() {
    let v = vectors();
    let name = v["network"]["name"].as_str().expect("a string");
    for (profile, field) in [(Profile::Production, "production"), (Profile::Test, "test")] {
        let policy = Policy::new(name, profile).expect("a short name");
        assert_eq!(policy.network.0, array(&v["network"][field]));
    }
    let (keys, _) = relay(&v);
    let v = &v["relay_keys"];
    assert_eq!(
        (keys.identity(), keys.link(), keys.onion()),
        (array(&v["identity"]), array(&v["link"]), array(&v["onion"]))
    );
    assert_eq!(keys.id().0, array(&v["relay_id"]));
    assert_eq!(mac1_key(&keys.link()), array(&v["mac1_key"]));
    let mut datagram: [u8; 1_232] = rule(3, 1);
    assert!(!check_mac1(
        &mac1_key(&keys.link()),
        &datagram,
        Kind::HandshakeInit
    ));
    datagram[1_200..1_216].copy_from_slice(&bytes(&v["mac1"]));
    assert!(check_mac1(
        &mac1_key(&keys.link()),
        &datagram,
        Kind::HandshakeInit
    ));
}

#[test]
fn descriptor_and_answer_to_who_are_you() {
    let v = vectors();
    let (keys, descriptor) = relay(&v);
    assert_eq!(descriptor.bytes().as_slice(), bytes(&v["descriptor"]));
    let v = &v["who_are_you"];
    let asker = take_address(&array(&v["asker"]));
    assert_eq!(put_address(asker), array(&v["asker"]));
    let datagram = who_are_you_answer(
        &keys,
        &descriptor,
        &array(&v["nonce"]),
        asker,
        &mut StdRng::seed_from_u64(1),
    );
    assert_eq!(datagram[236..300], bytes(&v["signature"]));
    assert!(parse_who_are_you_answer(&datagram).verify(&SuiteRef::default(), &descriptor));
}

#[test]
fn responses() {
    let v = vectors();
    let v = &v["response"];
    let (key, nonce) =
        response_key_bytes(&array(&v["secret"]), &array(&v["enc"]), &array(&v["nonce"]));
    assert_eq!((*key, nonce), (array(&v["key"]), array(&v["aead_nonce"])));
    let plaintext = encode_response(&bytes(&v["body"])).expect("a short body");
    let mut sealed = [0; 1_064];
    sealed[..1_048].copy_from_slice(&plaintext);
    AeadKey::new(*key).seal_in_place(nonce, &bytes(&v["message_id"]), &mut sealed);
    assert_eq!(sha256(&[&sealed]), bytes(&v["ciphertext_sha256"]));
    assert_eq!(sealed[1_048..], bytes(&v["tag"]));
}
