//! Somebody announces its persona as soon as it can look up, and a fresh client asks for it: it must be given addresses.
//!
//! Both sides do what `deut announce` and `deut get` do: the one waits until its persona is found by others, the other looks
//! again with growing pauses. The broken twin does neither, as these commands once did.
#![allow(
    clippy::print_stdout,
    reason = "figures for whoever runs it with --nocapture"
)]

use std::ops::Range;

use deut::core::CoreConfig;
use deut_kademlia::{Announced, Query, QueryResult};
use deut_tests::net::{Net, Suites};

const SECOND: u64 = 1_000_000;
/// What the commands have by default.
const TIMEOUT: u64 = 30 * SECOND;
const INFOHASH: [u8; 20] = [9; 20];
/// Relays, the one that announces among them.
const NETWORKS: [usize; 4] = [2, 4, 6, 16];

/// As many tunnels as `deut testnet` gives its nodes.
fn tune(config: &mut CoreConfig) {
    let transport = &mut config.transport;
    (transport.lookup_tunnels, transport.persona_tunnels) = (4, 2);
}

fn run_ready(net: &mut Net, node: usize) {
    let ready = net.run_until(120 * SECOND, |net| net.nodes[node].core.readiness().ready);
    assert!(ready, "node {node}: {:?}", net.nodes[node].core.readiness());
}

/// Announces until somebody took it.
fn announce(net: &mut Net, node: usize) {
    let key = net.nodes[node].core.persona_key().expect("a persona");
    let (infohash, what) = (INFOHASH, Announced::Persona(key));
    let taken = (0..30).any(|_| {
        let result = net.ask(node, Query::Announce { infohash, what }).result;
        let taken = matches!(result, QueryResult::Stored { at, .. } if at > 0);
        net.run(if taken { 0 } else { SECOND / 2 });
        taken
    });
    assert!(taken, "nobody took it");
}

fn is_found(net: &Net, node: usize) -> bool {
    let reach = net.nodes[node].core.persona_reach(net.now());
    reach.is_some_and(|reach| reach.stands())
}

/// What one lookup of the client brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Got {
    Nobody,
    NoAddress,
    Addresses,
}

fn get(net: &mut Net, node: usize) -> Got {
    let infohash = INFOHASH;
    match net.ask(node, Query::GetPeers { infohash }).result {
        QueryResult::Peers(peers) if peers.iter().any(|peer| peer.reachable == Some(true)) => {
            Got::Addresses
        }
        QueryResult::Peers(_) => Got::NoAddress,
        _ => Got::Nobody,
    }
}

/// What came of some networks.
#[derive(Debug, Default)]
struct Tally {
    networks: u32,
    /// What the first lookup brought.
    nobody: u32,
    no_address: u32,
    /// What the command brought.
    missed: Vec<u64>,
    /// The longest that announcing waited for the persona to be found, and the most lookups of a client.
    waited_ms: u64,
    lookups: u32,
}

impl Tally {
    fn add(&mut self, seed: u64, nodes: usize, waits: bool) {
        let mut net = Net::of_relays(seed, Suites::stand_in(), nodes, tune);
        let announcer = nodes.div_ceil(2) - 1;
        run_ready(&mut net, announcer);
        announce(&mut net, announcer);
        let start = net.now_us();
        if waits {
            let found = net.run_until(TIMEOUT, |net| is_found(net, announcer));
            let reach = net.nodes[announcer].core.persona_reach(net.now());
            assert!(found, "seed {seed}, {nodes} nodes: {reach:?}");
        }
        self.waited_ms = self.waited_ms.max((net.now_us() - start) / 1_000);
        let client = net.add_client(tune);
        run_ready(&mut net, client);
        let until = net.now_us() + TIMEOUT;
        let mut got = get(&mut net, client);
        self.networks += 1;
        self.nobody += u32::from(got == Got::Nobody);
        self.no_address += u32::from(got == Got::NoAddress);
        let mut lookups = 1;
        while waits && got != Got::Addresses && net.now_us() < until {
            net.run(SECOND / 2 * u64::from(lookups.min(8)));
            got = get(&mut net, client);
            lookups += 1;
        }
        self.lookups = self.lookups.max(lookups);
        if got != Got::Addresses {
            self.missed.push(seed);
        }
    }

    fn of(seeds: Range<u64>, nodes: usize, waits: bool) -> Self {
        let mut tally = Self::default();
        seeds.for_each(|seed| tally.add(seed, nodes, waits));
        println!("{nodes} nodes, waiting: {waits}: {tally:?}");
        tally
    }
}

/// `seeds` says how many networks of a size.
fn all_are_found(seeds: impl Fn(usize) -> u64) {
    let tallies = NETWORKS.map(|nodes| Tally::of(0..seeds(nodes), nodes, true));
    let all = tallies.iter().all(|tally| tally.missed.is_empty());
    assert!(all, "{tallies:#?}");
}

#[test]
fn whoever_announced_is_found_with_addresses() {
    all_are_found(|nodes| if nodes < 10 { 60 } else { 20 });
}

#[test]
#[ignore = "minutes"]
fn whoever_announced_is_found_with_addresses_in_a_thousand_networks() {
    all_are_found(|_| 1_000);
}

/// Until the entries expire the dead announcer is found beside the living one.
#[test]
fn who_announced_before_a_restart_is_told_from_who_is_there() {
    let infohash = INFOHASH;
    for seed in 0..5 {
        let mut net = Net::of_relays(seed, Suites::stand_in(), 6, tune);
        let announcer = 3;
        (0..6).for_each(|node| run_ready(&mut net, node));
        let client = net.add_client(tune);
        run_ready(&mut net, client);
        let mut keys = Vec::new();
        for _ in 0..3 {
            announce(&mut net, announcer);
            assert!(
                net.run_until(TIMEOUT, |net| is_found(net, announcer)),
                "seed {seed}"
            );
            keys.insert(
                0,
                net.nodes[announcer].core.persona_key().expect("a persona"),
            );
            let until = net.now_us() + TIMEOUT;
            while get(&mut net, client) != Got::Addresses {
                assert!(net.now_us() < until, "seed {seed}: {} lives", keys.len());
                net.run(SECOND);
            }
            let QueryResult::Peers(peers) = net.ask(client, Query::GetPeers { infohash }).result
            else {
                panic!("seed {seed}: nobody")
            };
            let living = Announced::Persona(keys[0]);
            assert_eq!(
                (peers[0].what, peers[0].reachable),
                (living, Some(true)),
                "seed {seed}: {peers:?}"
            );
            assert_eq!(
                peers.len(),
                keys.len(),
                "control: the dead ones are found too"
            );
            assert!(
                peers[1..].iter().all(|dead| dead.reachable != Some(true)),
                "seed {seed}: {peers:?}"
            );
            net.kill(announcer);
            assert_ne!(
                get(&mut net, client),
                Got::Addresses,
                "seed {seed}: nobody is there"
            );
            net.restart(announcer);
            run_ready(&mut net, announcer);
        }
    }
}

/// The broken twin: announcing is over as soon as the record is stored, and one lookup is enough for whoever asks.
#[test]
fn without_waiting_some_are_found_without_addresses() {
    let missed = [4, 6].map(|nodes| Tally::of(0..60, nodes, false).no_address);
    assert!(missed.iter().all(|missed| *missed > 0), "{missed:?}");
}

/// There all tunnels of the announcer's persona, and the first two that follow them, end at one relay where nobody else is
/// registered. It moved on only every twenty seconds; in the second network too, where its tunnels ended at two such relays.
#[test]
fn a_persona_whose_tunnels_end_where_nobody_is_registered_gets_away() {
    for (seed, nodes) in [(433, 4), (358, 16)] {
        let tally = Tally::of(seed..seed + 1, nodes, true);
        assert!(
            tally.missed.is_empty() && tally.waited_ms < 10_000,
            "{tally:?}"
        );
    }
}

/// There the personas are two pairs that do not know each other for a while, and all tunnels of the client end where only the
/// other pair is registered. Who looks up did not move its tunnels on.
#[test]
fn whoever_knows_one_part_of_the_network_finds_the_other() {
    let tally = Tally::of(911..912, 4, true);
    assert!(tally.missed.is_empty(), "{tally:?}");
}
