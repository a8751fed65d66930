//! A flood of rubbish against one daemon of the built binary: it stops nothing, and every datagram is accounted for.
#![allow(
    clippy::print_stdout,
    reason = "figures for whoever runs it with --nocapture"
)]

use std::{
    collections::BTreeMap,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use deut_common::ids::PersonaKey;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    fleet::{self, Fleet, MAGNET, PATIENCE},
    ports::BLOCK,
    stranger::{Class, Stranger},
};

/// Datagrams that must be counted.
const SENT: u64 = 100_000;
/// So many of them at least must have hit an open endpoint port.
const AT_ENDPOINTS: u64 = 10_000;
/// A system that gives a socket no more than Linux's default holds twice this for each.
const UNREAD: usize = 200_000;
/// Datagrams between two looks at the counters.
const BATCH: u64 = 500;
/// Reasons that count jobs and messages that waited, not datagrams: `dropped` does not grow with them.
const NO_DATAGRAMS: [&str; 2] = ["StaleJob", "SilentDestination"];

/// The counters of a daemon.
struct Counts {
    accepted: u64,
    dropped: u64,
    by_reason: BTreeMap<String, u64>,
}

impl Counts {
    fn of(fleet: &Fleet, node: usize) -> Self {
        let status = fleet.ask_status(node);
        let counter = |name: &str| status["counters"][name].as_u64().expect("a number");
        let drops = status["drops"].as_object().expect("reasons");
        let by_reason = drops
            .iter()
            .map(|(name, n)| (name.clone(), n.as_u64().expect("a number")));
        Self {
            accepted: counter("accepted"),
            dropped: counter("dropped"),
            by_reason: by_reason.collect(),
        }
    }

    fn datagrams(&self) -> u64 {
        self.accepted + self.dropped
    }

    /// By how much each reason has grown.
    fn since(&self, before: &Self) -> BTreeMap<&str, u64> {
        let old = |name: &String| before.by_reason.get(name).copied().unwrap_or(0);
        let grown = self.by_reason.iter();
        grown
            .map(|(name, n)| (name.as_str(), n - old(name)))
            .collect()
    }
}

/// What was sent since the last look at the counters.
#[derive(Default)]
struct Batch {
    by_port: BTreeMap<u16, (u64, usize)>,
    by_class: BTreeMap<(Class, bool), u64>,
    sent: u64,
}

impl Batch {
    /// Counts a datagram; whether the counters must be looked at before the next one.
    fn is_full_with(&mut self, class: Class, to: u16, length: usize, is_relay: bool) -> bool {
        let (count, unread) = self.by_port.entry(to).or_default();
        *count += 1;
        // What a system charges for a datagram: twice its length at most, and a head.
        *unread += 2 * length + 1_300;
        *self.by_class.entry((class, is_relay)).or_default() += 1;
        self.sent += 1;
        *unread > UNREAD || self.sent >= BATCH
    }

    /// Those that went to ports that are closed by now.
    fn to_closed(&self) -> u64 {
        let closed = self.by_port.iter().filter(|&(&port, _)| !is_open(port));
        closed.map(|(_, (count, _))| count).sum()
    }
}

/// The flood and what became of it.
struct Flood<'a> {
    fleet: &'a Fleet,
    socket: UdpSocket,
    relay: u16,
    /// Endpoint ports that are open.
    open: Vec<u16>,
    /// Of full batches: class, whether to the relay port, how many.
    arrived: BTreeMap<(Class, bool), u64>,
}

impl Flood<'_> {
    /// Sends until the daemon has counted all.
    fn run(&mut self, stranger: &Stranger, before: &Counts, rng: &mut StdRng) {
        let (mut sent, mut batch) = (0, Batch::default());
        while sent < SENT {
            let class = Class::ALL[rng.random_range(0..Class::ALL.len())];
            let (port, bytes) = stranger.datagram(class, rng);
            let to = self.target(class, port, rng);
            self.socket
                .send_to(&bytes, ("127.0.0.1", to))
                .expect("sent");
            sent += 1;
            // The kernel must not drop any: no socket has more unread than its buffer holds.
            if batch.is_full_with(class, to, bytes.len(), to == self.relay) || sent == SENT {
                sent -= self.look(before.datagrams() + sent, &std::mem::take(&mut batch));
            }
        }
    }

    /// Mostly the kind of port at which genuine ones of this class arrive.
    fn target(&self, class: Class, port: Option<u16>, rng: &mut StdRng) -> u16 {
        let of_ten = match class {
            Class::Hello | Class::Message => 9,
            Class::Random | Class::AnyLength => 5,
            Class::Question | Class::Handshake | Class::Session => 2,
        };
        if self.open.is_empty() || rng.random_range(0..10) >= of_ten {
            return self.relay;
        }
        port.filter(|port| self.open.contains(port))
            .unwrap_or_else(|| self.open[rng.random_range(0..self.open.len())])
    }

    /// How many are missing. Only a tunnel that ended meanwhile, and its port with it, may have swallowed some: those are
    /// sent again.
    fn look(&mut self, all: u64, batch: &Batch) -> u64 {
        let missing = uncounted(self.fleet, all);
        if missing == 0 {
            for (&at, count) in &batch.by_class {
                *self.arrived.entry(at).or_default() += count;
            }
            return 0;
        }
        let closed = batch.to_closed();
        assert!(
            missing <= closed,
            "{missing} datagrams are missing, {closed} went to ports that closed"
        );
        self.open.retain(|&port| is_open(port));
        missing
    }

    fn of(&self, wanted: impl Fn(Class, bool) -> bool) -> u64 {
        let those = self.arrived.iter();
        those
            .filter(|((class, is_relay), _)| wanted(*class, *is_relay))
            .map(|(_, count)| count)
            .sum()
    }
}

fn is_open(port: u16) -> bool {
    UdpSocket::bind(("127.0.0.1", port)).is_err()
}

/// How many datagrams the first daemon has not counted after a while without progress.
fn uncounted(fleet: &Fleet, all: u64) -> u64 {
    let (mut missing, mut since) = (u64::MAX, Instant::now());
    while since.elapsed() < Duration::from_secs(5) {
        let now = all.saturating_sub(Counts::of(fleet, 0).datagrams());
        if now == 0 {
            return 0;
        }
        if now < missing {
            (missing, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    missing
}

/// The personas of the others, with the addresses at which the first daemon takes messages for them.
fn gates(fleet: &Fleet) -> Vec<(PersonaKey, SocketAddr)> {
    let of = |node: usize| {
        let announced = fleet.json(node, &["announce", MAGNET]).expect("announced");
        let persona = fleet::persona(&announced);
        let key = PersonaKey(fleet::bytes(&persona));
        let tunnels = fleet.json(node, &["tunnels"]).expect("tunnels");
        let tunnels = tunnels["tunnels"].as_array().cloned().unwrap_or_default();
        let persona_tunnels = tunnels
            .into_iter()
            .filter(|tunnel| tunnel["pool"] == "persona" && tunnel["up"] == true);
        let addresses =
            persona_tunnels.filter_map(|tunnel| tunnel["address"].as_str()?.parse().ok());
        let first = fleet.ports[0];
        addresses
            .filter(|at: &SocketAddr| (first + 1..first + BLOCK).contains(&at.port()))
            .map(|at| (key, at))
            .collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..4).map(|node| scope.spawn(move || of(node))).collect();
        let all = threads.into_iter().map(|thread| thread.join());
        all.flat_map(|one| one.expect("announced")).collect()
    })
}

/// Waits until nothing is under way any more.
fn quiet(fleet: &Fleet) -> Counts {
    let end = Instant::now() + PATIENCE;
    let mut last = Counts::of(fleet, 0);
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let now = Counts::of(fleet, 0);
        if now.datagrams() == last.datagrams() {
            return now;
        }
        assert!(Instant::now() < end, "something goes on sending");
        last = now;
    }
}

/// Each class, and each stage at which something is refused, has had its share.
fn every_stage_was_hit(flood: &Flood<'_>, grown: &BTreeMap<&str, u64>) {
    for class in Class::ALL {
        let (relay, endpoint) = (
            flood.of(|one, is_relay| one == class && is_relay),
            flood.of(|one, is_relay| one == class && !is_relay),
        );
        println!("{class:?}: {relay} to the relay port, {endpoint} to endpoint ports");
        let at_its_place = if class.is_for_endpoints() {
            endpoint
        } else {
            relay
        };
        assert!(at_its_place >= 1_000, "{class:?}");
    }
    println!("dropped: {grown:?}");
    for reason in [
        "BadLength",
        "UnknownKind",
        "Malformed",
        "BadMac",
        "UnknownSession",
        "LinkForged",
        "UnexpectedAnswer",
        "GateClosed",
        "UnexpectedEcho",
        "RateLimited",
    ] {
        let times = grown.get(reason).copied().unwrap_or(0);
        assert!(times >= 100, "{reason}: {times}");
    }
}

#[test]
fn a_hundred_thousand_datagrams_of_rubbish_stop_nothing_and_are_all_counted() {
    let mut fleet = Fleet::start("rubbish", 4, 9);
    fleet.settle();
    let relay = fleet.ports[0];
    let gates = gates(&fleet);
    assert!(!gates.is_empty(), "personas are reached through the first");
    // The others die, so that nothing but the rubbish arrives; the tunnels that end at the first still stand for a while.
    for node in 1..4 {
        fleet.kill(node);
    }
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut rng = StdRng::seed_from_u64(4);
    let to = ([127, 0, 0, 1], relay).into();
    let stranger = Stranger::meet(&socket, to, &fleet.policy(), &gates, &mut rng);
    let before = quiet(&fleet);
    let mut flood = Flood {
        fleet: &fleet,
        socket,
        relay,
        open: (relay + 1..relay + BLOCK)
            .filter(|&port| is_open(port))
            .collect(),
        arrived: BTreeMap::new(),
    };
    let (ports, began) = (flood.open.len(), Instant::now());
    flood.run(&stranger, &before, &mut rng);
    let after = quiet(&fleet);
    let (accepted, dropped) = (
        after.accepted - before.accepted,
        after.dropped - before.dropped,
    );
    let hits = flood.of(|_, is_relay| !is_relay);
    println!(
        "{accepted} accepted, {dropped} dropped; {hits} at {ports} endpoint ports; {} ms",
        began.elapsed().as_millis()
    );
    let grown = after.since(&before);
    every_stage_was_hit(&flood, &grown);
    // All that arrives is what was sent: the others are dead, and the daemon sends itself nothing.
    assert_eq!(accepted + dropped, SENT);
    let of_datagrams = grown
        .iter()
        .filter(|(name, _)| !NO_DATAGRAMS.contains(name));
    assert_eq!(of_datagrams.map(|(_, times)| times).sum::<u64>(), dropped);
    assert!(
        dropped >= SENT * 9 / 10,
        "a few questions, handshakes and messages may be accepted"
    );
    let closed = grown.get("PortNotOpen").copied().unwrap_or(0);
    assert!(hits - closed >= AT_ENDPOINTS, "{hits} - {closed}");
    it_still_works(&mut fleet);
}

/// Others join through it and resolve what it announces.
fn it_still_works(fleet: &mut Fleet) {
    assert!(!fleet.log(0).contains("panicked"), "{}", fleet.log(0));
    for node in 1..4 {
        let child = fleet.spawn(node, 10);
        fleet.children[node] = Some(child);
    }
    fleet.settle();
    let stored = fleet.json(0, &["put", "still here"]).expect("stored");
    let key = stored["key"].as_str().expect("a key").to_owned();
    assert_eq!(fleet.run(2, &["get", &key]).stdout, b"still here");
}
