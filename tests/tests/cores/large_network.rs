//! More relays than one directory holds: endpoints ask unknown addresses with a HELLO (protocol §7.5).

#![expect(clippy::print_stdout, reason = "figures for whoever reads along")]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use deut::core::{CoreCommand, CoreConfig, CoreEvent};
use deut_common::ids::PersonaKey;
use deut_kademlia::{Query, QueryResult};
use deut_tests::{
    net::{Net, Sighting},
    observe::capture::{self, is_relay},
    stand_in::StandIn,
};
use deut_transport::{
    DropReason,
    crypto::message::gate,
    ids::{PoolId, Service},
    io::Destination,
    wire::hello::Hello,
};

const RELAYS: usize = 40;
const CAP: usize = 5;

/// A directory that holds an eighth of the network.
fn small_directory(config: &mut CoreConfig) {
    config.transport.limits.relays = CAP;
    // Minutes, so that the directories differ as they do after hours.
    config.transport.times.newcomer_ms = 1_000;
}

/// The twin: as it was before there were HELLOs.
fn no_hello(config: &mut CoreConfig) {
    small_directory(config);
    config.transport.limits.hellos = 0;
}

/// Endpoints that know hardly anybody: nearly everything waits for an echo.
fn hardly_anybody_known(config: &mut CoreConfig) {
    config.transport.limits.relays = 2;
    config.transport.times.newcomer_ms = 3_600_000;
}

fn sum(net: &Net, of: impl Fn(&deut_transport::status::Counters) -> u64) -> u64 {
    net.nodes.iter().map(|node| of(&node.core.counters())).sum()
}

fn drops(net: &Net, reason: DropReason) -> u64 {
    net.nodes
        .iter()
        .map(|node| node.core.drops().of(reason))
        .sum()
}

/// How lookups went.
#[derive(Debug, Default)]
struct Tally {
    /// Values put by some nodes and looked for by others: found, out of how many.
    found: usize,
    wanted: usize,
    /// RPCs of all queries: answered, failed, out of how many. The others were not waited for.
    answered: u32,
    failed: u32,
    sent: u32,
}

impl Tally {
    fn ask(&mut self, net: &mut Net, node: usize, query: Query) -> QueryResult {
        let outcome = net.ask(node, query);
        self.answered += outcome.stats.answered;
        self.failed += outcome.stats.failed;
        self.sent += outcome.stats.sent;
        outcome.result
    }

    fn values(&mut self, net: &mut Net) {
        for n in 0..8 {
            let value = vec![7; 500 + n];
            let query = Query::PutValue {
                value: value.clone(),
            };
            let put = self.ask(net, n, query);
            for other in [15, 25, 35] {
                self.wanted += 1;
                let QueryResult::Stored { key, .. } = put else {
                    continue;
                };
                let got = self.ask(net, n % 5 + other, Query::GetValue { key });
                self.found += usize::from(got == QueryResult::Value(value.clone()));
            }
        }
    }
}

fn run(tune: fn(&mut CoreConfig)) -> (Net, Tally) {
    let mut net = Net::of_relays(31, Arc::new(StandIn), RELAYS, tune);
    net.run_until(120_000_000, |net| {
        net.nodes.iter().all(|node| node.core.readiness().ready)
    });
    net.run(120_000_000);
    let mut tally = Tally::default();
    tally.values(&mut net);
    println!(
        "{tally:?}; messages {}, HELLOs {}, echoed {}, endpoints unknown {}",
        sum(&net, |c| c.endpoint_sent),
        sum(&net, |c| c.hellos_sent),
        sum(&net, |c| c.hellos_echoed),
        drops(&net, DropReason::BadEndpointAnswer),
    );
    for reason in [
        DropReason::UnknownDestination,
        DropReason::SilentDestination,
        DropReason::HelloPending,
        DropReason::GateClosed,
        DropReason::PortNotOpen,
        DropReason::RateLimited,
        DropReason::TableFull,
    ] {
        println!("  {}: {}", reason.name(), drops(&net, reason));
    }
    (net, tally)
}

#[test]
fn values_are_found_in_a_network_eight_times_as_large_as_a_directory() {
    let (net, tally) = run(small_directory);
    let audits = net.nodes.iter().map(|node| node.core.audit());
    assert!(
        audits
            .into_iter()
            .all(|audit| audit.transport.within_caps())
    );
    assert!(net.nodes.iter().all(|node| node.core.relays().len() <= CAP));
    assert_eq!(drops(&net, DropReason::UnknownDestination), 0);
    assert_eq!(tally.found, tally.wanted, "{tally:?}");
    assert!(tally.failed * 20 < tally.answered, "{tally:?}");
}

/// The broken twin: what leads to unknown relays is dropped. Queries ask again over other tunnels until they find what they
/// want, so it is not always values that are lost.
#[test]
fn without_hello_messages_and_questions_are_lost() {
    let (net, tally) = run(no_hello);
    let lost = drops(&net, DropReason::UnknownDestination);
    assert!(lost > sum(&net, |counters| counters.endpoint_sent) / 2);
    assert!(tally.failed * 20 >= tally.answered, "{tally:?}");
}

/// A live endpoint address of a persona, and the gate that is open there.
fn open_gate(net: &Net, node: usize) -> (SocketAddr, [u8; 8]) {
    let core = &net.nodes[node].core;
    let mut tunnels = core.tunnels(net.now()).into_iter();
    let address = tunnels
        .find(|view| view.up && view.pool == PoolId::Persona)
        .expect("a persona tunnel")
        .address;
    let key = core.persona_key().expect("a persona");
    (address, gate(&key, address).0)
}

fn question(gate: [u8; 8]) -> Vec<u8> {
    let hello = Hello::Question {
        gate: deut_transport::ids::Gate(gate),
        nonce: [9; 16],
    };
    hello.encode([5; 64]).to_vec()
}

/// Echoes with the nonce of [`question`], by where they go.
fn echoes(wire: &[Sighting]) -> Vec<SocketAddr> {
    let echo = Hello::Echo { nonce: [9; 16] };
    let is_echo = |seen: &&Sighting| {
        seen.bytes
            .as_slice()
            .try_into()
            .ok()
            .and_then(|bytes| Hello::decode(&bytes))
            == Some(echo)
    };
    wire.iter().filter(is_echo).map(|seen| seen.to).collect()
}

#[test]
fn only_an_open_gate_echoes_and_only_to_where_it_may() {
    let mut net = Net::of_relays(32, Arc::new(StandIn), 8, |_| {});
    net.run_ready();
    let wire = capture::wire(&mut net);
    let (to, gate) = open_gate(&net, 3);
    let asker: SocketAddr = "10.0.9.9:5000".parse().expect("an address");
    let mut closed = gate;
    closed[7] ^= 1;
    let mut asked = |from: SocketAddr, to: SocketAddr, bytes: &[u8]| {
        wire.borrow_mut().clear();
        net.inject(from, to, bytes);
        net.run(100_000);
        echoes(&wire.borrow())
    };
    assert_eq!(asked(asker, to, &question(gate)), [asker], "the control");
    // A gate that is closed; all zero; another kind; too short, too long.
    assert_eq!(asked(asker, to, &question(closed)), []);
    assert_eq!(asked(asker, to, &question([0; 8])), []);
    let mut other = question(gate);
    other[8] = 3;
    assert_eq!(asked(asker, to, &other), []);
    assert_eq!(asked(asker, to, &question(gate)[..63]), []);
    assert_eq!(asked(asker, to, &[&question(gate)[..], &[0]].concat()), []);
    // Nobody is made to write to a port where no relay may live, to an amplifier's, or to itself.
    for port in [53, 1_900, 5_353] {
        let from = SocketAddr::new(asker.ip(), port);
        assert_eq!(asked(from, to, &question(gate)), []);
    }
    assert_eq!(
        asked(SocketAddr::new(to.ip(), to.port() + 1), to, &question(gate)),
        []
    );
    // An echo is not answered, and opens nothing.
    let echo = Hello::Echo { nonce: [9; 16] }.encode([5; 64]);
    assert_eq!(asked(asker, to, &echo), []);
    assert_eq!(drops(&net, DropReason::UnexpectedEcho), 1);
    // A flood: burst 40, then 10 per second.
    wire.borrow_mut().clear();
    for _ in 0..2_000 {
        net.inject(asker, to, &question(gate));
        net.run(1_000);
    }
    let count = echoes(&wire.borrow()).len();
    assert!((55..=62).contains(&count), "{count} echoes in two seconds");
    assert!(
        wire.borrow()
            .iter()
            .all(|seen| seen.to != asker || seen.bytes.len() == 64)
    );
}

const SERVICE: Service = Service(300);

/// What a host that does not speak DEUT gets when a master sends to it through all its tunnels for so many seconds.
fn at_a_stranger(
    tune: fn(&mut CoreConfig),
    stranger: SocketAddr,
    seconds: u64,
) -> BTreeMap<SocketAddr, Vec<usize>> {
    let mut net = Net::of_relays(33, Arc::new(StandIn), 8, tune);
    net.run_ready();
    let wire = capture::wire(&mut net);
    let key = PersonaKey(net.nodes[3].core.persona_key().expect("a persona"));
    for ticket in 0..seconds {
        let to = Destination {
            key,
            at: vec![stranger],
        };
        let body = ticket.to_be_bytes().to_vec();
        net.command(
            5,
            CoreCommand::Call {
                ticket,
                service: SERVICE,
                to,
                body,
            },
        );
        net.run(1_000_000);
    }
    net.run(10_000_000);
    let failed = |(_, event): &&(u64, CoreEvent)| matches!(event, CoreEvent::CallFailed { .. });
    assert_eq!(
        net.nodes[5].events.iter().filter(failed).count() as u64,
        seconds
    );
    let mut got: BTreeMap<SocketAddr, Vec<usize>> = BTreeMap::new();
    for seen in wire.borrow().iter().filter(|seen| seen.to == stranger) {
        let asker = SocketAddr::new(seen.from.ip(), 0);
        got.entry(asker).or_default().push(seen.bytes.len());
    }
    got
}

#[test]
fn a_host_that_does_not_speak_deut_gets_two_hellos_from_each_endpoint() {
    let stranger = "10.0.9.9:5000".parse().expect("an address");
    let got = at_a_stranger(|_| {}, stranger, 120);
    println!("{got:?}");
    assert!(got.len() > 2, "several endpoints were tried");
    assert!(got.values().all(|sizes| *sizes == [64, 64]), "{got:?}");
    // The twin: an endpoint that forgets who was silent.
    let forgetful = |config: &mut CoreConfig| config.transport.times.silence_ms = 0;
    let got = at_a_stranger(forgetful, stranger, 120);
    assert!(got.values().any(|sizes| sizes.len() > 2), "{got:?}");
    // Never where no relay may live.
    let forbidden = at_a_stranger(|_| {}, "10.0.9.9:5353".parse().expect("an address"), 20);
    assert_eq!(forbidden, BTreeMap::new());
}

/// Every message that leaves for somewhere else follows an echo of that address, or goes to a relay of the directory.
#[test]
fn no_message_leaves_for_an_address_that_has_not_echoed() {
    let mut net = Net::new(34, Arc::new(StandIn));
    let wire = capture::wire(&mut net);
    for _ in 0..12 {
        net.add_relay(hardly_anybody_known);
    }
    let mut directories = Directories::default();
    net.run_until(240_000_000, |net| {
        directories.look(net);
        false
    });
    let transcript = wire.take();
    let (messages, unasked, echoed) = follow(&transcript, &directories);
    println!("{messages} messages, {echoed} addresses echoed");
    assert!(messages > 200 && echoed > 20);
    assert_eq!(unasked, 0);
    // The twin: a transcript in which the echoes are missing.
    let is_echo = |seen: &&Sighting| seen.bytes.len() == 64 && seen.bytes[8] == 2;
    let lost: Vec<Sighting> = transcript
        .iter()
        .filter(|seen| !is_echo(seen))
        .cloned()
        .collect();
    assert!(follow(&lost, &directories).1 > 100);
}

/// Who was in whose directory, and from when on.
#[derive(Default)]
struct Directories(BTreeMap<IpAddr, Vec<(u64, BTreeSet<IpAddr>)>>);

impl Directories {
    fn look(&mut self, net: &Net) {
        for node in &net.nodes {
            let relays = node
                .core
                .relays()
                .iter()
                .map(|relay| relay.address.ip())
                .collect();
            let seen = self.0.entry(node.address.ip()).or_default();
            if seen.last().is_none_or(|(_, last)| *last != relays) {
                seen.push((net.now_us(), relays));
            }
        }
    }

    /// Whether `from` knew the host of `to` when it sent this.
    fn covered(&self, seen: &Sighting) -> bool {
        let states = &self.0[&seen.from.ip()];
        let before = states
            .partition_point(|(since, _)| *since < seen.at)
            .saturating_sub(1);
        let mut then = states[before..]
            .iter()
            .take_while(|(since, _)| *since <= seen.at);
        then.any(|(_, relays)| relays.contains(&seen.to.ip()))
    }
}

/// Messages, those of them that nobody allowed, and addresses that echoed.
fn follow(transcript: &[Sighting], directories: &Directories) -> (usize, usize, usize) {
    let (mut asked, mut echoed) = (BTreeMap::new(), BTreeSet::new());
    let (mut messages, mut unasked) = (0, 0);
    for seen in transcript.iter().filter(|seen| !is_relay(seen)) {
        let Ok(datagram) = seen.bytes.as_slice().try_into() else {
            messages += 1;
            let allowed = echoed.contains(&(seen.from.ip(), seen.to)) || directories.covered(seen);
            unasked += usize::from(!allowed);
            continue;
        };
        match Hello::decode(&datagram).expect("a HELLO") {
            Hello::Question { nonce, .. } => {
                asked.insert((seen.from, seen.to), nonce);
            }
            Hello::Echo { nonce } => {
                assert_eq!(asked.get(&(seen.to, seen.from)), Some(&nonce));
                echoed.insert((seen.to.ip(), seen.from));
            }
        }
    }
    (messages, unasked, echoed.len())
}
