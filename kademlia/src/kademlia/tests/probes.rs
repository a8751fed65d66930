//! Announced personas get a PING.
use super::*;
use crate::{FoundPeer, io::Failure};

const INFOHASH: [u8; 20] = [1; 20];

/// An answer that announces the personas of these numbers.
fn announced(numbers: &[u8]) -> Answer {
    let set = PeerSet::of(&INFOHASH);
    let entries = numbers.iter().map(|number| {
        let what = Announced::Persona(secret((*number).into()).public());
        set.seal([*number; 8], [*number; 16], &what)
    });
    Answer::Peers {
        token: [9; 8],
        entries: Bounded::first_of(entries),
    }
}

/// A search in which the first node gave entries of these personas, whose contacts are known from seeds.
fn search(config: Config, numbers: &[u8]) -> Rig {
    let mut rig = Rig::new(config);
    let infohash = INFOHASH;
    let first = rig.query(Query::GetPeers { infohash });
    rig.respond(first, &announced(numbers));
    let seed = |number: &u8| contact((*number).into(), 10).as_bytes().to_vec();
    for number in numbers {
        rig.input(DhtInput::Seeds(OnBehalf::User, vec![seed(number)]));
    }
    rig
}

/// The PINGs that were sent, each with its recipient.
fn pings(rig: &Rig) -> Vec<(RpcTicket, NodeId)> {
    let ping = |sent: &&Sent| sent.request == Request::Ping { sender: None };
    let pings = rig.sent.iter().filter(ping);
    pings.map(|sent| (sent.ticket, sent.to)).collect()
}

fn ping_to(rig: &Rig, number: u64) -> RpcTicket {
    let id = contact(number, 10).id();
    let mut pings = pings(rig).into_iter();
    pings.find(|(_, to)| *to == id).expect("asked").0
}

fn pong(number: u64) -> Answer {
    Answer::Pong {
        contact: contact(number, 10).to_raw(),
    }
}

/// Lets all other requests of the query fail.
fn fail_the_rest(rig: &mut Rig) {
    let others = |sent: &&Sent| !matches!(sent.request, Request::Ping { .. });
    let tickets: Vec<_> = rig.sent.iter().filter(others).map(|s| s.ticket).collect();
    for ticket in tickets {
        rig.input(DhtInput::Failed(ticket, Failure::OverSeveral));
    }
}

fn found(rig: &Rig) -> Vec<(u64, Option<bool>)> {
    let Some(QueryResult::Peers(peers)) = rig.results.first() else {
        panic!("{:?}", rig.results)
    };
    let number = |peer: &FoundPeer| (2..30).find(|n| contact(*n, 10).id() == id(peer));
    fn id(peer: &FoundPeer) -> NodeId {
        peer.contact.as_ref().expect("a contact").id()
    }
    peers
        .iter()
        .map(|peer| (number(peer).expect("one of them"), peer.reachable))
        .collect()
}

#[test]
fn who_answers_comes_first_and_who_does_not_last() {
    let mut rig = search(Config::test(), &[2, 3]);
    fail_the_rest(&mut rig);
    assert_eq!((pings(&rig).len(), rig.results.len()), (2, 0));
    rig.input(DhtInput::Failed(ping_to(&rig, 2), Failure::OverSeveral));
    fail_the_rest(&mut rig);
    assert_eq!(rig.results, [], "the other one may answer");
    rig.respond(ping_to(&rig, 3), &pong(3));
    fail_the_rest(&mut rig);
    assert_eq!(found(&rig), [(3, Some(true)), (2, Some(false))]);
}

#[test]
fn where_one_answered_the_others_are_not_waited_for() {
    let config = Config::test();
    let grace = config.probe_grace;
    let mut rig = search(config, &[2, 3]);
    rig.respond(ping_to(&rig, 2), &pong(2));
    fail_the_rest(&mut rig);
    assert_eq!(rig.results, []);
    rig.later(grace + 1);
    fail_the_rest(&mut rig);
    assert_eq!(found(&rig), [(2, Some(true)), (3, None)]);
}

#[test]
fn an_answer_of_somebody_else_does_not_count() {
    let mut rig = search(Config::test(), &[2]);
    rig.respond(ping_to(&rig, 2), &pong(3));
    fail_the_rest(&mut rig);
    assert_eq!(found(&rig), [(2, Some(false))]);
    assert_eq!(rig.user_drops(DropReason::UnexpectedAnswer), 1);
}

#[test]
fn so_many_are_asked_and_each_once() {
    let config = Config {
        max_probes: 3,
        ..Config::test()
    };
    let mut rig = search(config, &[2, 3, 4, 5, 6, 7]);
    assert_eq!(pings(&rig).len(), 3);
    // A persona that got a PING gets no second one because of a newer contact.
    let (_, to) = pings(&rig)[0];
    let number = (2..8).find(|n| contact(*n, 10).id() == to).expect("asked");
    let newer = contact(number, 30).as_bytes().to_vec();
    rig.input(DhtInput::Seeds(OnBehalf::User, vec![newer]));
    let asked = pings(&rig);
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked[0].1 != asked[1].1 && asked[1].1 != asked[2].1);
}

#[test]
fn who_answers_is_told_before_the_search_is_over() {
    let mut rig = search(Config::test(), &[2, 3]);
    let told = |rig: &Rig, number| {
        let id = contact(number, 10).id();
        let is_told = |step: &&Progress| match step {
            Progress::Found(FoundPeer {
                contact: Some(contact),
                reachable: Some(true),
                ..
            }) => contact.id() == id,
            _ => false,
        };
        rig.progress.iter().filter(is_told).count()
    };
    assert_eq!((told(&rig, 2), told(&rig, 3)), (0, 0));
    rig.respond(ping_to(&rig, 2), &pong(2));
    rig.input(DhtInput::Failed(ping_to(&rig, 3), Failure::OverSeveral));
    assert_eq!((told(&rig, 2), told(&rig, 3)), (1, 0), "once");
    assert_eq!(rig.results, []);
}
