use deut_common::suite::SuiteRef;
use rand::SeedableRng;

use super::*;
use crate::{records::announced::Announced, testing::secret};

const MINUTE: u64 = 60_000_000;

struct Fixture {
    published: Published,
    config: Config,
    random: StdRng,
}

fn fixture() -> Fixture {
    let mut random = StdRng::from_seed([1; 32]);
    Fixture {
        published: Published::new(&mut random),
        config: Config::production(),
        random,
    }
}

impl Fixture {
    fn keep(&mut self, publication: Publication) -> PublishedId {
        self.published
            .keep(publication, &self.config)
            .expect("kept")
    }

    fn announced(&mut self, id: PublishedId, at: usize, of: usize, now: u64) -> u64 {
        self.published
            .announced(id, (at, of), &self.config, Mono(now), &mut self.random);
        self.published.next_due(&self.config).expect("due again").0 - now
    }

    fn opened(&mut self, id: PublishedId) -> (Announced, [u8; 8]) {
        match self.published.record(id, &mut self.random) {
            Some(Record::Peer { entry, .. }) => (
                PeerSet::of(&[7; 20])
                    .open(&SuiteRef::default(), &entry)
                    .expect("opens"),
                entry.writer,
            ),
            other => panic!("{other:?}"),
        }
    }
}

fn persona(number: u64) -> Announced {
    Announced::Persona(secret(number).public())
}

fn announcement(what: Announced) -> Publication {
    Publication::Peer {
        infohash: [7; 20],
        what,
    }
}

#[test]
fn values_are_announced_again_after_50_to_60_minutes_and_entries_after_15_to_20() {
    let mut f = fixture();
    for _ in 0..50 {
        let value = f.keep(Publication::Value(vec![1]));
        assert!((50 * MINUTE..=60 * MINUTE).contains(&f.announced(value, 8, 8, 5)));
        f.published.forget(value);
        let entry = f.keep(announcement(persona(1)));
        assert!((15 * MINUTE..=20 * MINUTE).contains(&f.announced(entry, 4, 8, 5)));
        f.published.forget(entry);
    }
}

/// Announces a record once for each range, always with this outcome, and checks that each pause, in seconds, is in its range.
fn pauses(f: &mut Fixture, id: PublishedId, (at, of): (usize, usize), ranges: &[(u64, u64)]) {
    for (number, (from, to)) in ranges.iter().enumerate() {
        let pause = f.announced(id, at, of, 5);
        let range = from * 1_000_000..=to * 1_000_000;
        assert!(range.contains(&pause), "{number}: {pause}");
    }
}

#[test]
fn what_is_stored_nowhere_is_announced_again_soon_at_first() {
    let mut f = fixture();
    let value = f.keep(Publication::Value(vec![1]));
    let nobody_answers = [(5, 10), (10, 20), (20, 40), (30, 60), (30, 60)];
    pauses(&mut f, value, (0, 0), &nobody_answers);
}

/// Number of announcements in an hour if `at` of eight nodes store the record each time.
fn announcements(publication: Publication, at: usize) -> u32 {
    let mut f = fixture();
    let id = f.keep(publication);
    let (mut now, mut count) = (0, 0);
    while now < 60 * MINUTE {
        now += f.announced(id, at, 8, now);
        count += 1;
    }
    count
}

/// An attacker who holds the nodes at a key and refuses to store cannot make its publisher come again and again.
#[test]
fn who_refuses_to_store_brings_about_few_announcements() {
    let entry = || announcement(persona(1));
    let value = || Publication::Value(vec![1]);
    assert!(announcements(entry(), 0) <= 11);
    assert!(announcements(value(), 0) <= 10);
    assert!(announcements(entry(), 8) <= 4 && announcements(value(), 8) <= 2);
}

#[test]
fn what_is_stored_at_few_nodes_is_announced_again_soon_at_first() {
    let mut f = fixture();
    let value = f.keep(Publication::Value(vec![1]));
    let few_known = [(5, 10), (10, 20), (20, 40), (30, 60), (30, 60), (30, 60)];
    pauses(&mut f, value, (2, 2), &few_known);
    pauses(&mut f, value, (8, 8), &[(3_000, 3_600)]);
    pauses(&mut f, value, (7, 7), &few_known);
    pauses(&mut f, value, (8, 8), &[(3_000, 3_600)]);
    let few_took_it = [(5, 10), (10, 20), (20, 40), (40, 80), (80, 160), (160, 320)];
    pauses(&mut f, value, (1, 8), &few_took_it);
    pauses(
        &mut f,
        value,
        (3, 8),
        &[
            (320, 640),
            (640, 1_280),
            (1_280, 2_560),
            (2_560, 3_600),
            (3_000, 3_600),
        ],
    );
    pauses(&mut f, value, (4, 8), &[(3_000, 3_600)]);
}

#[test]
fn few_announcements_run_at_once_and_the_cap_refuses_new_ones() {
    let mut f = fixture();
    f.config.max_published = 5;
    let ids: Vec<_> = (0..5)
        .map(|number| f.keep(Publication::Value(vec![number])))
        .collect();
    assert_eq!(
        f.published.keep(Publication::Value(vec![9]), &f.config),
        Err(Refusal::TooManyPublished)
    );
    assert_eq!(
        f.keep(Publication::Value(vec![3])),
        ids[3],
        "the same again is no new one"
    );
    ids.iter().for_each(|id| {
        f.published
            .announced(*id, (8, 8), &f.config, Mono(0), &mut f.random);
    });
    let late = Mono(61 * MINUTE);
    let first = f.published.take_due(&f.config, late).expect("due");
    assert!(f.published.take_due(&f.config, late).is_some());
    assert_eq!(f.published.take_due(&f.config, late), None);
    assert_eq!(
        f.published.next_due(&f.config),
        None,
        "or the caller would turn in circles"
    );
    f.published
        .announced(first, (8, 8), &f.config, late, &mut f.random);
    assert!(f.published.take_due(&f.config, late).is_some());
}

#[test]
fn announcements_of_our_own_persona_follow_it_under_the_same_tag() {
    let mut f = fixture();
    let Announced::Persona(first) = persona(1) else {
        unreachable!()
    };
    let Announced::Persona(second) = persona(2) else {
        unreachable!()
    };
    f.published.set_persona(Some(first), Mono(0), &mut f.random);
    let own = f.keep(announcement(persona(1)));
    let foreign = f.keep(announcement(persona(3)));
    let before = f.opened(own);
    f.announced(own, 8, 8, 0);
    f.announced(foreign, 8, 8, 0);

    f.published.set_persona(None, Mono(1), &mut f.random);
    assert_eq!(
        f.published.take_due(&f.config, Mono(30 * MINUTE)),
        Some(foreign)
    );
    assert_eq!(
        f.published.take_due(&f.config, Mono(30 * MINUTE)),
        None,
        "no persona, no announcement of it"
    );

    f.published
        .set_persona(Some(second), Mono(40 * MINUTE), &mut f.random);
    assert_eq!(
        f.published.take_due(&f.config, Mono(41 * MINUTE)),
        Some(own)
    );
    let after = f.opened(own);
    assert_eq!((before.0, after.0), (persona(1), persona(2)));
    assert_eq!(before.1, after.1);
    assert_eq!(f.opened(foreign).0, persona(3));
}

#[test]
fn tags_of_different_infohashes_nodes_and_addresses_differ() {
    let (f, other) = (fixture(), Published::new(&mut StdRng::from_seed([2; 32])));
    let address = |port| Announced::Address(([192, 0, 2, 1], port).into());
    let tags = [
        f.published.writer_tag(&[7; 20], &persona(1)),
        f.published.writer_tag(&[8; 20], &persona(1)),
        f.published.writer_tag(&[7; 20], &address(1)),
        f.published.writer_tag(&[7; 20], &address(2)),
        other.writer_tag(&[7; 20], &persona(1)),
    ];
    assert_eq!(
        tags.iter().collect::<std::collections::BTreeSet<_>>().len(),
        5
    );
}

#[test]
fn a_record_is_sealed_afresh_each_time() {
    let mut f = fixture();
    let id = f.keep(announcement(persona(1)));
    let records = [
        f.published.record(id, &mut f.random),
        f.published.record(id, &mut f.random),
    ];
    assert!(records[0].is_some() && records[0] != records[1]);
}

fn version(seed: u8, seq: i64, value: &[u8]) -> MutableRecord {
    MutableRecord::sign(&[seed; 32], Vec::new(), seq, value.to_vec()).expect("signs")
}

impl Fixture {
    fn keep_mutable(
        &mut self,
        record: MutableRecord,
        cas: Option<i64>,
    ) -> Result<PublishedId, Refusal> {
        self.published.keep_mutable(record, cas, &self.config)
    }

    fn kept_seq(&mut self, id: PublishedId) -> Option<i64> {
        match self.published.record(id, &mut self.random) {
            Some(Record::Mutable(sent)) => {
                assert_eq!(sent.cas, None, "announcing again expects nothing");
                Some(sent.version.seq)
            }
            None => None,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_mutable_record_is_announced_again_like_a_value_and_a_newer_version_takes_its_place() {
    let mut f = fixture();
    let id = f.keep_mutable(version(1, 1, b"1:a"), None).expect("kept");
    assert!((50 * MINUTE..=60 * MINUTE).contains(&f.announced(id, 8, 8, 5)));
    assert_eq!(
        f.keep_mutable(version(1, 1, b"1:a"), None),
        Ok(id),
        "the same again"
    );
    assert_eq!(f.keep_mutable(version(1, 2, b"1:b"), Some(1)), Ok(id));
    assert_eq!(f.kept_seq(id), Some(2));
    assert_ne!(
        f.keep_mutable(version(2, 1, b"1:a"), None),
        Ok(id),
        "another signer's"
    );
    assert_eq!(f.published.len(), 2);
    for (record, cas) in [
        (version(1, 1, b"1:a"), None),
        (version(1, 2, b"1:c"), None),
        (version(1, 3, b"1:c"), Some(1)),
    ] {
        let refused = Err(Refusal::OtherVersionPublished(2));
        assert_eq!(f.keep_mutable(record, cas), refused);
    }
    assert_eq!(f.kept_seq(id), Some(2));
}

#[test]
fn a_newer_version_that_is_seen_ends_the_publication() {
    let mut f = fixture();
    let id = f.keep_mutable(version(1, 5, b"1:b"), None).expect("kept");
    let other = f.keep_mutable(version(2, 5, b"1:b"), None).expect("kept");
    let key = version(1, 0, b"1:a").key().clone();
    for harmless in [version(1, 4, b"1:z"), version(1, 5, b"1:b")] {
        assert_eq!(f.published.saw(&key, harmless.version()), None);
    }
    assert_eq!(f.kept_seq(id), Some(5), "control");
    assert_eq!(
        f.published.saw(&key, version(1, 6, b"1:a").version()),
        Some(5)
    );
    assert_eq!((f.kept_seq(id), f.kept_seq(other)), (None, Some(5)));
    let key = version(2, 0, b"1:a").key().clone();
    let lesser = version(2, 5, b"1:a");
    assert_eq!(
        f.published.saw(&key, lesser.version()),
        None,
        "readers take ours"
    );
    let twin = version(2, 5, b"1:c");
    assert_eq!(
        f.published.saw(&key, twin.version()),
        Some(5),
        "its number with a value that readers prefer"
    );
}
