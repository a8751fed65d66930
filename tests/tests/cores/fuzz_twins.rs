//! What the fuzz harness checks it also sees: a machine that does one thing wrong goes red, the same one without the
//! fault does not.

use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
};

use deut_common::time::{Mono, Now};
use deut_kademlia::{Audit, PlaneAudit};
use deut_tests::{
    fuzz::dht,
    kit::{
        caps::check_caps,
        machine::{Machine, News, Todo},
        relay::address_of,
        world::{Flight, World},
    },
    net::RELAY_PORT,
};
use deut_transport::{
    DropCounts, DropReason, Handled,
    ids::{Port, PortToken},
    packet::{Packet, RELAY_DATAGRAM},
    status::Counters,
};

/// What a machine does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Neither accepts nor counts.
    ForgetsToCount,
    /// Says that it dropped for a reason, and counts none.
    NamesNoReason,
    /// Two datagrams go back for one.
    Amplifies,
    /// Sends from the relay port what is no relay datagram.
    WrongLength,
    /// Sends from an endpoint port where nobody may.
    Forbidden,
    /// Wants to be called again at once, always.
    Spins,
    /// Never stops saying.
    Endless,
    /// Speaks after its shutdown.
    SpeaksAfterwards,
}

/// Answers each datagram with one, and is wrong in one way.
struct Echo {
    fault: Fault,
    counters: Counters,
    drops: DropCounts,
    answers: Vec<(Port, SocketAddr, usize)>,
}

impl Machine for Echo {
    type Event = ();
    type Command = ();

    fn datagram(&mut self, _now: Now, _at: Port, from: SocketAddr, packet: Packet) -> Handled {
        match self.fault {
            Fault::ForgetsToCount => return Handled::Consumed,
            Fault::NamesNoReason => {
                self.counters.dropped += 1;
                return Handled::Dropped(DropReason::BadLength, packet);
            }
            _ => self.counters.accepted += 1,
        }
        let (port, to, length) = match self.fault {
            Fault::WrongLength => (Port::Relay, from, RELAY_DATAGRAM - 1),
            Fault::Forbidden => {
                let nobody = SocketAddr::from(([224, 0, 0, 1], RELAY_PORT));
                (Port::Endpoint(PortToken(1)), nobody, 1_120)
            }
            _ => (Port::Relay, from, RELAY_DATAGRAM),
        };
        let copies = if self.fault == Fault::Amplifies { 2 } else { 1 };
        self.answers
            .extend(std::iter::repeat_n((port, to, length), copies));
        Handled::Consumed
    }

    fn command(&mut self, _now: Now, (): ()) {}

    fn news(&mut self, _now: Now, _news: News) {}

    fn poll(&mut self, now: Now) -> Todo<()> {
        match self.answers.pop() {
            Some((from, to, length)) => Todo::Transmit(from, to, Packet::zeroed(length)),
            None if self.fault == Fault::Endless => Todo::Event(()),
            None if self.fault == Fault::Spins => Todo::Wait(Some(now.mono)),
            None => Todo::Wait(Some(Mono(u64::MAX))),
        }
    }

    fn counters(&self) -> Counters {
        self.counters.clone()
    }

    fn drops(&self) -> &DropCounts {
        &self.drops
    }

    fn check_caps(&self) {}
}

fn run(fault: Fault) {
    let mut world = World::new(1_000);
    world.add(Echo {
        fault,
        counters: Counters::default(),
        drops: DropCounts::default(),
        answers: Vec::new(),
    });
    world.seats[0].silent = fault == Fault::SpeaksAfterwards;
    let flight = Flight {
        at: 0,
        from: ([10, 8, 0, 1], RELAY_PORT).into(),
        to: address_of(0),
        bytes: vec![1; RELAY_DATAGRAM],
    };
    world.deliver(&flight, true);
    world.run(1_000_000);
    world.check_caps();
}

#[test]
fn each_fault_of_a_machine_is_seen() {
    run(Fault::None);
    for fault in [
        Fault::ForgetsToCount,
        Fault::NamesNoReason,
        Fault::Amplifies,
        Fault::WrongLength,
        Fault::Forbidden,
        Fault::Spins,
        Fault::Endless,
        Fault::SpeaksAfterwards,
    ] {
        let seen = catch_unwind(AssertUnwindSafe(|| run(fault))).is_err();
        assert!(seen, "{fault:?}");
    }
}

#[test]
fn a_size_beyond_its_cap_is_seen() {
    let config = dht::config();
    let full = Audit {
        persona: PlaneAudit {
            lookups: 1,
            ..PlaneAudit::default()
        },
        stored_keys: config.max_stored_keys,
        ..Audit::default()
    };
    check_caps(&full, &config);
    for audit in [
        Audit {
            stored_keys: config.max_stored_keys + 1,
            ..full.clone()
        },
        Audit {
            published: config.max_published + 1,
            ..full
        },
    ] {
        assert!(catch_unwind(|| check_caps(&audit, &dht::config())).is_err());
    }
}
