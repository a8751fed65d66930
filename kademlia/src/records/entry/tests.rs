use deut_common::codec::{decode, encode};
use deut_common::suite::SuiteRef;
use proptest::prelude::*;

use super::*;
use crate::{
    id::NodeId,
    testing::{hex, secret},
};

/// Made by tests/vectors/blinded_peers.py.
const PERSONA_ENTRY: &str = concat!(
    "0001020304050607",                                                   // writer tag
    "000102030405060708090a0b0c0d0e0f",                                   // salt
    "db860840abebf56b67132625cb77650306f4d3bcd2f148ae467709ab858c24d5fe", // sealed: kind and persona key
    "c4f5ccf2f128348dcdbf0d0d439b3511",                                   // sealed: AEAD tag
    "42e2ec00cbeacca52fcf12cd03ec68041d5a793227823be7b5b98f5f8f90fe66",   // signature, R
    "5d24df28d4394a54dffffbc54cb148c22472140313af57fed6d31698e669910f",   // signature, s
);
const ADDRESS_ENTRY: &str = concat!(
    "aaaaaaaaaaaaaaaa",
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    "dc1101362e5bb9b74a13bdf9737b5abbff40b115c38d9e2e9495e8ad5c97e44278",
    "060eccc864e39aa23afe9f2d833cb36b",
    "02a63c27ebb76fc7f9145d70f8418df7d2adfdcc9f5e0e50e3c2c852cbc31afa",
    "103cc389e9caba56bc7416a696fe50074390b0fb4a060449d828644ee6aa0806",
);

fn hello() -> PeerSet {
    PeerSet::of(&NodeId::hash_of(b"hello").0)
}

fn entry(text: &str) -> PeerEntry {
    decode(&hex(text)).expect("137 bytes")
}

fn persona(number: u64) -> Announced {
    Announced::Persona(secret(number).public())
}

#[test]
fn keys_and_entries_are_those_of_the_independent_script() {
    let set = hello();
    assert_eq!(
        set.blinded().to_vec(),
        hex("44119432868238d2f7674542844c7e6269767624b5af54dd2cfde2aa2d8ae14e")
    );
    assert_eq!(
        set.key().to_string(),
        "f1b5d0674deb41dbf2d640ace80cd76d8ff464b0"
    );
    let salt = std::array::from_fn(|i| i as u8);
    let mut derived = [0; 44];
    derive(
        Some(&salt),
        &set.infohash,
        labels::PEERS_ENTRY_SEAL,
        &mut derived,
    );
    let expected =
        "104c411193f1a814e69d6ae7c9399f94bc18fd7385a398ba4f589d7732337f8ed6c9511f44021d5e0bc04650";
    assert_eq!(derived.to_vec(), hex(expected));

    let what = Announced::Persona(crate::PersonaSecret::from_seed(&[7; 32]).public());
    let sealed = set.seal(std::array::from_fn(|i| i as u8), salt, &what);
    assert_eq!(encode(&sealed), hex(PERSONA_ENTRY));
    assert_eq!(
        set.open(&SuiteRef::default(), &entry(PERSONA_ENTRY)),
        Some(what)
    );

    let set = PeerSet::of(&[0; 20]);
    assert_eq!(
        set.blinded().to_vec(),
        hex("65e89aa9df667d59fc2f2a7d6730cf5945d7318e3eeaf646a4396f4e5acd5186")
    );
    assert_eq!(
        set.key().to_string(),
        "00f4b25c9ae1d1e7cd2280e35fad64d0499b8948"
    );
    let what = Announced::Address("192.0.2.1:6881".parse().expect("address"));
    assert_eq!(
        encode(&set.seal([0xaa; 8], [0xbb; 16], &what)),
        hex(ADDRESS_ENTRY)
    );
    assert_eq!(
        set.open(&SuiteRef::default(), &entry(ADDRESS_ENTRY)),
        Some(what)
    );
}

#[test]
fn every_flipped_bit_is_refused_by_storer_and_reader() {
    let set = hello();
    let bytes = hex(PERSONA_ENTRY);
    assert!(
        entry(PERSONA_ENTRY).is_signed_by(&SuiteRef::default(), &set.blinded()),
        "control"
    );
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let changed: PeerEntry = decode(&changed).expect("137 bytes");
        assert!(
            !changed.is_signed_by(&SuiteRef::default(), &set.blinded()),
            "bit {bit}"
        );
        assert_eq!(set.open(&SuiteRef::default(), &changed), None);
    }
}

#[test]
fn an_entry_of_another_infohash_is_refused() {
    let other = PeerSet::of(&[1; 20]);
    assert_eq!(
        other.open(&SuiteRef::default(), &entry(PERSONA_ENTRY)),
        None
    );
    assert!(!entry(PERSONA_ENTRY).is_signed_by(&SuiteRef::default(), &other.blinded()));
    // A weak key, for which anybody can sign, is not accepted as a blinded key.
    let mut weak = [0; 32];
    weak[0] = 1;
    assert!(!entry(PERSONA_ENTRY).is_signed_by(&SuiteRef::default(), &weak));
}

#[test]
fn contents_have_one_form_only() {
    let good = content_bytes(&Announced::Address(
        "192.0.2.1:6881".parse().expect("address"),
    ));
    assert!(
        announced_from(&SuiteRef::default(), &good).is_some(),
        "control"
    );
    for (at, value) in [(0, 0), (0, 3), (19, 1), (32, 1)] {
        let mut bad = good;
        bad[at] = value;
        assert_eq!(
            announced_from(&SuiteRef::default(), &bad),
            None,
            "byte {at} = {value}"
        );
    }
    for bad in [
        "0.0.0.0:1",
        "192.0.2.1:0",
        "224.0.0.1:1",
        "[::]:1",
        "[ff02::1]:1",
    ] {
        let bad = content_bytes(&Announced::Address(bad.parse().expect("address")));
        assert_eq!(announced_from(&SuiteRef::default(), &bad), None);
    }
    let mut weak = [0; CONTENT];
    weak[..2].copy_from_slice(&[KIND_PERSONA, 1]);
    assert_eq!(announced_from(&SuiteRef::default(), &weak), None);
}

#[test]
fn entries_of_one_infohash_share_no_bytes_with_it_or_each_other() {
    let infohash = NodeId::hash_of(b"hello").0;
    let (first, second) = (
        hello().seal([1; 8], [1; 16], &persona(1)),
        hello().seal([2; 8], [2; 16], &persona(1)),
    );
    let (first, second) = (encode(&first), encode(&second));
    let runs = |bytes: &[u8]| {
        bytes
            .windows(4)
            .map(<[u8]>::to_vec)
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert!(runs(&first[24..]).is_disjoint(&runs(&second[24..])));
    assert!(runs(&first).is_disjoint(&runs(&infohash)));
    let Announced::Persona(key) = persona(1) else {
        unreachable!()
    };
    assert!(runs(&first).is_disjoint(&runs(&key)));
    assert!(!runs(&key).is_disjoint(&runs(&key)), "control");
}

#[test]
fn what_nobody_could_connect_to_cannot_be_announced() {
    let fine = |text: &str| can_be_announced(&text.parse().expect("an address"));
    for text in [
        "192.0.2.1:0",
        "[2001:db8::1]:0",
        "0.0.0.0:6881",
        "[::]:6881",
        "[::ffff:0.0.0.0]:6881",
        "224.0.0.1:6881",
        "[ff02::1]:6881",
        "[::ffff:239.1.2.3]:6881",
        "255.255.255.255:6881",
        "[::ffff:255.255.255.255]:6881",
    ] {
        assert!(!fine(text), "{text}");
    }
    for text in [
        "192.0.2.1:1",
        "[2001:db8::1]:6881",
        "[::ffff:192.0.2.1]:6881",
    ] {
        assert!(fine(text), "control: {text}");
    }
}

proptest! {
    #[test]
    fn every_content_is_read_back(infohash: [u8; 20], writer: [u8; 8], salt: [u8; 16], number: u64,
                                  ip: [u8; 4], six: [u8; 16], port: u16) {
        let set = PeerSet::of(&infohash);
        for what in [
            persona(number),
            Announced::Address((ip, port).into()),
            Announced::Address((Ipv6Addr::from(six).to_canonical(), port).into()),
        ] {
            let fine = match &what { Announced::Address(address) => can_be_announced(address), Announced::Persona(_) => true };
            let entry = set.seal(writer, salt, &what);
            prop_assert_eq!(encode(&entry).len(), PeerEntry::LEN);
            prop_assert_eq!(decode::<PeerEntry>(&encode(&entry)), Ok(entry));
            prop_assert!(entry.is_signed_by(&SuiteRef::default(), &set.blinded()));
            prop_assert_eq!(set.open(&SuiteRef::default(), &entry), fine.then_some(what));
        }
    }
}
