//! One node against a hostile world: what it refuses, that it counts each refusal, and that what is
//! almost the same is accepted.
use super::*;
use crate::{
    DropReason,
    api::{
        Announced, Body, Group, IncomingTicket, MAX_ANSWER_BODY, MAX_REQUEST_BODY, Query,
        QueryResult, QueryTicket, RpcTicket, Unix,
    },
    codec::Bounded,
    contact::{ContactError, RawContact},
    entry::PeerSet,
    id::NodeId,
    rpc::{Answer, Conflict, Record, RecordKind, Request, StoreResult, Token, ValueBytes},
    testing::{NOW, address, contact, secret},
};
use proptest::prelude::*;

#[path = "machine_mutable_tests.rs"]
mod mutable;

#[path = "machine_search_tests.rs"]
mod search;

#[path = "machine_upkeep_tests.rs"]
mod upkeep;

struct Sent {
    ticket: RpcTicket,
    group: Group,
    to: NodeId,
    request: Request,
}

struct Rig {
    dht: Kademlia,
    now: Now,
    sent: Vec<Sent>,
    answers: Vec<Answer>,
    results: Vec<QueryResult>,
    ended: Vec<Group>,
    superseded: Vec<(i64, i64)>,
    inputs: u64,
}

impl Rig {
    fn new(config: Config) -> Self {
        Self {
            dht: Kademlia::new(config, [3; 32], &NOW),
            now: NOW,
            sent: Vec::new(),
            answers: Vec::new(),
            results: Vec::new(),
            ended: Vec::new(),
            superseded: Vec::new(),
            inputs: 0,
        }
    }

    /// With a persona that has a contact.
    fn with_persona(config: Config) -> Self {
        let mut rig = Self::new(config);
        rig.input(DhtInput::Persona(Some(secret(0))));
        let until = Unix(rig.now.unix.0 + 3_600);
        rig.input(DhtInput::OwnAddresses(vec![(
            address("10.0.0.0:20000"),
            until,
        )]));
        rig
    }

    fn input(&mut self, input: DhtInput) {
        self.dht.handle_input(&self.now, input);
        loop {
            match self.dht.poll_output(&self.now) {
                DhtOutput::Answer { body, .. } => self
                    .answers
                    .push(Answer::from_body(&body).expect("an answer")),
                DhtOutput::Done(_, outcome) => self.results.push(outcome.result),
                DhtOutput::GroupEnded(group) => self.ended.push(group),
                DhtOutput::Send {
                    ticket,
                    group,
                    to,
                    body,
                    ..
                } => {
                    let request = Request::from_body(&body).expect("a request");
                    self.sent.push(Sent {
                        ticket,
                        group,
                        to: to.id(),
                        request,
                    });
                }
                DhtOutput::Wait { .. } => return,
                DhtOutput::Superseded {
                    published, seen, ..
                } => self.superseded.push((published, seen)),
                DhtOutput::Advertise(_)
                | DhtOutput::Progress(..)
                | DhtOutput::WantOtherEndpoints(_)
                | DhtOutput::WantSeeds(_) => {}
            }
        }
    }

    fn request(&mut self, body: Body) -> Option<Answer> {
        self.inputs += 1;
        self.input(DhtInput::Request(IncomingTicket(self.inputs), body));
        self.answers.pop()
    }

    fn ask(&mut self, request: &Request) -> Option<Answer> {
        self.request(request.to_body())
    }

    fn persona_drops(&self, reason: DropReason) -> u64 {
        self.dht.audit().persona.drops.of(reason)
    }

    fn user_drops(&self, reason: DropReason) -> u64 {
        self.dht.audit().user.drops.of(reason)
    }

    fn later(&mut self, micros: u64) {
        self.now.mono = self.now.mono.plus(micros);
        self.now.unix.0 += micros / 1_000_000;
        self.input(DhtInput::Timeout);
    }

    fn token(&mut self, target: NodeId) -> Token {
        match self.ask(&Request::FindNode {
            target,
            sender: None,
        }) {
            Some(Answer::Nodes { token, .. }) => token,
            other => panic!("{other:?}"),
        }
    }

    fn store(&mut self, token: Token, record: Record) -> StoreResult {
        match self.ask(&Request::Store { token, record }) {
            Some(Answer::Stored(result)) => result,
            other => panic!("{other:?}"),
        }
    }

    /// Starts a query with one seed, the first asked; its ticket.
    fn query(&mut self, query: Query) -> RpcTicket {
        let seed = contact(1, 10).as_bytes().to_vec();
        self.input(DhtInput::Seeds(OnBehalf::User, vec![seed]));
        self.input(DhtInput::Start(QueryTicket(1), query));
        self.last(1).ticket
    }

    fn respond(&mut self, ticket: RpcTicket, answer: &Answer) {
        self.input(DhtInput::Response(ticket, answer.to_body()));
    }

    /// The latest RPC to a node.
    fn last(&self, number: u64) -> &Sent {
        let id = contact(number, 10).id();
        self.sent
            .iter()
            .rev()
            .find(|sent| sent.to == id)
            .expect("asked")
    }
}

fn nodes(contacts: &[Contact]) -> Answer {
    Answer::Nodes {
        token: [9; 8],
        contacts: Bounded::first_of(contacts.iter().map(Contact::to_raw)),
    }
}

fn value(bytes: &[u8]) -> ValueBytes {
    ValueBytes::new(bytes.to_vec()).expect("fits")
}

fn raw(bytes: &[u8]) -> RawContact {
    RawContact::parse_all(bytes).expect("parses")
}

fn peer_record(infohash: u8, writer: u8) -> Record {
    let set = PeerSet::of(&[infohash; 20]);
    let entry = set.seal(
        [writer; 8],
        [writer; 16],
        &Announced::Persona(secret(5).public()),
    );
    Record::Peer {
        blinded: set.blinded(),
        entry,
    }
}

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
    // Anybody else's PONG is refused, and so is one that is forged.
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
    // The announced persona is searched for, and found at the one that is left.
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
    let found = match rig.results.pop() {
        Some(QueryResult::Peers(found)) => found,
        other => panic!("{other:?}"),
    };
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].what, Announced::Persona(secret(5).public()));
    assert_eq!(found[0].contact, Some(contact(5, 10)));
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
        (0, Some(Mono(3_000_000)))
    );
    assert_eq!(
        wanted(3_000_000, DhtInput::Seeds(OnBehalf::User, seeds(8))),
        (0, Some(Mono(11_000_000)))
    );
    assert_eq!(wanted(10_999_999, DhtInput::Timeout).0, 0);
    assert_eq!(wanted(11_000_000, DhtInput::Timeout).0, 1);
}

#[test]
fn debug_output_shows_neither_secrets_nor_what_users_ask_for() {
    let mut rig = Rig::with_persona(Config::test());
    let query = Query::Announce {
        infohash: [0x42; 20],
        what: Announced::Persona(secret(0).public()),
    };
    assert_eq!(format!("{query:?}"), "Announce(..)");
    rig.query(query);
    assert_eq!(
        format!("{:?}", rig.dht),
        "Kademlia { persona: true, published: 1, .. }"
    );
}

/// Bodies that mean something to somebody.
fn bodies() -> Vec<Body> {
    let sender = || Some(contact(1, 10).to_raw());
    let requests = [
        Request::Ping { sender: sender() },
        Request::FindNode {
            target: NodeId([1; 20]),
            sender: sender(),
        },
        Request::FindValue {
            kind: RecordKind::Peers,
            key: NodeId([1; 20]),
        },
        Request::Store {
            token: [1; 8],
            record: Record::Value(value(b"hi")),
        },
        Request::Store {
            token: [1; 8],
            record: peer_record(1, 1),
        },
        Request::Store {
            token: [1; 8],
            record: Record::Mutable(mutable::record(1, b"1:a").to_sent(Some(1))),
        },
    ];
    let entry = match peer_record(1, 1) {
        Record::Peer { entry, .. } => entry,
        Record::Mutable(_) | Record::Value(_) => unreachable!(),
    };
    let answers = [
        nodes(&[contact(1, 10), contact(2, 10), contact(3, 10)]),
        Answer::Pong {
            contact: contact(1, 10).to_raw(),
        },
        Answer::Value {
            token: [1; 8],
            value: value(b"hi"),
        },
        Answer::Peers {
            token: [1; 8],
            entries: Bounded::first_of([entry]),
        },
        Answer::Stored(StoreResult::Stored),
        Answer::Mutable {
            token: [1; 8],
            version: mutable::record(2, b"1:b").version().clone(),
        },
        Answer::Conflict {
            conflict: Conflict::OldSequence,
            kept: mutable::record(3, b"1:c").version().clone(),
        },
    ];
    requests
        .iter()
        .map(Request::to_body)
        .chain(answers.iter().map(Answer::to_body))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Mutated and random bodies as requests, answers and seeds: nothing panics, and every request is
    /// either answered or counted.
    #[test]
    fn no_body_does_harm(inputs in proptest::collection::vec(
        (0u8..6, any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0u64..3_000_000), 1..60)) {
        let mut rig = Rig::with_persona(Config::test());
        let bodies = bodies();
        let queries = [
            Query::GetValue { key: NodeId([1; 20]) },
            Query::GetPeers { infohash: [1; 20] },
            Query::PutValue { value: b"hi".to_vec() },
            Query::GetMutable { of: mutable::record(1, b"1:a").key().clone(), min_seq: None },
            Query::PutMutable { record: mutable::record(1, b"1:a"), cas: Some(0) },
        ];
        rig.input(DhtInput::Seeds(OnBehalf::User, (1..6).map(|n| contact(n, 10).as_bytes().to_vec()).collect()));
        for (number, query) in (0..).zip(queries) {
            rig.input(DhtInput::Start(QueryTicket(number), query));
        }
        let mut requests = 0;
        for (kind, which, at, byte, wait) in inputs {
            let mut body = which.get(&bodies).clone();
            let at = at.index(body.len());
            match byte % 4 {
                0 => body.truncate(at),
                1 => body.push(byte),
                2 => body[at] = byte,
                _ => {}
            }
            let ticket = if rig.sent.is_empty() { RpcTicket(1) } else { which.get(&rig.sent).ticket };
            match kind {
                0 => { requests += 1; rig.input(DhtInput::Request(IncomingTicket(requests), body)); }
                1 | 2 => rig.input(DhtInput::Response(ticket, body)),
                3 => rig.input(DhtInput::Seeds(OnBehalf::Persona, vec![body])),
                4 => rig.input(DhtInput::Slow(ticket)),
                _ => rig.input(DhtInput::Failed(ticket, crate::api::Failure::OverSeveral)),
            }
            rig.later(wait);
        }
        let audit = rig.dht.audit();
        prop_assert_eq!(audit.requests_answered, rig.answers.len() as u64);
        prop_assert!(audit.requests_answered + audit.persona.drops.total() >= requests);
    }
}
