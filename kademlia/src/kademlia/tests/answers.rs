//! Answers and offers of other nodes.
use super::*;

#[test]
fn a_value_that_does_not_hash_to_its_key_is_refused_and_the_search_goes_on() {
    let mut rig = Rig::new(Config::test());
    let ticket = rig.query(Query::GetValue {
        key: NodeId::hash_of(b"hi"),
    });
    rig.respond(ticket, &nodes(&[contact(2, 10), contact(3, 10)]));
    let (second, third) = (rig.last(2).ticket, rig.last(3).ticket);
    rig.respond(
        second,
        &Answer::Value {
            token: [9; 8],
            value: value(b"ho"),
        },
    );
    assert_eq!(rig.user_drops(DropReason::ForgedValue), 1);
    assert!(rig.results.is_empty());
    rig.respond(
        third,
        &Answer::Value {
            token: [9; 8],
            value: value(b"hi"),
        },
    );
    assert_eq!(rig.results, [QueryResult::Value(b"hi".to_vec())]);
}

#[test]
fn forged_entries_are_refused_and_good_ones_beside_them_used() {
    let mut rig = Rig::new(Config::test());
    let ticket = rig.query(Query::GetPeers { infohash: [1; 20] });
    let entry = |record| match record {
        Record::Peer { entry, .. } => entry,
        Record::Mutable(_) | Record::Value(_) => unreachable!(),
    };
    let peers = |entries: Vec<_>| Answer::Peers {
        token: [9; 8],
        entries: Bounded::first_of(entries),
    };
    rig.respond(ticket, &nodes(&[contact(2, 10), contact(3, 10)]));
    let (second, third) = (rig.last(2).ticket, rig.last(3).ticket);
    rig.respond(second, &peers(vec![entry(peer_record(2, 1))]));
    assert_eq!(
        rig.user_drops(DropReason::ForgedEntry),
        2,
        "the entry, and the answer that held nothing else"
    );
    rig.respond(
        third,
        &peers(vec![entry(peer_record(2, 1)), entry(peer_record(1, 1))]),
    );
    assert_eq!(rig.user_drops(DropReason::ForgedEntry), 3);
    // The announced persona is searched for, and found at the node that is left.
    let search = rig.sent.iter().rposition(|sent| {
        sent.request
            == Request::FindNode {
                target: secret(5).id(),
                sender: None,
            }
            && sent.to == contact(1, 10).id()
    });
    let search = rig.sent[search.expect("searched")].ticket;
    rig.respond(search, &nodes(&[contact(5, 10)]));
    // The persona also gets a PING.
    let contact_of_five = contact(5, 10).to_raw();
    let ping = rig.last(5).ticket;
    rig.respond(
        ping,
        &Answer::Pong {
            contact: contact_of_five,
        },
    );
    let found = match rig.results.pop() {
        Some(QueryResult::Peers(found)) => found,
        other => panic!("{other:?}"),
    };
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].what, Announced::Persona(secret(5).public()));
    assert_eq!(found[0].contact, Some(contact(5, 10)));
    assert_eq!(found[0].reachable, Some(true));
}

#[test]
fn forged_contacts_in_an_answer_are_not_asked_and_the_others_are() {
    let mut rig = Rig::new(Config::test());
    let ticket = rig.query(Query::FindNode {
        target: NodeId([1; 20]),
    });
    let mut forged = contact(2, 10).as_bytes().to_vec();
    *forged.last_mut().expect("bytes") ^= 1;
    let contacts = Bounded::first_of([raw(&forged), contact(3, 10).to_raw()]);
    rig.respond(
        ticket,
        &Answer::Nodes {
            token: [9; 8],
            contacts,
        },
    );
    assert_eq!(
        rig.user_drops(DropReason::Contact(ContactError::BadSignature)),
        1
    );
    assert!(rig.sent.iter().all(|sent| sent.to != contact(2, 10).id()));
    assert!(
        rig.sent.iter().any(|sent| sent.to == contact(3, 10).id()),
        "control"
    );
}

#[test]
fn answers_of_the_wrong_kind_or_to_nothing_are_counted() {
    let mut rig = Rig::new(Config::test());
    let ticket = rig.query(Query::FindNode {
        target: NodeId([1; 20]),
    });
    let good = nodes(&[]);
    rig.respond(RpcTicket(u64::MAX - 1), &good);
    rig.respond(RpcTicket(u64::MAX), &good);
    assert_eq!(rig.user_drops(DropReason::UnknownTicket), 1);
    assert_eq!(
        rig.dht
            .audit()
            .without_persona
            .of(DropReason::UnknownTicket),
        1
    );
    rig.respond(
        ticket,
        &Answer::Value {
            token: [9; 8],
            value: value(b"hi"),
        },
    );
    assert_eq!(rig.user_drops(DropReason::UnexpectedAnswer), 1);
    rig.respond(ticket, &good);
    assert_eq!(
        rig.user_drops(DropReason::UnknownTicket),
        2,
        "a ticket is used up by its answer"
    );
}

#[test]
fn seeds_are_verified_and_a_share_of_them_taken() {
    let mut rig = Rig::new(Config {
        seeds_per_answer: 2,
        ..Config::test()
    });
    let seeds = (1..=8)
        .map(|number| contact(number, 10).as_bytes().to_vec())
        .collect();
    rig.input(DhtInput::Seeds(OnBehalf::User, seeds));
    assert_eq!(rig.dht.user_contacts(&rig.now).len(), 2);
    assert_eq!(rig.user_drops(DropReason::TooManySeeds), 6);
    rig.input(DhtInput::Seeds(
        OnBehalf::User,
        vec![vec![1; 100], Vec::new()],
    ));
    assert_eq!(
        rig.user_drops(DropReason::Contact(ContactError::Malformed)),
        2
    );
}

#[test]
fn seeds_are_wanted_at_once_then_once_a_second_and_more_seldom_the_more_contacts_there_are() {
    let mut dht = Kademlia::new(Config::test(), [3; 32], &NOW);
    let mut wanted = |micros: u64, input: DhtInput| {
        let now = Now {
            mono: Mono(micros),
            ..NOW
        };
        dht.handle_input(&now, input);
        let mut wanted = 0;
        loop {
            match dht.poll_output(&now) {
                DhtOutput::WantSeeds(OnBehalf::User) => wanted += 1,
                DhtOutput::Wait { until, .. } => return (wanted, until),
                _ => {}
            }
        }
    };
    assert_eq!(wanted(0, DhtInput::Timeout), (1, Some(Mono(1_000_000))));
    assert_eq!(wanted(999_999, DhtInput::Timeout).0, 0);
    assert_eq!(wanted(1_000_000, DhtInput::Timeout).0, 1);
    let seeds = |count| {
        (1..=count)
            .map(|number| contact(number, 10).as_bytes().to_vec())
            .collect()
    };
    assert_eq!(
        wanted(1_000_001, DhtInput::Seeds(OnBehalf::User, seeds(3))),
        (0, Some(Mono(2_000_000)))
    );
    assert_eq!(
        wanted(1_000_002, DhtInput::Seeds(OnBehalf::User, seeds(8))),
        (0, Some(Mono(11_000_000)))
    );
    assert_eq!(wanted(10_999_999, DhtInput::Timeout).0, 0);
    assert_eq!(wanted(11_000_000, DhtInput::Timeout).0, 1);
}
