use std::fmt::Debug;

use deut_common::codec::ShortBytes;
use proptest::prelude::*;

use super::*;
use crate::{
    records::{announced::Announced, entry::PeerSet},
    testing::{contact, hex, longest_contact},
};

fn entry(number: u8) -> PeerEntry {
    PeerSet::of(&[number; 20]).seal(
        [number; 8],
        [number; 16],
        &Announced::Address(([192, 0, 2, 1], 6881).into()),
    )
}

fn requests() -> Vec<Request> {
    let sender = || Some(longest_contact(1).to_raw());
    vec![
        Request::Ping { sender: None },
        Request::Ping { sender: sender() },
        Request::FindNode {
            target: NodeId([3; 20]),
            sender: None,
        },
        Request::FindNode {
            target: NodeId([3; 20]),
            sender: sender(),
        },
        Request::FindValue {
            kind: RecordKind::Value,
            key: NodeId([4; 20]),
        },
        Request::FindValue {
            kind: RecordKind::Peers,
            key: NodeId([4; 20]),
        },
        Request::Store {
            token: [5; 8],
            record: Record::Value(value(800)),
        },
        Request::Store {
            token: [5; 8],
            record: Record::Value(value(0)),
        },
        Request::Store {
            token: [5; 8],
            record: Record::Peer {
                blinded: [6; 32],
                entry: entry(1),
            },
        },
        Request::FindValue {
            kind: RecordKind::Mutable,
            key: NodeId([4; 20]),
        },
        Request::Store {
            token: [5; 8],
            record: Record::Mutable(sent(64, 800, Some(i64::MAX))),
        },
        Request::Store {
            token: [5; 8],
            record: Record::Mutable(sent(0, 0, None)),
        },
    ]
}

fn version(length: usize) -> Version {
    Version {
        seq: 0x0102_0304_0506_0708,
        signature: [8; 64],
        value: value(length),
    }
}

fn sent(salt: usize, length: usize, cas: Option<i64>) -> SentMutable {
    SentMutable {
        public: [6; 32],
        salt: ShortBytes::new(vec![7; salt]).expect("fits"),
        cas,
        version: version(length),
    }
}

fn answers() -> Vec<Answer> {
    let contacts =
        |count| Bounded::first_of((0..count).map(|number| longest_contact(number).to_raw()));
    vec![
        Answer::Pong {
            contact: contact(1, 10).to_raw(),
        },
        Answer::Nodes {
            token: [7; 8],
            contacts: contacts(0),
        },
        Answer::Nodes {
            token: [7; 8],
            contacts: contacts(8),
        },
        Answer::Value {
            token: [7; 8],
            value: value(800),
        },
        Answer::Peers {
            token: [7; 8],
            entries: Bounded::first_of((0..7).map(entry)),
        },
        Answer::Stored(StoreResult::Stored),
        Answer::Stored(StoreResult::BadToken),
        Answer::Stored(StoreResult::Full),
        Answer::Stored(StoreResult::BadRecord),
        Answer::Mutable {
            token: [7; 8],
            version: version(800),
        },
        Answer::Mutable {
            token: [7; 8],
            version: version(0),
        },
        Answer::Conflict {
            conflict: Conflict::OldSequence,
            kept: version(800),
        },
        Answer::Conflict {
            conflict: Conflict::SameSequence,
            kept: version(1),
        },
        Answer::Conflict {
            conflict: Conflict::CasMismatch,
            kept: version(0),
        },
    ]
}

fn value(length: usize) -> ValueBytes {
    ValueBytes::new(vec![0x77; length]).expect("fits")
}

fn sweep<T: Encode + Decode<()> + PartialEq + Debug>(message: &T, longest: usize) {
    let bytes = encode(message);
    assert!(
        !bytes.is_empty() && bytes.len() <= longest,
        "{} bytes",
        bytes.len()
    );
    assert_eq!(decode::<T>(&bytes).as_ref(), Ok(message));
    for length in 0..bytes.len() {
        assert_eq!(
            decode::<T>(&bytes[..length]),
            Err(Malformed),
            "cut to {length}"
        );
    }
    assert_eq!(decode::<T>(&[&bytes[..], &[0]].concat()), Err(Malformed));
}

#[test]
fn requests_survive_the_sweep_and_fit_their_budget() {
    requests()
        .iter()
        .for_each(|request| sweep(request, MAX_REQUEST_BODY));
}

#[test]
fn answers_survive_the_sweep_and_fit_their_budget() {
    answers()
        .iter()
        .for_each(|answer| sweep(answer, MAX_ANSWER_BODY));
}

#[test]
fn the_longest_messages_have_the_documented_lengths() {
    let length = |longest: usize, bytes: Vec<u8>| assert_eq!(bytes.len(), longest);
    length(131, requests()[1].to_body());
    length(LONGEST_FIND_NODE, requests()[3].to_body());
    length(22, requests()[4].to_body());
    length(LONGEST_STORE, requests()[6].to_body());
    length(179, requests()[8].to_body());
    length(LONGEST_NODES, answers()[2].to_body());
    length(LONGEST_VALUE, answers()[3].to_body());
    length(LONGEST_PEERS, answers()[4].to_body());
    length(LONGEST_STORE_MUTABLE, requests()[10].to_body());
    length(118, requests()[11].to_body());
    length(LONGEST_MUTABLE, answers()[9].to_body());
    length(LONGEST_CONFLICT, answers()[11].to_body());
}

#[test]
fn requests_have_the_documented_bytes() {
    let target = "0303030303030303030303030303030303030303";
    let contact = contact(1, 10);
    let cases = [
        (Request::Ping { sender: None }, "01 00".to_owned()), // op | no contact
        (
            Request::FindNode {
                target: NodeId([3; 20]),
                sender: None,
            },
            format!("02 {target} 00"),
        ), // op | target | no contact
        (
            Request::FindValue {
                kind: RecordKind::Peers,
                key: NodeId([3; 20]),
            },
            format!("03 02 {target}"),
        ), // op | kind: peers | key
        (
            Request::Store {
                token: [5; 8],
                record: Record::Value(ValueBytes::new(b"hi".to_vec()).expect("fits")),
            },
            "04 0505050505050505 01 0002 6869".to_owned(), // op | token | kind: value | length | value
        ),
    ];
    for (request, bytes) in cases {
        assert_eq!(request.to_body(), hex(&bytes));
    }
    let with_sender = Request::Ping {
        sender: Some(contact.to_raw()),
    }
    .to_body();
    assert_eq!(with_sender, [&[0x01, 0x01], contact.as_bytes()].concat()); // op | a contact follows | contact
    let peer = Request::Store {
        token: [5; 8],
        record: Record::Peer {
            blinded: [6; 32],
            entry: entry(1),
        },
    };
    let expected = [&[0x04][..], &[5; 8], &[0x02], &[6; 32], &encode(&entry(1))].concat(); // op | token | kind | blinded | entry
    assert_eq!(peer.to_body(), expected);
}

#[test]
fn answers_have_the_documented_bytes() {
    let (one, two) = (contact(1, 10), contact(2, 10));
    let contacts = Bounded::first_of([one.to_raw(), two.to_raw()]);
    let pong = Answer::Pong {
        contact: one.to_raw(),
    };
    assert_eq!(pong.to_body(), [&[0x81], one.as_bytes()].concat()); // op | contact
    let nodes = Answer::Nodes {
        token: [7; 8],
        contacts,
    }; // op | token | count | contacts
    assert_eq!(
        nodes.to_body(),
        [&[0x82][..], &[7; 8], &[2], one.as_bytes(), two.as_bytes()].concat()
    );
    let hi = ValueBytes::new(b"hi".to_vec()).expect("fits");
    let value = Answer::Value {
        token: [7; 8],
        value: hi,
    };
    assert_eq!(value.to_body(), hex("83 0707070707070707 0002 6869")); // op | token | length | value
    let peers = Answer::Peers {
        token: [7; 8],
        entries: Bounded::first_of([entry(1)]),
    };
    assert_eq!(
        peers.to_body(),
        [&[0x84][..], &[7; 8], &[1], &encode(&entry(1))].concat()
    ); // op | token | count | entries
    assert_eq!(Answer::Stored(StoreResult::Full).to_body(), [0x85, 2]); // op | result
    let version = [&hex("0102030405060708")[..], &[8; 64], &hex("0002 7777")].concat(); // seq | signature | length | value
    let mutable = Answer::Mutable {
        token: [7; 8],
        version: self::version(2),
    };
    assert_eq!(mutable.to_body(), [&[0x86][..], &[7; 8], &version].concat()); // op | token | version
    for (conflict, result) in [
        (Conflict::OldSequence, 4),
        (Conflict::SameSequence, 5),
        (Conflict::CasMismatch, 6),
    ] {
        let kept = self::version(2);
        let answer = Answer::Conflict { conflict, kept };
        assert_eq!(answer.to_body(), [&[0x85, result], &version[..]].concat()); // op | result | version
    }
}

#[test]
fn a_mutable_record_is_stored_with_the_documented_bytes() {
    let version = [&hex("0102030405060708")[..], &[8; 64], &hex("0002 7777")].concat();
    let head = [&[0x04][..], &[5; 8], &[0x03], &[6; 32]].concat(); // op | token | kind | public key
    let store = |salt, cas| Request::Store {
        token: [5; 8],
        record: Record::Mutable(sent(salt, 2, cas)),
    };
    let plain = [&head[..], &[0, 0], &version].concat(); // no salt | no cas
    assert_eq!(store(0, None).to_body(), plain);
    let with_both = [&head[..], &hex("03 070707 01 0000000000000009"), &version].concat(); // length, salt | cas
    assert_eq!(store(3, Some(9)).to_body(), with_both);
}

#[test]
fn mutable_records_out_of_bounds_are_refused() {
    let bytes = |salt: u8, cas: &str, seq: &str, length: u16| {
        let head = [&[0x04][..], &[5; 8], &[0x03], &[6; 32], &[salt]].concat();
        let salt = vec![7; usize::from(salt)];
        let (cas, seq) = (hex(cas), hex(seq));
        let value = vec![0x77; usize::from(length)];
        [
            &head[..],
            &salt,
            &cas,
            &seq,
            &[8; 64],
            &length.to_be_bytes(),
            &value,
        ]
        .concat()
    };
    let (seq, most) = ("0000000000000001", "7fffffffffffffff");
    for good in [
        bytes(64, "00", seq, 800),
        bytes(0, "00", most, 0),
        bytes(0, &format!("01{most}"), seq, 1),
    ] {
        assert!(Request::from_body(&good).is_ok(), "control");
    }
    for bad in [
        bytes(65, "00", seq, 1),                // a salt of 65 bytes
        bytes(0, "00", seq, 801),               // a value of 801 bytes
        bytes(0, "00", "8000000000000000", 1),  // a negative number
        bytes(0, "01ffffffffffffffff", seq, 1), // a negative expected number
        bytes(0, "02", seq, 1),                 // a flag that is neither 0 nor 1
    ] {
        assert_eq!(Request::from_body(&bad), Err(Malformed));
    }
    for bad in ["85 04", "85 05", "85 06", "85 07", "86 0707070707070707"] {
        assert_eq!(Answer::from_body(&hex(bad)), Err(Malformed), "{bad}");
    }
}

#[test]
fn forms_that_say_the_same_in_another_way_are_refused() {
    let token = "0707070707070707";
    for (good, bad) in [
        ("01 00".to_owned(), "01 02".to_owned()), // a flag that is neither 0 nor 1
        ("85 03".to_owned(), "85 04".to_owned()), // an unknown result
        (format!("82 {token} 00"), format!("84 {token} 00")), // a peer set without entries
        (format!("04 {token} 01 0000"), format!("04 {token} 04 0000")), // an unknown kind of record
        (
            format!("83 {token} 0000"),
            format!("83 {token} 0321") + &"00".repeat(801),
        ), // a value of 801 bytes
        ("01 00".to_owned(), "05 00".to_owned()), // an unknown request
        ("85 00".to_owned(), "87 00".to_owned()), // an unknown answer
    ] {
        let accepted = |text: &str| {
            Request::from_body(&hex(text)).is_ok() || Answer::from_body(&hex(text)).is_ok()
        };
        assert!(accepted(&good), "control: {good}");
        assert!(!accepted(&bad), "{bad}");
    }
    let contact = longest_contact(1);
    let nodes = |count: u8| {
        let mut bytes = [&[0x82][..], &[7; 8], &[count]].concat();
        (0..count).for_each(|_| bytes.extend_from_slice(contact.as_bytes()));
        bytes
    };
    assert!(Answer::from_body(&nodes(8)).is_ok(), "control");
    assert!(Answer::from_body(&nodes(9)).is_err());
    let peers = |count: u8| {
        let mut bytes = [&[0x84][..], &[7; 8], &[count]].concat();
        (0..count).for_each(|_| bytes.extend(encode(&entry(1))));
        bytes
    };
    assert!(Answer::from_body(&peers(7)).is_ok(), "control");
    assert!(Answer::from_body(&peers(8)).is_err());
}

proptest! {
    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(op in 0u8..0x90, tail in proptest::collection::vec(any::<u8>(), 0..400)) {
        let bytes = [&[op][..], &tail].concat();
        if let Ok(request) = Request::from_body(&bytes) { prop_assert_eq!(request.to_body(), bytes.clone()); }
        if let Ok(answer) = Answer::from_body(&bytes) { prop_assert_eq!(answer.to_body(), bytes); }
    }

    #[test]
    fn a_changed_message_is_refused_or_canonical(which: prop::sample::Index, at: prop::sample::Index, value: u8) {
        let all: Vec<Vec<u8>> = requests().iter().map(encode).chain(answers().iter().map(encode)).collect();
        let mut bytes = which.get(&all).clone();
        let at = at.index(bytes.len());
        bytes[at] = value;
        if let Ok(request) = Request::from_body(&bytes) { prop_assert_eq!(request.to_body(), bytes.clone()); }
        if let Ok(answer) = Answer::from_body(&bytes) { prop_assert_eq!(answer.to_body(), bytes); }
    }
}
