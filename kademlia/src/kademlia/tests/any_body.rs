//! Any sequence of inputs does no harm.
use proptest::prelude::*;

use super::*;

/// Bodies that some recipient understands.
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
                _ => rig.input(DhtInput::Failed(ticket, crate::io::Failure::OverSeveral)),
            }
            rig.later(wait);
        }
        let audit = rig.dht.audit();
        prop_assert_eq!(audit.requests_answered, rig.answers.len() as u64);
        prop_assert!(audit.requests_answered + audit.persona.drops.total() >= requests);
    }
}
