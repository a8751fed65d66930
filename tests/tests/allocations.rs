//! One datagram makes no node allocate more than 64 KiB at once: a peer can make it work, not swell.
//!
//! A counting allocator notes the largest allocation while a machine handles a datagram and says what to do next.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fs,
    net::SocketAddr,
    path::Path,
    sync::Arc,
};

use deut::core::Core;
use deut_common::time::Now;
use deut_tests::{
    fuzz::{neighbour, network, target},
    kit::{
        relay::{address_of, descriptor},
        watch::set_watch,
        world::{Flight, World},
    },
    net::{Net, RELAY_PORT, clock},
    stand_in::StandIn,
};
use deut_transport::{
    Restored, Transport,
    config::{Config, Role},
    ids::Port,
    keys::RelayKeys,
    packet::Packet,
    wire::{
        datagram::{Datagram, Kind, parse_who_are_you, who_are_you_answer},
        frame,
    },
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

/// The promise.
const LARGEST: usize = 64 * 1_024;

thread_local! {
    static LOOKING: Cell<bool> = const { Cell::new(false) };
    static LARGEST_SEEN: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, watched.
struct Watched;

fn note(size: usize) {
    // A thread that ends has no thread-local values any more.
    let _ = LOOKING.try_with(|looking| {
        if looking.get() {
            let _ = LARGEST_SEEN.try_with(|largest| largest.set(largest.get().max(size)));
        }
    });
}

// An allocator cannot be written without `unsafe`. Each call is passed on to the system's as it came, so what the caller
// promises holds there too; `note` neither allocates nor panics.
#[allow(unsafe_code)]
// SAFETY: see above.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

fn look(now: bool) {
    LOOKING.set(now);
}

/// The largest allocation while machines worked inside `what`.
fn largest(what: impl FnOnce()) -> usize {
    LARGEST_SEEN.set(0);
    set_watch(Some(look));
    what();
    set_watch(None);
    LARGEST_SEEN.get()
}

#[test]
fn the_counter_sees_allocations_while_it_looks() {
    for (looking, expected) in [(true, LARGEST + 1_024), (false, 0)] {
        LARGEST_SEEN.set(0);
        look(looking);
        let mut bytes = vec![1_u8; LARGEST + 1_024];
        look(false);
        bytes.push(1);
        assert_eq!(LARGEST_SEEN.get(), expected);
    }
    // Growing counts as well as asking for much at once.
    LARGEST_SEEN.set(0);
    let mut bytes = vec![1_u8; 1_000];
    look(true);
    bytes.reserve_exact(LARGEST);
    look(false);
    assert_eq!(LARGEST_SEEN.get(), LARGEST + 1_000);
}

#[test]
fn no_input_of_a_corpus_takes_more() {
    for name in ["transport", "neighbour", "dht", "network"] {
        let target = target(name).expect("a target");
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(name);
        let mut most = 0;
        for file in fs::read_dir(directory).expect("a corpus") {
            let path = file.expect("listed").path();
            let bytes = fs::read(&path).expect("readable");
            let took = largest(|| {
                (target.body)(&bytes);
            });
            assert!(took <= LARGEST, "{}: {took} bytes", path.display());
            most = most.max(took);
        }
        assert!(most > 0, "control: {name} was watched");
        println!("{name}: at most {most} bytes at once");
    }
}

/// Real datagrams changed, and made-up ones, from more sources than a node remembers.
#[test]
fn a_hundred_thousand_datagrams_take_no_more() {
    let mut world = network::world();
    world.fuel = u32::MAX;
    world.run(6_000_000);
    let mut rng = StdRng::seed_from_u64(0xa110c);
    let mut changed: Vec<Flight> = world.past.iter().cloned().collect();
    let most = largest(|| {
        for number in 0..200_000_u32 {
            let flight = hostile(&mut world, &mut rng, &changed);
            world.deliver(&flight, false);
            if number % 500 == 0 {
                world.flights.clear();
                world.run(100_000);
                changed.splice(.., world.past.iter().cloned());
                if heard(&world) > 100_000 {
                    break;
                }
            }
        }
    });
    let heard = heard(&world);
    assert!(heard > 100_000, "control: {heard} arrived");
    let accepted: u64 = world
        .seats
        .iter()
        .map(|seat| seat.machine.counters().accepted)
        .sum();
    assert!(accepted > 2_000, "control: {accepted} were taken in");
    println!("{heard} datagrams arrived, {accepted} were taken in");
    assert!(most > 0 && most <= LARGEST, "{most} bytes");
    println!("100,000 datagrams: at most {most} bytes at once");
}

fn heard(world: &World<Core>) -> u64 {
    let counters = world.seats.iter().map(|seat| seat.machine.counters());
    counters
        .map(|counters| counters.accepted + counters.dropped)
        .sum()
}

fn hostile(world: &mut World<Core>, rng: &mut StdRng, real: &[Flight]) -> Flight {
    let host: u16 = rng.random_range(0..6_000);
    let [high, low] = host.to_be_bytes();
    let mut from = SocketAddr::from(([10, 77, high, low], RELAY_PORT));
    let seat = rng.random_range(0..world.seats.len());
    let mut to = address_of(seat);
    let mut bytes = match rng.random_range(0..3) {
        0 => {
            let old = &real[rng.random_range(0..real.len())];
            (from, to) = (old.from, old.to);
            old.bytes.clone()
        }
        1 => {
            let mut bytes = vec![0; 1_232];
            rng.fill_bytes(&mut bytes);
            bytes[0] = rng.random_range(0..8);
            bytes
        }
        _ => {
            if let Some(port) = world.endpoint_port(seat, rng.random_range(0..8)) {
                to.set_port(port);
            }
            let mut bytes = vec![0; [64, 1_120, 1_232, 1_281][rng.random_range(0..4)]];
            rng.fill_bytes(&mut bytes);
            bytes
        }
    };
    for _ in 0..rng.random_range(0..3) {
        let at = rng.random_range(0..bytes.len());
        bytes[at] ^= rng.random::<u8>();
    }
    let at = world.now;
    Flight {
        at,
        from,
        to,
        bytes,
    }
}

/// A neighbour that is master of as many tunnels as one may have says goodbye in one datagram.
#[test]
fn a_neighbour_that_leaves_with_all_its_tunnels_takes_no_more() {
    let (mut world, mut partner) = neighbour::start_with(u32::MAX, |_| {});
    for _ in 0..160 {
        partner.walk();
        neighbour::run(&mut world, &mut partner, 40);
    }
    let (_, served) = world.seats[0].machine.transit();
    assert!(served >= 120, "control: {served} tunnels end here");
    let most = largest(|| {
        partner.send(&frame::encode_goodbye());
        partner.pump(&mut world);
    });
    assert_eq!(world.seats[0].machine.transit(), (0, 0), "control");
    assert!(most > 0 && most <= LARGEST, "{most} bytes");
    println!("{served} tunnels closed: at most {most} bytes at once");
}

/// The directory fills up to its cap of 4,096 relays, one answer at a time.
#[test]
fn a_directory_that_fills_up_takes_no_more() {
    const RELAYS: u16 = 4_096;
    let place = |number: u16| {
        let [high, low] = number.to_be_bytes();
        SocketAddr::from(([10, 44, high, low], 4_000))
    };
    let keys = |number: u16| {
        let mut seed = [0x44; 32];
        seed[..2].copy_from_slice(&number.to_be_bytes());
        RelayKeys::from_seed(&seed)
    };
    let relays = (0..RELAYS).map(|number| *descriptor(&keys(number), place(number)).bytes());
    let restored = Restored {
        key_seed: [1; 32],
        relays: relays.collect(),
    };
    let mut config = Config::new(Net::policy(), Role::Client);
    config.lookup_tunnels = 0;
    config.limits.unverified = usize::from(RELAYS);
    let now = clock(0);
    let mut node = Transport::new(config, Arc::new(StandIn), &restored, [3; 32], now);
    let mut rng = StdRng::seed_from_u64(5);
    let asker = SocketAddr::from(([10, 0, 0, 1], 4_000));
    let mut answers: Vec<(SocketAddr, Datagram)> = Vec::new();
    for _ in 0..2 {
        node.handle_input(now, deut_transport::io::Input::Timeout);
        for (to, bytes) in sent(&mut node, now) {
            if Kind::of(&bytes) == Some(Kind::WhoAreYou) {
                let [_, _, high, low] = ip_bytes(to);
                let number = u16::from_be_bytes([high, low]);
                let (keys, nonce) = (keys(number), parse_who_are_you(&bytes).nonce);
                let own = descriptor(&keys, to);
                answers.push((to, who_are_you_answer(&keys, &own, &nonce, asker, &mut rng)));
            }
        }
    }
    let most = largest(|| {
        for (from, answer) in &answers {
            look(true);
            let packet = Packet::copy_of(answer);
            let _ = node.handle_datagram(now, Port::Relay, *from, packet);
            look(false);
            sent(&mut node, now);
        }
    });
    assert_eq!(node.relays().len(), usize::from(RELAYS), "control");
    assert!(most > 0 && most <= LARGEST, "{most} bytes");
    println!("{RELAYS} relays: at most {most} bytes at once");
}

fn ip_bytes(address: SocketAddr) -> [u8; 4] {
    match address.ip() {
        std::net::IpAddr::V4(ip) => ip.octets(),
        std::net::IpAddr::V6(_) => panic!("all of them are IPv4"),
    }
}

/// Drains it; the datagrams of the relay port.
fn sent(node: &mut Transport, now: Now) -> Vec<(SocketAddr, Datagram)> {
    let mut sent = Vec::new();
    loop {
        look(true);
        let output = node.poll_output(now);
        look(false);
        match output {
            deut_transport::io::Output::Do(deut_transport::io::Action::Transmit {
                to,
                packet,
                ..
            }) => {
                let bytes: Datagram = packet.bytes().try_into().expect("the length");
                sent.push((to, bytes));
            }
            deut_transport::io::Output::Wait { .. } => return sent,
            _ => {}
        }
    }
}
