//! Requests of other nodes to the persona.
use super::*;

#[test]
fn all_four_rpcs_are_answered() {
    let mut rig = Rig::with_persona(Config::test());
    let own = rig
        .dht
        .persona_contact(&rig.now)
        .expect("a contact")
        .to_raw();
    assert_eq!(
        rig.ask(&Request::Ping { sender: None }),
        Some(Answer::Pong { contact: own })
    );
    let key = NodeId::hash_of(b"hi");
    let token = rig.token(key);
    assert_eq!(
        rig.ask(&Request::FindValue {
            kind: RecordKind::Value,
            key
        }),
        Some(Answer::Nodes {
            token,
            contacts: Bounded::first_of([])
        })
    );
    assert_eq!(
        rig.store(token, Record::Value(value(b"hi"))),
        StoreResult::Stored
    );
    assert_eq!(
        rig.ask(&Request::FindValue {
            kind: RecordKind::Value,
            key
        }),
        Some(Answer::Value {
            token,
            value: value(b"hi")
        })
    );
    assert!(matches!(
        rig.ask(&Request::FindValue {
            kind: RecordKind::Peers,
            key
        }),
        Some(Answer::Nodes { .. })
    ));
    assert_eq!(rig.dht.audit().requests_answered, 6);
    assert_eq!(rig.dht.audit().persona.drops.total(), 0);
}

#[test]
fn a_store_needs_a_fresh_token_for_its_own_key() {
    let mut rig = Rig::with_persona(Config::test());
    let record = || Record::Value(value(b"hi"));
    let token = rig.token(record().key());
    let foreign = rig.token(NodeId([1; 20]));
    assert_eq!(rig.store(foreign, record()), StoreResult::BadToken);
    assert_eq!(rig.store([0; 8], record()), StoreResult::BadToken);
    assert_eq!(rig.store(token, record()), StoreResult::Stored, "control");
    rig.later(301_000_000);
    assert_eq!(
        rig.store(token, record()),
        StoreResult::Stored,
        "the secret before is accepted"
    );
    rig.later(300_000_000);
    assert_eq!(rig.store(token, record()), StoreResult::BadToken);
    assert_eq!(rig.persona_drops(DropReason::BadToken), 3);
}

#[test]
fn a_stored_entry_must_be_signed_by_the_blinded_key() {
    let mut rig = Rig::with_persona(Config::test());
    let good = peer_record(1, 1);
    let token = rig.token(good.key());
    let (Record::Peer { blinded, entry }, Record::Peer { entry: foreign, .. }) =
        (good.clone(), peer_record(2, 1))
    else {
        unreachable!()
    };
    assert_eq!(
        rig.store(
            token,
            Record::Peer {
                blinded,
                entry: foreign
            }
        ),
        StoreResult::BadRecord
    );
    assert_eq!(rig.persona_drops(DropReason::ForgedEntry), 1);
    let key = good.key();
    assert!(matches!(
        rig.ask(&Request::FindValue {
            kind: RecordKind::Peers,
            key
        }),
        Some(Answer::Nodes { .. })
    ));
    assert_eq!(rig.store(token, good), StoreResult::Stored, "control");
    match rig.ask(&Request::FindValue {
        kind: RecordKind::Peers,
        key,
    }) {
        Some(Answer::Peers { entries, .. }) => assert_eq!(entries.into_vec(), [entry]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_store_says_so() {
    let mut rig = Rig::with_persona(Config {
        max_stored_bytes: 200,
        ..Config::test()
    });
    let record = |number: u8| Record::Value(value(&[number; 60]));
    let mut results = Vec::new();
    for number in 0..20 {
        let token = rig.token(record(number).key());
        results.push(rig.store(token, record(number)));
    }
    assert_eq!(results[0], StoreResult::Stored, "control");
    assert!(results.contains(&StoreResult::Full));
    assert!(rig.persona_drops(DropReason::StoreFull) > 0);
}

#[test]
fn without_persona_or_addresses_nothing_is_answered() {
    let ping = Request::Ping { sender: None };
    let mut rig = Rig::new(Config::test());
    assert_eq!(rig.ask(&ping), None);
    assert_eq!(rig.dht.audit().without_persona.of(DropReason::NoPersona), 1);
    rig.input(DhtInput::Persona(Some(secret(0))));
    assert_eq!(rig.ask(&ping), None, "no addresses yet");
    assert_eq!(rig.persona_drops(DropReason::NoPersona), 1);
    let until = Unix(rig.now.unix.0 + 600);
    rig.input(DhtInput::OwnAddresses(vec![(
        address("10.0.0.0:20000"),
        until,
    )]));
    assert!(rig.ask(&ping).is_some(), "control");
    rig.input(DhtInput::OwnAddresses(Vec::new()));
    assert_eq!(rig.ask(&ping), None, "no addresses any more");
    rig.input(DhtInput::Persona(None));
    assert_eq!(rig.ask(&ping), None);
}

#[test]
fn a_new_persona_has_nothing_of_the_old_one() {
    let mut rig = Rig::with_persona(Config::test());
    let token = rig.token(NodeId::hash_of(b"hi"));
    rig.store(token, Record::Value(value(b"hi")));
    rig.ask(&Request::Ping {
        sender: Some(contact(1, 10).to_raw()),
    });
    let first = rig.last(1);
    let (ticket, group) = (first.ticket, first.group);
    rig.input(DhtInput::Persona(Some(secret(9))));
    assert!(rig.ended.contains(&group), "what was under way is given up");
    let until = Unix(rig.now.unix.0 + 600);
    rig.input(DhtInput::OwnAddresses(vec![(
        address("10.0.0.0:20000"),
        until,
    )]));
    assert_eq!(rig.dht.audit().stored_keys, 0);
    assert!(rig.dht.table(&rig.now).is_empty());
    assert_eq!(
        rig.store(token, Record::Value(value(b"hi"))),
        StoreResult::BadToken,
        "its secrets are others"
    );
    rig.input(DhtInput::Response(
        ticket,
        Answer::Stored(StoreResult::Stored).to_body(),
    ));
    assert_eq!(rig.persona_drops(DropReason::UnknownTicket), 1);
    rig.ask(&Request::Ping {
        sender: Some(contact(1, 10).to_raw()),
    });
    assert!(rig.last(1).ticket > ticket, "no ticket twice");
}

#[test]
fn a_sender_enters_the_table_only_after_it_answered_a_ping() {
    let mut rig = Rig::with_persona(Config::test());
    let sender = contact(1, 10);
    rig.ask(&Request::FindNode {
        target: NodeId([1; 20]),
        sender: Some(sender.to_raw()),
    });
    assert!(rig.dht.table(&rig.now).is_empty());
    let Sent {
        ticket, request, ..
    } = rig.last(1);
    assert!(matches!(request, Request::Ping { sender: Some(_) }));
    // A PONG of another persona is refused, and so is a forged one.
    let (ticket, mut forged) = (*ticket, sender.as_bytes().to_vec());
    *forged.last_mut().expect("bytes") ^= 1;
    for (answer, reason) in [
        (
            Answer::Pong {
                contact: contact(2, 10).to_raw(),
            },
            DropReason::UnexpectedAnswer,
        ),
        (
            Answer::Pong {
                contact: raw(&forged),
            },
            DropReason::Contact(ContactError::BadSignature),
        ),
        (
            Answer::Stored(StoreResult::Stored),
            DropReason::UnexpectedAnswer,
        ),
    ] {
        let mut twin = Rig::with_persona(Config::test());
        twin.ask(&Request::FindNode {
            target: NodeId([1; 20]),
            sender: Some(sender.to_raw()),
        });
        twin.respond(ticket, &answer);
        assert!(twin.dht.table(&twin.now).is_empty());
        assert_eq!(twin.persona_drops(reason), 1);
    }
    rig.respond(
        ticket,
        &Answer::Pong {
            contact: contact(1, 20).to_raw(),
        },
    );
    let table = rig.dht.table(&rig.now);
    assert_eq!(table.len(), 1);
    assert_eq!(
        table[0].contact,
        contact(1, 20),
        "the PONG's newest contact"
    );
}

#[test]
fn the_sender_of_a_request_does_not_find_itself_in_the_answer() {
    let mut rig = Rig::with_persona(Config::test());
    for number in [1, 2] {
        rig.ask(&Request::Ping {
            sender: Some(contact(number, 10).to_raw()),
        });
        let ticket = rig.last(number).ticket;
        rig.respond(
            ticket,
            &Answer::Pong {
                contact: contact(number, 10).to_raw(),
            },
        );
    }
    let found = |rig: &mut Rig, sender: Option<RawContact>| match rig.ask(&Request::FindNode {
        target: contact(1, 10).id(),
        sender,
    }) {
        Some(Answer::Nodes { contacts, .. }) => contacts
            .into_vec()
            .iter()
            .map(RawContact::id)
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        found(&mut rig, Some(contact(1, 10).to_raw())),
        [contact(2, 10).id()]
    );
    assert_eq!(
        found(&mut rig, None),
        [contact(1, 10).id(), contact(2, 10).id()]
    );
}

#[test]
fn requests_with_a_bad_contact_are_refused_by_reason() {
    let mut rig = Rig::with_persona(Config::test());
    let good = contact(1, 10);
    let mut forged = good.as_bytes().to_vec();
    *forged.last_mut().expect("bytes") ^= 1;
    let minutes = (NOW.unix.0 / 60) as u32;
    let far = Contact::sign(&secret(1), 0, minutes + 200, good.addresses()).expect("signs");
    let past = Contact::sign(&secret(1), 0, minutes - 10, good.addresses()).expect("signs");
    let unspecified =
        Contact::sign(&secret(1), 0, minutes + 10, &[address("0.0.0.0:2000")]).expect("signs");
    for (sender, reason) in [
        (
            raw(&forged),
            DropReason::Contact(ContactError::BadSignature),
        ),
        (far.to_raw(), DropReason::Contact(ContactError::TooLong)),
        (past.to_raw(), DropReason::Contact(ContactError::Expired)),
        (
            unspecified.to_raw(),
            DropReason::Contact(ContactError::BadAddress),
        ),
        (contact(0, 10).to_raw(), DropReason::OwnContact),
    ] {
        assert_eq!(
            rig.ask(&Request::Ping {
                sender: Some(sender)
            }),
            None
        );
        assert_eq!(rig.persona_drops(reason), 1, "{reason:?}");
    }
    assert!(
        rig.ask(&Request::Ping {
            sender: Some(good.to_raw())
        })
        .is_some(),
        "control"
    );
}

#[test]
fn unverified_contacts_and_pings_are_capped() {
    let config = Config {
        bucket_size: 1_000,
        ..Config::test()
    };
    let mut rig = Rig::with_persona(config.clone());
    for number in 1..=200 {
        rig.ask(&Request::Ping {
            sender: Some(contact(number, 10).to_raw()),
        });
    }
    assert_eq!(rig.sent.len(), config.max_checks);
    let waiting = config.max_checks + config.max_unverified;
    assert_eq!(
        rig.persona_drops(DropReason::TooManyUnverified) as usize,
        200 - waiting
    );
}

#[test]
fn bodies_that_are_too_long_are_refused_unread() {
    let mut rig = Rig::with_persona(Config::test());
    assert_eq!(rig.request(vec![1; MAX_REQUEST_BODY + 1]), None);
    assert_eq!(rig.persona_drops(DropReason::Oversize), 1);
    assert_eq!(rig.request(vec![1; MAX_REQUEST_BODY]), None);
    assert_eq!(rig.persona_drops(DropReason::MalformedRequest), 1);
    let ticket = rig.query(Query::FindNode {
        target: NodeId([1; 20]),
    });
    rig.input(DhtInput::Response(ticket, vec![0x82; MAX_ANSWER_BODY + 1]));
    assert_eq!(rig.user_drops(DropReason::Oversize), 1);
}
