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

impl Store {
    /// With randomness of its own.
    fn keep(&mut self, record: Record, now: Mono) -> StoreResult {
        let mut seed = [0; 32];
        seed[..20].copy_from_slice(&record.key().0);
        seed[20..28].copy_from_slice(&now.0.to_be_bytes());
        self.put(record, now, &mut StdRng::from_seed(seed))
    }
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
    assert_eq!(store.keep(value(1), Mono(0)), StoreResult::Stored);
    let key = value(1).key();
    assert_eq!(
        store.value(&key, Mono(120 * MINUTE - 1)),
        Some(&1u32.to_be_bytes()[..])
    );
    assert_eq!(store.value(&key, Mono(120 * MINUTE)), None);
    store.keep(value(1), Mono(60 * MINUTE));
    assert!(store.value(&key, Mono(179 * MINUTE)).is_some());
    assert_eq!((store.keys(), store.records()), (1, 1));
    store.purge(Mono(180 * MINUTE));
    assert_eq!((store.keys(), store.records(), store.bytes()), (0, 0, 0));
}

#[test]
fn a_peer_entry_ends_after_45_minutes_and_is_replaced_by_its_writer() {
    let mut store = store(&Config::test());
    for writer in [1, 2, 1] {
        assert_eq!(store.keep(peer(writer), Mono(0)), StoreResult::Stored);
    }
    assert_eq!(peers(&store, 7, Mono(45 * MINUTE - 1)).len(), 2);
    assert!(peers(&store, 7, Mono(45 * MINUTE)).is_empty());
    store.purge(Mono(45 * MINUTE));
    assert_eq!(store.bytes(), 0);
}

/// The writers of these entries that are below `below`.
fn below(below: u64, entries: &[PeerEntry]) -> std::collections::BTreeSet<u64> {
    let writers = entries.iter().map(|entry| u64::from_be_bytes(entry.writer));
    writers.filter(|writer| *writer < below).collect()
}

#[test]
fn at_the_cap_of_entries_a_random_newcomer_makes_room() {
    let mut store = store(&Config {
        max_entries_per_key: 3,
        ..Config::test()
    });
    let mut left = [0; 5];
    for round in 0..60 {
        for writer in 0..5 {
            let at = Mono(round * 50 * MINUTE + writer);
            assert_eq!(store.keep(peer(writer), at), StoreResult::Stored);
        }
        let now = Mono(round * 50 * MINUTE + 9);
        let kept = peers(&store, 7, now);
        assert_eq!((kept.len(), store.records()), (3, 3));
        below(5, &kept)
            .iter()
            .for_each(|writer| left[*writer as usize] += 1);
        store.keep(peer(4), now);
        assert_eq!(store.records(), 3, "a writer's own entry needs no room");
    }
    assert_eq!(left[4], 60, "the newest is always in");
    assert!(left.iter().all(|times| *times > 5), "{left:?}");
}

/// Thirty announce and announce again; then others write under many tags while the thirty go on.
fn announcements_under_attack(settled: bool, tags: u64) -> usize {
    let mut store = store(&Config::test());
    let honest = 30;
    for at in [0, 17] {
        if at == 0 || settled {
            (0..honest).for_each(|writer| {
                store.keep(peer(writer), Mono(at * MINUTE));
            });
        }
    }
    for tag in 0..tags {
        store.keep(peer(1_000 + tag), Mono(18 * MINUTE + tag));
    }
    let everything = peers(&store, usize::MAX, Mono(19 * MINUTE));
    assert!(everything.len() <= Config::test().max_entries_per_key);
    below(honest, &everything).len()
}

#[test]
fn who_announced_again_is_not_pushed_out_by_many_tags() {
    for tags in [1_000, 5_000] {
        assert_eq!(announcements_under_attack(true, tags), 30);
        // Control: newcomers are pushed out by newcomers.
        assert!(announcements_under_attack(false, tags) < 5);
    }
}

#[test]
fn samples_hold_old_and_new_ones() {
    let mut store = store(&Config::test());
    for at in [0, 15] {
        (0..40).for_each(|writer| {
            store.keep(peer(writer), Mono(at * MINUTE));
        });
    }
    let now = Mono(16 * MINUTE);
    let old_in = |count: usize, store: &Store| {
        let sample = peers(store, count, now);
        (below(40, &sample).len(), sample.len())
    };
    assert_eq!(old_in(7, &store), (7, 7));
    store.keep(peer(100), now);
    assert_eq!(old_in(7, &store), (6, 7));
    (101..160).for_each(|writer| {
        store.keep(peer(writer), now);
    });
    assert_eq!(old_in(7, &store), (4, 7));
    assert_eq!(old_in(usize::MAX, &store), (40, 100));
}

#[test]
fn settled_announcements_have_half_of_the_places() {
    let mut store = store(&Config::test());
    for at in [0, 15, 30] {
        (0..100).for_each(|writer| {
            store.keep(peer(writer), Mono(at * MINUTE));
        });
    }
    for tag in 0..2_000 {
        store.keep(peer(1_000 + tag), Mono(31 * MINUTE + tag));
    }
    let kept = peers(&store, usize::MAX, Mono(32 * MINUTE));
    assert_eq!((below(100, &kept).len(), kept.len()), (50, 100));
}

#[test]
fn answers_are_samples_that_reach_every_entry() {
    let mut store = store(&Config::test());
    (0..30).for_each(|writer| assert_eq!(store.keep(peer(writer), Mono(0)), StoreResult::Stored));
    let mut random = StdRng::from_seed([2; 32]);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let sample = store.peers(&peer(0).key(), 7, Mono(1), &mut random);
        assert_eq!(sample.len(), 7);
        seen.extend(sample.iter().map(|entry| entry.writer));
    }
    assert_eq!(seen.len(), 30);
}

/// Values whose keys share so many bits with our id, which is 0.
fn sharing(bits: u32, from: u32) -> impl Iterator<Item = Record> {
    let shared = move |record: &Record| NodeId([0; 20]).distance(&record.key()).shared_bits();
    (from..)
        .map(value)
        .filter(move |record| shared(record) == bits)
}

fn kept(store: &Store, records: &[Record], now: Mono) -> usize {
    let is_kept = |record: &&Record| store.value(&record.key(), now).is_some();
    records.iter().filter(is_kept).count()
}

#[test]
fn whoever_fills_a_band_pushes_out_its_own() {
    let config = Config {
        max_stored_keys: 400,
        ..Config::test()
    };
    let mut store = store(&config);
    let honest: Vec<Record> = sharing(3, 0).take(50).collect();
    for record in &honest {
        store.keep(record.clone(), Mono(0));
    }
    // Nearer keys, as the old rule would have preferred them.
    for record in sharing(7, 1 << 20).take(2_000) {
        store.keep(record, Mono(1));
    }
    assert_eq!((store.keys(), kept(&store, &honest, Mono(2))), (400, 50));
    // Control: in the same band all are equal.
    for record in sharing(3, 1 << 21).take(4_000) {
        store.keep(record, Mono(3));
    }
    let left = kept(&store, &honest, Mono(4));
    assert!(left < 25, "{left}");
    // What ended makes room before anything else does.
    let new: Vec<Record> = sharing(3, 1 << 25).take(1).collect();
    assert_eq!(
        store.keep(new[0].clone(), Mono(121 * MINUTE)),
        StoreResult::Stored
    );
    assert_eq!(store.keys(), 1);
}

/// Fifty values that were stored again survive so many small ones of the same band; those that were not, do not.
#[test]
fn settled_values_survive_any_number_of_small_ones() {
    for flood in [4_096, 100_000] {
        let mut store = store(&Config::test());
        let honest: Vec<Record> = sharing(1, 0).take(100).collect();
        let (settled, fresh) = honest.split_at(50);
        for record in settled {
            store.keep(record.clone(), Mono(0));
            store.keep(record.clone(), Mono(55 * MINUTE));
        }
        for record in fresh {
            store.keep(record.clone(), Mono(55 * MINUTE));
        }
        for record in sharing(1, 1 << 20).take(flood) {
            store.keep(record, Mono(56 * MINUTE));
        }
        let now = Mono(57 * MINUTE);
        assert_eq!(kept(&store, settled, now), 50);
        assert!(store.keys() <= 4_096 && store.bytes() <= 32 << 20);
        // Control: of those that were not, nothing is left after the greater flood.
        let left = kept(&store, fresh, now);
        assert!(flood == 4_096 || left == 0, "{left}");
    }
}

#[test]
fn settled_keys_have_half_of_the_room() {
    let config = Config {
        max_stored_keys: 40,
        ..Config::test()
    };
    let mut store = store(&config);
    let early: Vec<Record> = sharing(1, 0).take(40).collect();
    for at in [0, 55, 110] {
        for record in &early {
            assert_eq!(
                store.keep(record.clone(), Mono(at * MINUTE)),
                StoreResult::Stored
            );
        }
    }
    for record in sharing(1, 1 << 20).take(2_000) {
        store.keep(record, Mono(111 * MINUTE));
    }
    assert_eq!(kept(&store, &early, Mono(112 * MINUTE)), 20);
}

#[test]
fn the_cap_of_bytes_holds() {
    let config = Config {
        max_stored_bytes: 1_000,
        ..Config::test()
    };
    let mut store = store(&config);
    for number in 0..100 {
        store.keep(value(number), Mono(0));
        store.keep(peer(u64::from(number)), Mono(0));
        assert!(store.bytes() <= 1_000);
    }
    assert!(store.records() > 2, "control");
}

#[test]
fn a_value_does_not_hide_the_peer_set_under_the_same_key() {
    let mut store = store(&Config::test());
    store.keep(peer(1), Mono(0));
    let blinded = PeerSet::of(&[9; 20]).blinded().to_vec();
    let twin = Record::Value(BoundedBytes::new(blinded.clone()).expect("fits"));
    assert_eq!(twin.key(), peer(1).key());
    store.keep(twin, Mono(0));
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
        None => Ok(store.keep(Record::Mutable(sent), now)),
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
    assert_eq!(store.keep(twin.clone(), Mono(0)), StoreResult::Full);
    put(&mut store, sent(3, b"1:a", None), Mono(0)).expect("stored");
    assert_eq!(
        store.keep(twin.clone(), Mono(0)),
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
    assert_eq!(store.keep(large(1), Mono(0)), StoreResult::Stored);
    for number in 0..50 {
        // The old one has ended, so it is forgotten before the new one is counted.
        store.keep(large(number), Mono(120 * MINUTE));
        store.keep(large(1), Mono(120 * MINUTE));
        assert!(store.bytes() <= 400, "{}", store.bytes());
    }
}
