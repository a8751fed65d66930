//! Mutable records at one node in a hostile world.
use super::*;
use crate::records::mutable::{MutableRecord, SentMutable, Version};

pub(super) fn record(seq: i64, value: &[u8]) -> MutableRecord {
    MutableRecord::sign(&[1; 32], b"salt".to_vec(), seq, value.to_vec()).expect("signs")
}

fn forged(seq: i64) -> Version {
    let mut version = record(seq, b"1:f").version().clone();
    version.signature[0] ^= 1;
    version
}

impl Rig {
    /// Stores with a fresh token.
    fn store_mutable(&mut self, sent: SentMutable) -> Answer {
        let record = Record::Mutable(sent);
        let token = self.token(record.key());
        self.ask(&Request::Store { token, record })
            .expect("answered")
    }

    fn kept(&mut self) -> Option<Version> {
        let key = record(0, b"1:a").key().dht_key();
        let kind = RecordKind::Mutable;
        match self.ask(&Request::FindValue { kind, key }) {
            Some(Answer::Mutable { version, .. }) => Some(version),
            Some(Answer::Nodes { .. }) => None,
            other => panic!("{other:?}"),
        }
    }
}

fn mutable(version: &Version) -> Answer {
    Answer::Mutable {
        token: [9; 8],
        version: version.clone(),
    }
}

fn get(min_seq: Option<i64>) -> Query {
    Query::GetMutable {
        of: record(0, b"1:a").key().clone(),
        min_seq,
    }
}

#[test]
fn a_storing_node_refuses_each_with_its_reason_and_proves_it() {
    let mut rig = Rig::with_persona(Config::test());
    let stored = Answer::Stored(StoreResult::Stored);
    let newest = record(5, b"1:a");
    assert_eq!(rig.store_mutable(newest.to_sent(None)), stored);
    for (sent, conflict, reason) in [
        (
            record(4, b"1:b").to_sent(None),
            Conflict::OldSequence,
            DropReason::OldSequence,
        ),
        (
            record(5, b"1:b").to_sent(None),
            Conflict::SameSequence,
            DropReason::SameSequence,
        ),
        (
            record(6, b"1:b").to_sent(Some(4)),
            Conflict::CasMismatch,
            DropReason::CasMismatch,
        ),
    ] {
        let kept = newest.version().clone();
        assert_eq!(rig.store_mutable(sent), Answer::Conflict { conflict, kept });
        assert_eq!(rig.persona_drops(reason), 1, "{reason:?}");
    }
    let mut bad = record(6, b"1:b").to_sent(None);
    bad.version = forged(6);
    assert_eq!(
        rig.store_mutable(bad),
        Answer::Stored(StoreResult::BadRecord)
    );
    let mut bad = record(6, b"1:b").to_sent(None);
    bad.version.seq = 7;
    assert_eq!(
        rig.store_mutable(bad),
        Answer::Stored(StoreResult::BadRecord)
    );
    assert_eq!(rig.persona_drops(DropReason::ForgedRecord), 2);
    assert_eq!(rig.kept().as_ref(), Some(newest.version()));
    assert_eq!(
        rig.store_mutable(newest.to_sent(Some(1))),
        stored,
        "the same again"
    );
    assert_eq!(
        rig.store_mutable(record(6, b"1:b").to_sent(Some(5))),
        stored,
        "control"
    );
    assert_eq!(rig.kept().map(|version| version.seq), Some(6));
}

#[test]
fn a_weak_key_stores_nothing() {
    let mut rig = Rig::with_persona(Config::test());
    let mut weak = record(1, b"1:a").to_sent(None);
    weak.public = [0; 32];
    weak.public[0] = 1;
    weak.version.signature = [0; 64];
    weak.version.signature[0] = 1;
    assert_eq!(
        rig.store_mutable(weak),
        Answer::Stored(StoreResult::BadRecord)
    );
    assert_eq!(rig.persona_drops(DropReason::ForgedRecord), 1);
}

#[test]
fn an_answer_names_neither_public_key_nor_salt() {
    let mut rig = Rig::with_persona(Config::test());
    let sent = record(5, b"1:a").to_sent(None);
    rig.store_mutable(sent.clone());
    let body = mutable(&rig.kept().expect("kept")).to_body();
    let contains = |needle: &[u8]| body.windows(needle.len()).any(|window| window == needle);
    assert!(!contains(&sent.public) && !contains(b"salt"));
    assert!(contains(b"1:a"), "control");
}

/// A query asks three nodes for the record. Returns their tickets.
fn three_asked(rig: &mut Rig) -> [RpcTicket; 3] {
    let first = rig.query(get(None));
    rig.respond(
        first,
        &nodes(&[contact(2, 10), contact(3, 10), contact(4, 10)]),
    );
    [2, 3, 4].map(|number| rig.last(number).ticket)
}

#[test]
fn the_reader_asks_on_and_takes_the_highest_number() {
    let mut rig = Rig::new(Config::test());
    let [two, three, four] = three_asked(&mut rig);
    rig.respond(two, &mutable(record(4, b"1:b").version()));
    assert!(rig.results.is_empty(), "the first answer is not the end");
    rig.respond(three, &mutable(record(5, b"1:a").version()));
    rig.respond(four, &mutable(record(4, b"1:b").version()));
    let expected = QueryResult::Mutable {
        record: record(5, b"1:a"),
        given_by: 1,
        older_by: 2,
    };
    assert_eq!(rig.results, [expected]);
}

#[test]
fn forged_versions_are_refused_and_counted_and_the_search_goes_on() {
    let mut rig = Rig::new(Config::test());
    let [two, three, four] = three_asked(&mut rig);
    rig.respond(two, &mutable(&forged(9)));
    // A version with another salt, so of another record.
    let other = MutableRecord::sign(&[1; 32], b"pepper".to_vec(), 9, b"1:o".to_vec());
    rig.respond(three, &mutable(other.expect("signs").version()));
    assert_eq!(rig.user_drops(DropReason::ForgedRecord), 2);
    rig.respond(four, &mutable(record(5, b"1:a").version()));
    let expected = QueryResult::Mutable {
        record: record(5, b"1:a"),
        given_by: 1,
        older_by: 0,
    };
    assert_eq!(rig.results, [expected]);
}

#[test]
fn versions_below_the_wanted_number_are_not_taken() {
    for (min_seq, expected) in [
        (6, QueryResult::OnlyOlder { seq: 5 }),
        (
            5,
            QueryResult::Mutable {
                record: record(5, b"1:a"),
                given_by: 1,
                older_by: 0,
            },
        ),
    ] {
        let mut rig = Rig::new(Config::test());
        let first = rig.query(get(Some(min_seq)));
        rig.respond(first, &mutable(record(5, b"1:a").version()));
        assert_eq!(rig.results, [expected]);
    }
}

#[test]
fn a_version_nobody_asked_for_is_an_unexpected_answer() {
    let mut rig = Rig::new(Config::test());
    let key = NodeId([1; 20]);
    let first = rig.query(Query::GetValue { key });
    rig.respond(first, &mutable(record(5, b"1:a").version()));
    assert_eq!(rig.user_drops(DropReason::UnexpectedAnswer), 1);
}

/// Puts a version. Returns the ticket of its STORE at the only node.
fn putting(rig: &mut Rig, record: MutableRecord, cas: Option<i64>) -> RpcTicket {
    let first = rig.query(Query::PutMutable { record, cas });
    rig.respond(first, &nodes(&[]));
    assert!(matches!(rig.last(1).request, Request::Store { .. }));
    rig.last(1).ticket
}

fn conflict(kept: &Version) -> Answer {
    Answer::Conflict {
        conflict: Conflict::OldSequence,
        kept: kept.clone(),
    }
}

#[test]
fn a_conflict_ends_a_put_and_it_is_not_published() {
    for (put, cas, kept) in [
        (record(5, b"1:a"), None, record(6, b"1:b")),
        (record(5, b"1:a"), None, record(5, b"1:b")),
        (record(5, b"1:a"), Some(3), record(4, b"1:b")),
        // No node took it, so it failed, although the kept version is old.
        (record(5, b"1:a"), Some(3), record(2, b"1:b")),
    ] {
        let mut rig = Rig::new(Config::test());
        let store = putting(&mut rig, put, cas);
        rig.respond(store, &conflict(kept.version()));
        let expected = QueryResult::Conflict { kept, at: 0 };
        assert_eq!(rig.results, [expected]);
        assert_eq!(rig.dht.audit().published, 0);
        assert!(rig.superseded.is_empty(), "the outcome says it");
    }
}

#[test]
fn a_refusal_without_proof_stops_nothing() {
    let mut rig = Rig::new(Config::test());
    let store = putting(&mut rig, record(5, b"1:a"), None);
    rig.respond(store, &conflict(&forged(9)));
    assert_eq!(rig.user_drops(DropReason::ForgedRecord), 1);
    assert!(matches!(
        rig.results[..],
        [QueryResult::Stored { at: 0, of: 1, .. }]
    ));
    assert_eq!(rig.dht.audit().published, 1, "it is tried again");
}

#[test]
fn a_publisher_that_sees_a_newer_version_gives_up_its_own_and_says_so() {
    for by_reading in [true, false] {
        let mut rig = Rig::new(Config::test());
        let store = putting(&mut rig, record(5, b"1:a"), None);
        rig.respond(store, &Answer::Stored(StoreResult::Stored));
        assert_eq!(rig.dht.audit().published, 1);
        let newer = record(6, b"1:b");
        if by_reading {
            rig.input(DhtInput::Start(QueryTicket(2), get(None)));
            let ticket = rig.last(1).ticket;
            rig.respond(ticket, &mutable(newer.version()));
        } else {
            let again = rig.sent.len();
            rig.later(61_000_000); // stored at few nodes: soon again
            let ticket = rig.last(1).ticket;
            assert!(rig.sent.len() > again, "announced again");
            rig.respond(ticket, &nodes(&[]));
            let ticket = rig.last(1).ticket;
            rig.respond(ticket, &conflict(newer.version()));
        }
        assert_eq!(rig.superseded, [(5, 6)]);
        let audit = rig.dht.audit();
        assert_eq!((audit.published, audit.superseded), (0, 1));
        let sent = rig.sent.len();
        (0..5).for_each(|_| rig.later(900_000_000));
        assert_eq!(rig.sent.len(), sent, "it is not announced any more");
    }
}

#[test]
fn an_older_version_at_one_node_does_not_end_a_publication() {
    let mut rig = Rig::new(Config::test());
    let store = putting(&mut rig, record(5, b"1:a"), None);
    rig.respond(store, &Answer::Stored(StoreResult::Stored));
    rig.input(DhtInput::Start(QueryTicket(2), get(None)));
    let ticket = rig.last(1).ticket;
    rig.respond(ticket, &mutable(record(4, b"1:b").version()));
    assert!(rig.superseded.is_empty());
    assert_eq!(rig.dht.audit().published, 1);
}

#[test]
fn this_node_refuses_to_put_a_version_below_the_one_it_publishes() {
    let mut rig = Rig::new(Config::test());
    let store = putting(&mut rig, record(5, b"1:a"), None);
    rig.respond(store, &Answer::Stored(StoreResult::Stored));
    let query = Query::PutMutable {
        record: record(4, b"1:a"),
        cas: None,
    };
    rig.input(DhtInput::Start(QueryTicket(2), query));
    let refused = QueryResult::Refused(crate::query::Refusal::OtherVersionPublished(5));
    assert_eq!(rig.results.last(), Some(&refused));
}

/// Puts a version among six nodes of which two keep a record. Returns how many are asked to store if each answers `to_each`.
fn stores_sent(to_each: &Answer) -> usize {
    let key = record(5, b"1:a").key().dht_key();
    let mut all: Vec<Contact> = (1..=6).map(|number| contact(number, 10)).collect();
    all.sort_by_key(|contact| std::cmp::Reverse(key.distance(&contact.id())));
    let mut rig = Rig::new(Config {
        width: 2,
        ..Config::test()
    });
    // Only the farthest is known; each knows the next two, so all are asked on the way.
    let farthest = all[0].as_bytes().to_vec();
    rig.input(DhtInput::Seeds(OnBehalf::User, vec![farthest]));
    let query = Query::PutMutable {
        record: record(5, b"1:a"),
        cas: None,
    };
    rig.input(DhtInput::Start(QueryTicket(1), query));
    let (mut next, mut stores) = (0, 0);
    while let Some(sent) = rig.sent.get(next) {
        next += 1;
        let (ticket, is_store) = (sent.ticket, matches!(sent.request, Request::Store { .. }));
        let place = all.iter().position(|contact| contact.id() == sent.to);
        let closer = all.iter().skip(place.expect("one of them") + 1).take(2);
        let closer = nodes(&closer.cloned().collect::<Vec<_>>());
        stores += usize::from(is_store);
        rig.respond(ticket, if is_store { to_each } else { &closer });
    }
    assert_eq!(rig.results.len(), 1);
    stores
}

#[test]
fn a_version_that_another_one_stands_against_is_not_carried_to_further_nodes() {
    let refusal = Answer::Stored(StoreResult::Full);
    assert!(
        stores_sent(&refusal) > 2,
        "control: others step in for those without room"
    );
    assert_eq!(stores_sent(&conflict(record(6, b"1:b").version())), 2);
}
