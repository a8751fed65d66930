//! Requests and answers as messages (protocol §8): copies go other ways, and each counts once. A real transport among
//! relays that the tests play, which see what leaves its tunnels.

use std::collections::BTreeMap;

use deut_common::{ids::RelayId, suite::SuiteRef};
use deut_tests::kit::{laboratory::Laboratory, peer::Peer};
use deut_transport::{
    DropReason,
    crypto::message::{OpenedRequest, open_request},
    ids::{CallGroup, CallTicket, Gate, PoolId, Service},
    io::{CallError, Command, Destination, Event, NewCall},
    keys::OpeningKey,
};
use rand::{SeedableRng, rngs::StdRng};

const MS: u64 = 1_000;
const SECOND: u64 = 1_000 * MS;
const RELAYS: u8 = 9;
const SERVICE: Service = Service(300);

/// A copy of a request as its recipient sees it, and the tunnel that it left through.
struct Copy {
    at: u64,
    send: (RelayId, u32),
    request: OpenedRequest,
}

impl Copy {
    /// Names the tunnel that its answer is awaited through.
    const fn reply(&self) -> Gate {
        self.request.header.reply_gate
    }
}

/// A caller with so many tunnels, and the one that it calls.
struct Rig {
    laboratory: Laboratory,
    called: OpeningKey,
    rng: StdRng,
    calls: u64,
}

impl Rig {
    fn new(tunnels: usize) -> Self {
        let peers = (1..=RELAYS).map(Peer::honest).collect();
        let mut laboratory = Laboratory::with(0, peers, (tunnels, 0));
        laboratory.introduce(0..usize::from(RELAYS));
        laboratory.run(20 * SECOND);
        assert_eq!(laboratory.tunnels_up(), tunnels);
        Self {
            laboratory,
            called: OpeningKey::from_seed(&[7; 32]),
            rng: StdRng::seed_from_u64(7),
            calls: 0,
        }
    }

    fn call(&mut self, group: u64) -> CallTicket {
        self.calls += 1;
        let ticket = CallTicket(self.calls);
        let to = Destination {
            key: self.called.public(),
            at: vec!["10.9.7.7:5007".parse().expect("an address")],
        };
        self.command(Command::Call(NewCall {
            ticket,
            group: CallGroup(group),
            pool: PoolId::Lookup,
            service: SERVICE,
            to,
            body: ticket.0.to_be_bytes().to_vec(),
        }));
        self.laboratory.run(0);
        ticket
    }

    fn command(&mut self, command: Command) {
        self.laboratory.command(command);
    }

    /// What arrived at the recipient since the last time.
    fn copies(&mut self) -> Vec<Copy> {
        let sent = self.laboratory.take_sent();
        sent.iter()
            .map(|sent| Copy {
                at: sent.at,
                send: sent.through,
                request: open_request(&SuiteRef::default(), &self.called, &sent.datagram)
                    .expect("sealed to it"),
            })
            .collect()
    }

    /// The recipient's answer to a copy.
    fn seal(&mut self, copy: &Copy) -> Box<[u8; 1_120]> {
        let responder = &copy.request.responder;
        responder
            .seal(copy.reply(), &copy.request.body, &mut self.rng)
            .expect("short")
    }

    /// Answers a copy at its own reply address.
    fn answer(&mut self, copy: &Copy) {
        let sealed = self.seal(copy);
        assert!(self.laboratory.deliver(&sealed), "its gate is open");
        self.laboratory.run(0);
    }

    /// The responses to a call; whether each was late.
    fn responses(&self, call: CallTicket) -> Vec<bool> {
        let of = |event: &Event| match event {
            Event::Response { ticket, body, late } if *ticket == call => {
                assert_eq!(*body, call.0.to_be_bytes());
                Some(*late)
            }
            _ => None,
        };
        self.laboratory.events().filter_map(of).collect()
    }

    fn failures(&self, call: CallTicket) -> Vec<CallError> {
        let of = |event: &Event| match event {
            Event::Failed { ticket, why, .. } if *ticket == call => Some(*why),
            _ => None,
        };
        self.laboratory.events().filter_map(of).collect()
    }

    fn slow(&self, call: CallTicket) -> usize {
        let of = |event: &&Event| matches!(event, Event::Slow { ticket } if *ticket == call);
        self.laboratory.events().filter(of).count()
    }

    fn drops(&self, reason: DropReason) -> u64 {
        self.laboratory.client().drops().of(reason)
    }
}

/// Two calls of one lookup, none answered: their copies, call by call, in order.
fn unanswered(rig: &mut Rig, group: u64) -> [Vec<Copy>; 2] {
    rig.copies();
    let calls = [rig.call(group), rig.call(group)];
    rig.laboratory.run(1_400 * MS);
    let mut copies = calls.map(|_| Vec::new());
    for copy in rig.copies() {
        let of = calls.map(|call| copy.request.body == call.0.to_be_bytes());
        copies[usize::from(of[1])].push(copy);
    }
    rig.command(Command::EndGroup(CallGroup(group)));
    rig.laboratory.run(SECOND);
    copies
}

/// How many second copies went the way of the first: out of the same tunnel, back through the same.
fn same_ways(tunnels: usize) -> (usize, usize) {
    let mut rig = Rig::new(tunnels);
    let mut same = (0, 0);
    for group in 1..=20 {
        for copies in unanswered(&mut rig, group) {
            let [first, second] = copies.as_slice() else {
                panic!("{} copies", copies.len())
            };
            assert_eq!(second.at - first.at, SECOND);
            let ids = [first, second].map(|copy| copy.request.header.request_id);
            assert_eq!(ids[0], ids[1], "it is the same request");
            same.0 += usize::from(first.send == second.send);
            same.1 += usize::from(first.reply() == second.reply());
        }
    }
    same
}

#[test]
fn a_lost_first_copy_is_followed_over_another_send_tunnel_and_the_other_reply_tunnel() {
    // Two of the tunnels bring answers; the other calls of the lookup have used the others as often.
    assert_eq!(same_ways(4), (0, 0));
    assert_eq!(same_ways(6), (0, 0));
    // Control and twin: where only one is left for sending, it sends both.
    assert_eq!(same_ways(3), (40, 0));
    assert_eq!(same_ways(2), (40, 40));
}

#[test]
fn an_answer_that_comes_twice_gives_one_response() {
    let mut rig = Rig::new(4);
    let twice = |rig: &mut Rig, times: usize| {
        let call = rig.call(1);
        let copies = rig.copies();
        let sealed = rig.seal(&copies[0]);
        let mut forged = sealed.clone();
        forged[1_000] ^= 1;
        let before = rig.drops(DropReason::UnknownMessageId);
        // What does not open uses nothing up.
        assert!(rig.laboratory.deliver(&forged));
        rig.laboratory.run(0);
        assert!(rig.responses(call).is_empty());
        for _ in 0..times {
            assert!(rig.laboratory.deliver(&sealed));
        }
        rig.laboratory.run(SECOND);
        let unknown = rig.drops(DropReason::UnknownMessageId) - before;
        (rig.responses(call).len(), unknown)
    };
    assert_eq!(twice(&mut rig, 2), (1, 1));
    assert_eq!(twice(&mut rig, 5), (1, 4));
    assert_eq!(twice(&mut rig, 1), (1, 0), "control");
    assert_eq!(rig.drops(DropReason::BadResponse), 3);
}

#[test]
fn an_answer_after_the_short_timeout_is_used_and_one_after_the_full_timeout_is_not() {
    let mut rig = Rig::new(4);
    let after = |rig: &mut Rig, ms: u64, copy: usize| {
        let call = rig.call(1);
        rig.laboratory.run(ms * MS);
        let copies = rig.copies();
        let unknown = rig.drops(DropReason::UnknownMessageId);
        rig.answer(&copies[copy]);
        let unknown = rig.drops(DropReason::UnknownMessageId) - unknown;
        let seen = (rig.responses(call), rig.slow(call), unknown);
        // Nothing more comes of it.
        rig.laboratory.run(10 * SECOND);
        assert_eq!(rig.responses(call), seen.0);
        let failed = rig.failures(call);
        assert_eq!(failed.len(), usize::from(seen.0.is_empty()));
        (copies.len(), seen.0, seen.1, failed.first().copied())
    };
    assert_eq!(
        after(&mut rig, 999, 0),
        (1, vec![false], 0, None),
        "control"
    );
    assert_eq!(after(&mut rig, 1_499, 0), (2, vec![true], 1, None));
    assert_eq!(after(&mut rig, 1_499, 1), (2, vec![true], 1, None));
    assert_eq!(after(&mut rig, 1_500, 2), (3, vec![true], 1, None));
    assert_eq!(after(&mut rig, 5_999, 0), (3, vec![true], 1, None));
    assert_eq!(
        after(&mut rig, 6_000, 0),
        (3, vec![], 1, Some(CallError::Timeout))
    );
}

/// One lookup that asks every 100 ms and has each answer soon, but through the first reply tunnel only if that is `honest`.
/// When each reply gate was first and last named in a request.
fn lookup(honest: bool) -> Vec<(u64, u64)> {
    let mut rig = Rig::new(6);
    rig.copies();
    let start = rig.laboratory.now_us();
    let mut used: BTreeMap<Gate, (u64, u64)> = BTreeMap::new();
    let mut silent = None;
    for _ in 0..50 {
        rig.call(1);
        rig.laboratory.run(100 * MS);
        for copy in rig.copies() {
            let gate = *silent.get_or_insert(copy.reply());
            let since = copy.at - start;
            let (_, last) = used.entry(copy.reply()).or_insert((since, since));
            *last = since;
            if honest || copy.reply() != gate {
                rig.answer(&copy);
            }
        }
    }
    let mut times: Vec<_> = used.into_values().collect();
    times.sort_unstable();
    times
}

#[test]
fn a_reply_tunnel_that_brings_nothing_for_three_seconds_is_replaced_within_the_lookup() {
    let silent = lookup(false);
    let [first, second, third] = silent.as_slice() else {
        panic!("{silent:?}")
    };
    assert_eq!((first.0, second.0 < SECOND), (0, true));
    assert!((2_500 * MS..3 * SECOND).contains(&first.1), "{silent:?}");
    assert!((3 * SECOND..4 * SECOND).contains(&third.0), "{silent:?}");
    assert!(second.1 > 4 * SECOND && third.1 > 4 * SECOND, "{silent:?}");
    // Control: where all comes, both serve to the end.
    let honest = lookup(true);
    assert!(honest.len() == 2 && honest[0].1 > 4 * SECOND, "{honest:?}");
}
