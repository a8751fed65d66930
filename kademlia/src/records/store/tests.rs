use deut_common::codec::BoundedBytes;
use rand::SeedableRng;

use super::*;
use crate::{
    config::Config,
    records::{announced::Announced, entry::PeerSet, mutable::MutableRecord},
};

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
    // Ended records make room first: all but the two of a second ago.
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

fn sent(seq: i64, value: &[u8], cas: Option<i64>) -> SentMutable {
    let record = MutableRecord::sign(&[1; 32], b"salt".to_vec(), seq, value.to_vec());
    record.expect("signs").to_sent(cas)
}

/// Stores a version as the persona does.
fn put(store: &mut Store, sent: SentMutable, now: Mono) -> Result<StoreResult, (Conflict, i64)> {
    match store.conflict(&sent, now) {
        Some((conflict, kept)) => Err((conflict, kept.seq)),
        None => Ok(store.put(Record::Mutable(sent), now)),
    }
}

#[test]
fn only_a_newer_version_replaces_a_mutable_record() {
    let mut store = store(&Config::test());
    let stored = Ok(StoreResult::Stored);
    assert_eq!(put(&mut store, sent(5, b"1:a", None), Mono(0)), stored);
    let old = Err((Conflict::OldSequence, 5));
    assert_eq!(put(&mut store, sent(4, b"1:b", None), Mono(1)), old);
    let same = Err((Conflict::SameSequence, 5));
    assert_eq!(put(&mut store, sent(5, b"1:b", None), Mono(1)), same);
    let key = sent(0, b"1:a", None).key();
    assert_eq!(store.mutable(&key, Mono(1)).map(|kept| kept.seq), Some(5));
    assert_eq!(put(&mut store, sent(6, b"1:b", None), Mono(1)), stored);
    assert_eq!(
        store.mutable(&key, Mono(1)),
        Some(&sent(6, b"1:b", None).version)
    );
    assert_eq!((store.keys(), store.records()), (1, 1));
}

#[test]
fn compare_and_swap_takes_the_expected_version_only() {
    let mut store = store(&Config::test());
    let stored = Ok(StoreResult::Stored);
    let put_with = |store: &mut Store, seq, cas| put(store, sent(seq, b"1:a", Some(cas)), Mono(0));
    assert_eq!(
        put_with(&mut store, 5, 3),
        stored,
        "nothing to compare with"
    );
    assert_eq!(
        put_with(&mut store, 5, 3),
        stored,
        "the same again, as after a lost answer"
    );
    let mismatch = Err((Conflict::CasMismatch, 5));
    assert_eq!(put_with(&mut store, 6, 4), mismatch);
    assert_eq!(put_with(&mut store, 6, 6), mismatch);
    assert_eq!(put_with(&mut store, 4, 4), mismatch);
    assert_eq!(put_with(&mut store, 4, 5), Err((Conflict::OldSequence, 5)));
    assert_eq!(put_with(&mut store, 6, 5), stored);
}

#[test]
fn a_mutable_record_ends_after_two_hours_unless_it_is_stored_again() {
    let mut store = store(&Config::test());
    let key = sent(1, b"1:a", None).key();
    let again = |store: &mut Store, at| put(store, sent(1, b"1:a", None), Mono(at));
    assert_eq!(again(&mut store, 0), Ok(StoreResult::Stored));
    assert_eq!(again(&mut store, 60 * MINUTE), Ok(StoreResult::Stored));
    assert!(store.mutable(&key, Mono(180 * MINUTE - 1)).is_some());
    assert_eq!(store.mutable(&key, Mono(180 * MINUTE)), None);
    // A record that has ended takes precedence over nothing.
    let older = put(&mut store, sent(0, b"1:z", None), Mono(180 * MINUTE));
    assert_eq!(older, Ok(StoreResult::Stored));
    store.purge(Mono(300 * MINUTE));
    assert_eq!((store.keys(), store.records(), store.bytes()), (0, 0, 0));
}

#[test]
fn mutable_records_count_against_the_caps_and_hide_nothing() {
    let longest = crate::bencode::of_string(&[b'x'; 796]);
    let cost = longest.len() + 64 + 8 + 128;
    let mut store = store(&Config {
        max_stored_bytes: cost,
        ..Config::test()
    });
    assert_eq!(
        put(&mut store, sent(1, &longest, None), Mono(0)),
        Ok(StoreResult::Stored)
    );
    assert_eq!(store.bytes(), cost);
    // The version that it replaces makes room, but another record under the same key gets none.
    assert_eq!(
        put(&mut store, sent(2, &longest, None), Mono(0)),
        Ok(StoreResult::Stored)
    );
    let public = sent(1, b"1:a", None).public;
    let twin = Record::Value(BoundedBytes::new([&public[..], b"salt"].concat()).expect("fits"));
    assert_eq!(twin.key(), sent(1, b"1:a", None).key());
    assert_eq!(store.put(twin.clone(), Mono(0)), StoreResult::Full);
    put(&mut store, sent(3, b"1:a", None), Mono(0)).expect("stored");
    assert_eq!(
        store.put(twin.clone(), Mono(0)),
        StoreResult::Stored,
        "control"
    );
    let key = twin.key();
    assert!(store.mutable(&key, Mono(0)).is_some() && store.value(&key, Mono(0)).is_some());
    assert_eq!((store.keys(), store.records()), (1, 2));
}

#[test]
fn what_ended_gives_its_place_once_only() {
    let mut store = store(&Config {
        max_stored_bytes: 400,
        ..Config::test()
    });
    let large = |number: u8| Record::Value(BoundedBytes::new(vec![number; 200]).expect("fits"));
    assert_eq!(store.put(large(1), Mono(0)), StoreResult::Stored);
    for number in 0..50 {
        // The old one has ended, so it is forgotten before the new one is counted.
        store.put(large(number), Mono(120 * MINUTE));
        store.put(large(1), Mono(120 * MINUTE));
        assert!(store.bytes() <= 400, "{}", store.bytes());
    }
}
