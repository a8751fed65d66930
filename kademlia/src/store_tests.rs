use super::*;
use crate::{api::Announced, codec::BoundedBytes, config::Config, entry::PeerSet};
use rand::SeedableRng;

const MINUTE: u64 = 60_000_000;

fn store(config: &Config) -> Store {
    Store::new(NodeId([0; 20]), config)
}

fn value(number: u32) -> Record {
    Record::Value(BoundedBytes::new(number.to_be_bytes().to_vec()).expect("fits"))
}

fn peer(writer: u64) -> Record {
    let set = PeerSet::of(&[9; 20]);
    let what = Announced::Address(([192, 0, 2, 1], 1 + writer as u16).into());
    Record::Peer {
        blinded: set.blinded(),
        entry: set.seal(writer.to_be_bytes(), [1; 16], &what),
    }
}

fn peers(store: &Store, count: usize, now: Mono) -> Vec<PeerEntry> {
    store.peers(&peer(0).key(), count, now, &mut StdRng::from_seed([1; 32]))
}

#[test]
fn a_value_ends_after_two_hours_unless_it_is_stored_again() {
    let mut store = store(&Config::test());
    assert_eq!(store.put(value(1), Mono(0)), StoreResult::Stored);
    let key = value(1).key();
    assert_eq!(
        store.value(&key, Mono(120 * MINUTE - 1)),
        Some(&1u32.to_be_bytes()[..])
    );
    assert_eq!(store.value(&key, Mono(120 * MINUTE)), None);
    store.put(value(1), Mono(60 * MINUTE));
    assert!(store.value(&key, Mono(179 * MINUTE)).is_some());
    assert_eq!((store.keys(), store.records()), (1, 1));
    store.purge(Mono(180 * MINUTE));
    assert_eq!((store.keys(), store.records(), store.bytes()), (0, 0, 0));
}

#[test]
fn a_peer_entry_ends_after_45_minutes_and_is_replaced_by_its_writer() {
    let mut store = store(&Config::test());
    for writer in [1, 2, 1] {
        assert_eq!(store.put(peer(writer), Mono(0)), StoreResult::Stored);
    }
    assert_eq!(peers(&store, 7, Mono(45 * MINUTE - 1)).len(), 2);
    assert!(peers(&store, 7, Mono(45 * MINUTE)).is_empty());
    store.purge(Mono(45 * MINUTE));
    assert_eq!(store.bytes(), 0);
}

#[test]
fn at_the_cap_of_entries_the_one_that_ends_first_makes_room() {
    let mut store = store(&Config {
        max_entries_per_key: 3,
        ..Config::test()
    });
    (0..5)
        .for_each(|writer| assert_eq!(store.put(peer(writer), Mono(writer)), StoreResult::Stored));
    let mut writers: Vec<_> = peers(&store, 7, Mono(9))
        .iter()
        .map(|entry| entry.writer[7])
        .collect();
    writers.sort_unstable();
    assert_eq!(writers, [2, 3, 4]);
    store.put(peer(3), Mono(9));
    assert_eq!(store.records(), 3, "a writer's own entry needs no room");
}

#[test]
fn answers_are_samples_that_reach_every_entry() {
    let mut store = store(&Config::test());
    (0..30).for_each(|writer| assert_eq!(store.put(peer(writer), Mono(0)), StoreResult::Stored));
    let mut random = StdRng::from_seed([2; 32]);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let sample = store.peers(&peer(0).key(), 7, Mono(1), &mut random);
        assert_eq!(sample.len(), 7);
        seen.extend(sample.iter().map(|entry| entry.writer));
    }
    assert_eq!(seen.len(), 30);
}

#[test]
fn at_the_cap_of_keys_only_a_nearer_one_pushes_out_the_farthest() {
    let config = Config {
        max_stored_keys: 4,
        ..Config::test()
    };
    let mut store = store(&config);
    let mut records: Vec<Record> = (0..20).map(value).collect();
    records.sort_by_key(Record::key); // our id is 0: the smallest key is the nearest
    for record in &records[2..6] {
        assert_eq!(store.put(record.clone(), Mono(0)), StoreResult::Stored);
    }
    assert_eq!(store.put(records[10].clone(), Mono(1)), StoreResult::Full);
    assert_eq!(
        store.put(records[5].clone(), Mono(1)),
        StoreResult::Stored,
        "it is there already"
    );
    assert_eq!(store.put(records[0].clone(), Mono(1)), StoreResult::Stored);
    assert!(
        store.value(&records[5].key(), Mono(1)).is_none()
            && store.value(&records[0].key(), Mono(1)).is_some()
    );
    assert_eq!(store.keys(), 4);
    // What ended makes room before anything else does: all but the two of a second ago.
    assert_eq!(
        store.put(records[10].clone(), Mono(120 * MINUTE)),
        StoreResult::Stored
    );
    assert_eq!(store.keys(), 2);
}

#[test]
fn the_cap_of_bytes_holds() {
    let config = Config {
        max_stored_bytes: 1_000,
        ..Config::test()
    };
    let mut store = store(&config);
    for number in 0..100 {
        store.put(value(number), Mono(0));
        store.put(peer(u64::from(number)), Mono(0));
        assert!(store.bytes() <= 1_000);
    }
    assert!(store.records() > 2, "control");
}

#[test]
fn a_value_does_not_hide_the_peer_set_under_the_same_key() {
    let mut store = store(&Config::test());
    store.put(peer(1), Mono(0));
    let blinded = PeerSet::of(&[9; 20]).blinded().to_vec();
    let twin = Record::Value(BoundedBytes::new(blinded.clone()).expect("fits"));
    assert_eq!(twin.key(), peer(1).key());
    store.put(twin, Mono(0));
    assert_eq!(peers(&store, 7, Mono(1)).len(), 1);
    assert_eq!(store.value(&peer(1).key(), Mono(1)), Some(&blinded[..]));
}
