use deut_common::time::{Now, Unix};

use super::*;
use crate::{
    config::{Config, Role},
    io::{Action, Output},
    policy::{Policy, Profile},
};

const TUNNEL: ServedId = ServedId(7);
const TOKEN: PortToken = PortToken(7);
const HOUR_US: u64 = 3_600_000_000;

/// The HELLOs of one endpoint, the budget of a tunnel, and the context they need.
struct Fixture {
    cx: Context,
    hellos: Hellos,
    budget: Bucket,
}

impl Fixture {
    fn new(profile: Profile, tune: impl Fn(&mut Limits)) -> Self {
        let policy = Policy::new("bottle", profile).expect("a short name");
        let mut config = Config::new(policy, Role::Client);
        tune(&mut config.limits);
        let limits = config.limits.clone();
        Self {
            cx: Context::new(config, [1; 32], Now::default()),
            hellos: Hellos::new(&limits, Mono(0)),
            budget: Bucket::slow(limits.hellos_per_tunnel, Mono(0)),
        }
    }

    fn ask(&mut self, to: SocketAddr, gate: u8, content: u8) -> Result<(), DropReason> {
        let mut datagram = Box::new([content; MESSAGE_DATAGRAM]);
        datagram[..8].fill(gate);
        let waiting = Waiting {
            tunnel: TUNNEL,
            token: TOKEN,
            datagram,
        };
        self.hellos.ask(&mut self.cx, &mut self.budget, to, waiting)
    }

    /// Runs everything that is due within `us` microseconds. `open`: the tunnel still stands.
    fn run(&mut self, us: u64, open: bool) {
        let end = Mono(self.cx.mono().0 + us);
        while let Some((at, timer)) = self.cx.timers.next().filter(|(at, _)| *at <= end) {
            self.cx.now.mono = at;
            self.cx.timers.clear(timer);
            let Timer::Hello(to) = timer else {
                panic!("{timer:?}")
            };
            self.hellos.on_timer(&mut self.cx, to, |tunnel| {
                assert_eq!(tunnel, TUNNEL);
                open
            });
        }
        self.cx.now = Now {
            mono: end,
            unix: Unix(0),
        };
    }

    /// HELLOs that left since the last call.
    fn left(&mut self) -> Vec<(SocketAddr, Hello)> {
        let sent = self.cx.out.drain(..).map(|output| {
            let Output::Do(Action::Transmit { from, to, packet }) = output else {
                panic!("{output:?}")
            };
            assert_eq!(from, Port::Endpoint(TOKEN));
            let datagram = packet.bytes().try_into().expect("64 bytes");
            (to, Hello::decode(datagram).expect("a HELLO"))
        });
        sent.collect()
    }

    fn nonce(&mut self) -> HelloNonce {
        match self.left().last() {
            Some((_, Hello::Question { nonce, .. })) => *nonce,
            other => panic!("{other:?}"),
        }
    }

    fn accept(&mut self, from: SocketAddr, nonce: HelloNonce) -> Result<Waiting, DropReason> {
        self.hellos.accept(&mut self.cx, TOKEN, from, nonce)
    }
}

fn address(host: u16, port: u16) -> SocketAddr {
    let [a, b] = host.to_be_bytes();
    SocketAddr::from(([9, 9, a, b], port))
}

#[test]
fn a_silent_address_gets_one_hello_twice_an_hour() {
    let mut it = Fixture::new(Profile::Production, |_| {});
    let to = address(1, 5_000);
    assert_eq!(it.ask(to, 3, 1), Ok(()));
    it.run(499_999, true);
    let first = it.left();
    assert_eq!(first.len(), 1);
    assert!(
        matches!(first[0], (at, Hello::Question { gate: Gate([3, 3, 3, 3, 3, 3, 3, 3]), .. }) if at == to)
    );
    it.run(1, true);
    assert_eq!(it.left(), first, "the same question again");
    // Every ten seconds, for most of an hour, somebody wants to send there.
    for _ in 0..359 {
        it.run(10_000_000, true);
        assert_eq!(it.ask(to, 3, 1), Err(DropReason::SilentDestination));
    }
    assert_eq!(it.left(), []);
    assert_eq!(it.cx.drops.of(DropReason::SilentDestination), 1);
    // Another gate or another address is a new question, and so is the next hour.
    assert_eq!(it.ask(to, 4, 1), Ok(()));
    assert_eq!(it.ask(address(2, 5_000), 3, 1), Ok(()));
    it.run(20_000_000, true);
    assert_eq!(it.left().len(), 4);
    assert_eq!(it.ask(to, 3, 1), Ok(()));
    assert_eq!(it.left().len(), 1);
}

#[test]
fn an_echo_lets_the_message_out_and_is_remembered_for_an_hour() {
    let mut it = Fixture::new(Profile::Production, |_| {});
    let to = address(1, 5_000);
    it.ask(to, 3, 1).expect("asked");
    let nonce = it.nonce();
    let waiting = it.accept(to, nonce).expect("the echo");
    assert_eq!(
        (waiting.tunnel, waiting.datagram[..9].to_vec()),
        (TUNNEL, vec![3, 3, 3, 3, 3, 3, 3, 3, 1])
    );
    assert_eq!(
        it.accept(to, nonce).err(),
        Some(DropReason::UnexpectedEcho),
        "used up"
    );
    assert_eq!(it.cx.timers.len(), 0);
    it.run(HOUR_US - 1, true);
    assert!(it.hellos.consents(to, it.cx.mono()) && it.left().is_empty());
    assert!(
        !it.hellos.consents(address(1, 5_001), it.cx.mono()),
        "another port"
    );
    it.run(1, true);
    assert!(!it.hellos.consents(to, it.cx.mono()));
}

#[test]
fn forged_echoes_are_refused() {
    let mut it = Fixture::new(Profile::Production, |_| {});
    let to = address(1, 5_000);
    it.ask(to, 3, 1).expect("asked");
    let nonce = it.nonce();
    let mut other = nonce;
    other[15] ^= 1;
    let refused = Some(DropReason::UnexpectedEcho);
    assert_eq!(it.accept(to, other).err(), refused, "nonce");
    assert_eq!(it.accept(address(1, 5_001), nonce).err(), refused, "port");
    assert_eq!(it.accept(address(2, 5_000), nonce).err(), refused, "ip");
    let elsewhere = it.hellos.accept(&mut it.cx, PortToken(8), to, nonce);
    assert_eq!(elsewhere.err(), refused, "the port of another tunnel");
    assert!(!it.hellos.consents(to, it.cx.mono()));
    assert!(it.accept(to, nonce).is_ok(), "the control");

    it.ask(address(2, 5_000), 3, 1).expect("asked");
    let nonce = it.nonce();
    it.run(2_000_000, true);
    assert_eq!(
        it.accept(address(2, 5_000), nonce).err(),
        refused,
        "too late"
    );
}

#[test]
fn the_first_message_waits_and_later_ones_do_not_push_it_out() {
    let mut it = Fixture::new(Profile::Production, |_| {});
    let to = address(1, 5_000);
    assert_eq!(it.ask(to, 3, 1), Ok(()));
    let nonce = it.nonce();
    for content in 2..100 {
        assert_eq!(it.ask(to, content, content), Err(DropReason::HelloPending));
    }
    assert_eq!(it.left(), []);
    assert_eq!(it.accept(to, nonce).expect("the echo").datagram[8], 1);
}

#[test]
fn a_flood_is_bounded_per_tunnel_per_host_in_all_and_by_a_table() {
    let asked = |it: &mut Fixture, to: &mut dyn FnMut(u16) -> SocketAddr| {
        (0..2_000).filter(|n| it.ask(to(*n), 3, 1).is_ok()).count()
    };
    let mut hosts = |n| address(n, 5_000);
    let mut ports = |n| address(1, 5_000 + n);
    let large = |limits: &mut Limits| {
        limits.hellos = 10_000;
        limits.hellos_per_tunnel = (10_000, 10_000);
    };

    let mut it = Fixture::new(Profile::Production, |_| {});
    assert_eq!(asked(&mut it, &mut hosts), 16, "per tunnel");
    it.run(100_000_000, true);
    assert_eq!(
        asked(&mut it, &mut |n| address(2_000 + n, 5_000)),
        10,
        "and then one in ten seconds"
    );

    let mut it = Fixture::new(Profile::Production, large);
    assert_eq!(asked(&mut it, &mut ports), 8, "per host");
    it.run(HOUR_US, true);
    assert_eq!(
        asked(&mut it, &mut |n| address(1, 8_000 + n)),
        8,
        "and per hour"
    );
    assert_eq!(it.left().len(), 8 * 2 + 8);

    let mut it = Fixture::new(Profile::Production, large);
    assert_eq!(asked(&mut it, &mut hosts), 512, "in all");

    let mut it = Fixture::new(Profile::Production, |limits| {
        large(limits);
        limits.hellos = 20;
    });
    assert_eq!(asked(&mut it, &mut hosts), 20, "under way");
    assert_eq!(it.ask(address(9, 9_000), 3, 1), Err(DropReason::TableFull));
    it.run(2_000_000, true);
    assert_eq!(it.ask(address(9, 9_000), 3, 1), Ok(()), "room again");
    let limits = it.cx.config.limits.clone();
    assert!(
        it.hellos
            .sizes(&limits)
            .iter()
            .all(|(_, now, cap)| now <= cap)
    );
}

#[test]
fn an_echo_gives_back_what_its_hello_took() {
    let mut it = Fixture::new(Profile::Production, |limits| limits.hellos_in_all = (0, 20));
    for port in 0..2_000 {
        let to = address(1, 5_000 + port);
        assert_eq!(it.ask(to, 3, 1), Ok(()), "{port}");
        let nonce = it.nonce();
        assert!(it.accept(to, nonce).is_ok());
        it.budget.give_back();
    }
    let limits = it.cx.config.limits.clone();
    assert!(
        it.hellos
            .sizes(&limits)
            .iter()
            .all(|(_, now, cap)| now <= cap)
    );
    // The twin: nobody echoes.
    let asked = (0..2_000).filter(|port| it.ask(address(2, 5_000 + port), 3, 1).is_ok());
    assert_eq!(asked.count(), 8);
}

#[test]
fn the_end_of_the_asking_tunnel_says_nothing_about_the_address() {
    let mut it = Fixture::new(Profile::Production, |_| {});
    let to = address(1, 5_000);
    it.ask(to, 3, 1).expect("asked");
    it.run(10_000_000, false);
    assert_eq!(it.left().len(), 1, "no repeat from a closed port");
    assert_eq!(it.ask(to, 3, 1), Ok(()));
}

#[test]
fn switched_off_nothing_is_asked() {
    let mut it = Fixture::new(Profile::Production, |limits| limits.hellos = 0);
    assert_eq!(
        it.ask(address(1, 5_000), 3, 1),
        Err(DropReason::UnknownDestination)
    );
    assert_eq!(it.left(), []);
}
