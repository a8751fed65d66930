//! Some machines in lock step on a virtual clock, with every datagram between them in a list that the fuzzer may change.
//!
//! It checks, whatever happens: each datagram is accepted or counted by a reason; caps hold; a relay port sends
//! datagrams of one length, an endpoint port of two, and only where the policy lets it; nobody gets more bytes back than a
//! stranger's datagram had; no machine asks to be called again at once for ever.

mod outputs;

use std::{collections::VecDeque, net::SocketAddr, ops::Range, sync::Arc};

use deut_common::time::{Mono, Now, Unix};
use deut_transport::{
    Handled,
    ids::JobTicket,
    io::BootstrapPeer,
    packet::Packet,
    rsa::{Job, RsaSuite},
};

use super::{
    machine::{Machine, News},
    net::START_UNIX,
    ports::Ports,
    relay::{address_of, bootstrap},
    watch::watched,
};
use crate::stand_in::StandIn;

/// From there to there takes so long, µs.
const DELAY_US: u64 = 1_000;
/// Datagrams that are remembered to be sent again.
const PAST: usize = 64;
/// Datagrams that one input may cause at most.
const MOST_AT_ONCE: usize = 2_000;
/// What an endpoint sends to somebody it does not know.
const HELLO: usize = 64;

/// One machine.
pub struct Seat<M: Machine> {
    /// It.
    pub machine: M,
    /// Its relay port.
    pub address: SocketAddr,
    /// Dead ones neither hear nor speak.
    pub alive: bool,
    /// It was shut down: nothing may come from it any more.
    pub silent: bool,
    /// What it told.
    pub events: Vec<(u64, M::Event)>,
    ports: Ports,
    due: Option<u64>,
    heard: u64,
    spins: u32,
}

impl<M: Machine> Seat<M> {
    /// How often it told such a thing.
    pub fn told(&self, such: impl Fn(&M::Event) -> bool) -> usize {
        let events = self.events.iter();
        events.filter(|(_, event)| such(event)).count()
    }
}

/// A datagram under way.
#[derive(Clone, Debug)]
pub struct Flight {
    /// When it arrives, µs.
    pub at: u64,
    /// Sender.
    pub from: SocketAddr,
    /// Receiver.
    pub to: SocketAddr,
    /// Payload.
    pub bytes: Vec<u8>,
}

/// A job that a worker has.
pub struct Work {
    /// When it is done, µs.
    pub at: u64,
    /// Whose.
    pub seat: usize,
    /// Its name.
    pub ticket: JobTicket,
    work: Job,
}

/// The world.
pub struct World<M: Machine> {
    /// All machines.
    pub seats: Vec<Seat<M>>,
    /// Datagrams under way, in the order of sending.
    pub flights: Vec<Flight>,
    /// Jobs under way.
    pub jobs: Vec<Work>,
    /// Datagrams that were sent, the newest last.
    pub past: VecDeque<Flight>,
    /// µs since the start.
    pub now: u64,
    /// Wall time at the start.
    pub start: u64,
    /// Wires and workers take no time.
    pub instant: bool,
    /// Datagrams that arrived where no machine lives, for whoever plays somebody there.
    pub outside: Vec<Flight>,
    /// Things that may still happen; then nothing does.
    pub fuel: u32,
    /// The system refuses the next port.
    pub refuse_port: bool,
    /// The worker's queue is full: every job comes back at once.
    pub refuse_jobs: bool,
    /// Stands for RSA.
    pub suite: Arc<dyn RsaSuite>,
}

impl<M: Machine> World<M> {
    /// An empty world in which so many things may happen.
    #[must_use]
    pub fn new(fuel: u32) -> Self {
        Self {
            seats: Vec::new(),
            flights: Vec::new(),
            jobs: Vec::new(),
            past: VecDeque::new(),
            outside: Vec::new(),
            now: 0,
            start: START_UNIX,
            instant: false,
            fuel,
            refuse_port: false,
            refuse_jobs: false,
            suite: Arc::new(StandIn),
        }
    }

    /// Both clocks.
    #[must_use]
    pub const fn now(&self) -> Now {
        Now {
            mono: Mono(self.now),
            unix: Unix(self.start + self.now / 1_000_000),
        }
    }

    /// Wall time in µs.
    #[must_use]
    pub const fn time(&self) -> u64 {
        self.start * 1_000_000 + self.now
    }

    /// When something is done that takes so long.
    pub(super) fn after(&self, us: u64) -> u64 {
        self.now + if self.instant { 0 } else { us }
    }

    /// One more machine.
    pub fn add(&mut self, machine: M) -> usize {
        let number = self.seats.len();
        self.seats.push(Seat {
            machine,
            address: address_of(number),
            alive: true,
            silent: false,
            events: Vec::new(),
            ports: Ports::default(),
            due: None,
            heard: 0,
            spins: 0,
        });
        self.drain(number, None);
        number
    }

    /// One more machine, which joins through these (and never through itself).
    pub fn join(
        &mut self,
        machine: M,
        through: Range<usize>,
        command: fn(Vec<BootstrapPeer>) -> M::Command,
    ) {
        let number = self.add(machine);
        let others = through.filter(|&other| other != number);
        let peers = others.map(|other| bootstrap(address_of(other)));
        self.command(number, command(peers.collect()));
    }

    /// The application of a machine wants something.
    pub fn command(&mut self, number: usize, command: M::Command) {
        self.with(number, |machine, now| machine.command(now, command));
    }

    fn with(&mut self, number: usize, act: impl FnOnce(&mut M, Now)) {
        let now = self.now();
        let Some(seat) = self.seats.get_mut(number).filter(|seat| seat.alive) else {
            return;
        };
        act(&mut seat.machine, now);
        self.drain(number, None);
    }

    /// Runs for so long, or until the fuel is used up.
    pub fn run(&mut self, us: u64) {
        self.run_with(us, |_| {});
    }

    /// The same; `between` happens first and after everything that happens.
    pub fn run_with(&mut self, us: u64, mut between: impl FnMut(&mut Self)) {
        let end = self.now.saturating_add(us);
        loop {
            between(self);
            if self.fuel == 0 || self.next_event().is_none_or(|at| at > end) {
                break;
            }
            self.step();
        }
        if self.fuel > 0 {
            self.now = self.now.max(end);
        }
    }

    fn next_event(&self) -> Option<u64> {
        let flights = self.flights.iter().map(|flight| flight.at);
        let jobs = self.jobs.iter().map(|job| job.at);
        let dues = self
            .seats
            .iter()
            .filter(|seat| seat.alive)
            .filter_map(|seat| seat.due);
        flights.chain(jobs).chain(dues).min()
    }

    /// The next thing that happens.
    fn step(&mut self) {
        let Some(at) = self.next_event() else { return };
        self.now = self.now.max(at);
        if let Some(index) = self.flights.iter().position(|flight| flight.at == at) {
            self.arrive(index);
        } else if let Some(index) = self.jobs.iter().position(|job| job.at == at) {
            self.finish(index);
        } else {
            self.timeouts();
        }
    }

    /// Tells every machine whose time has come.
    pub fn timeouts(&mut self) {
        for number in 0..self.seats.len() {
            let now = self.now;
            let seat = &mut self.seats[number];
            if seat.alive && seat.due.is_some_and(|due| due <= now) {
                seat.due = None;
                seat.spins += 1;
                assert!(seat.spins <= 100, "it spins");
                self.tell(number, News::Timeout);
            }
        }
    }

    fn tell(&mut self, number: usize, news: News) {
        self.fuel = self.fuel.saturating_sub(1);
        self.with(number, |machine, now| machine.news(now, news));
    }

    /// A job is done now.
    pub fn finish(&mut self, index: usize) {
        let Work {
            seat, ticket, work, ..
        } = self.jobs.remove(index);
        let result = work.run(self.suite.as_ref());
        self.tell(seat, News::Job(ticket, result));
    }

    /// News that the machine may not expect.
    pub fn surprise(&mut self, number: usize, news: News) {
        self.tell(number, news);
    }

    /// A datagram arrives now.
    pub fn arrive(&mut self, index: usize) {
        let flight = self.flights.remove(index);
        self.deliver(&flight, false);
    }

    /// Delivers a datagram; a stranger's sender must not be sent more than it has.
    pub fn deliver(&mut self, flight: &Flight, stranger: bool) {
        self.fuel = self.fuel.saturating_sub(1);
        let now = self.now();
        let Some(number) = self
            .seats
            .iter()
            .position(|seat| seat.address.ip() == flight.to.ip())
        else {
            if self.outside.len() < MOST_AT_ONCE {
                self.outside.push(flight.clone());
            }
            return;
        };
        let seat = &mut self.seats[number];
        let port = seat.ports.at(flight.to.port());
        let Some(port) = port.filter(|_| seat.alive) else {
            return;
        };
        seat.heard += 1;
        let before = seat.machine.drops().clone();
        let packet = Packet::copy_of(&flight.bytes);
        let length = packet.bytes().len();
        let machine = &mut seat.machine;
        let handled = watched(|| machine.datagram(now, port, flight.from, packet));
        match handled {
            Handled::Forward { from, to, packet } => self.transmit(number, from, to, &packet),
            Handled::Consumed => {}
            Handled::Dropped(reason, packet) => {
                assert_eq!(packet.bytes().len(), length, "the buffer comes back");
                let drops = seat.machine.drops();
                assert!(
                    drops.of(reason) > before.of(reason),
                    "{reason:?} is counted"
                );
            }
        }
        let reply_to = stranger.then_some(flight.from);
        let sent = self.drain(number, reply_to);
        assert!(sent <= length, "{sent} bytes go back for {length}");
        self.account(number);
    }

    fn account(&self, number: usize) {
        let seat = &self.seats[number];
        let counters = seat.machine.counters();
        assert_eq!(counters.accepted + counters.dropped, seat.heard);
        assert!(seat.machine.drops().total() >= counters.dropped);
    }

    /// Panics if a machine is beyond one of its caps.
    pub fn check_caps(&self) {
        for seat in &self.seats {
            seat.machine.check_caps();
        }
    }

    /// An open endpoint port of this machine.
    #[must_use]
    pub fn endpoint_port(&self, number: usize, which: usize) -> Option<u16> {
        self.seats.get(number)?.ports.endpoint(which)
    }
}
