//! A node whose network is gone for ten minutes, while all peers that it was told to join through go for good: seven relays
//! that it knew are there when the network returns. It must be back within a minute, also if it started again meanwhile.

use std::{net::SocketAddr, sync::Arc};

use deut::core::CoreConfig;
use deut_kademlia::{Query, QueryResult};
use deut_tests::{
    kit::relay::role,
    net::{Net, RELAY_PORT},
    stand_in::StandIn,
};
use deut_transport::{
    config::Config,
    policy::{Policy, Profile},
    status::Reason,
};

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;
const SEEDS: std::ops::RangeInclusive<u64> = 1..=12;

/// The peers to join through, and the seven others.
const PEERS: usize = 2;
const OTHERS: usize = 7;

/// As nodes were before: who does not answer is forgotten.
fn forgetful(config: &mut CoreConfig) {
    config.transport.limits.relays_remembered = 0;
}

/// The rules of public networks: who was silent is not asked for an hour because others name it.
fn production(config: &mut CoreConfig) {
    let policy = Policy::new("offline", Profile::Production).expect("a short name");
    config.transport = Config {
        lookup_tunnels: 4,
        persona_tunnels: 2,
        peers_listed: config.transport.peers_listed,
        ..Config::new(policy, config.transport.role)
    };
}

fn forgetful_production(config: &mut CoreConfig) {
    production(config);
    forgetful(config);
}

fn ready(net: &Net, node: usize) -> bool {
    net.nodes[node].core.readiness().ready
}

/// One more relay at a public address in a /16 of its own.
fn add_public(net: &mut Net, tune: impl FnOnce(&mut CoreConfig)) -> usize {
    let number = u8::try_from(net.nodes.len()).expect("few nodes");
    let address = SocketAddr::from(([11 + 10 * number, 3 * number, 7, 1], RELAY_PORT));
    net.add(role(address, 1_024), address, true, tune)
}

/// A network that stands, with one node more that is tuned like this: its number.
fn network(seed: u64, public: bool, tune: fn(&mut CoreConfig)) -> (Net, usize) {
    let mut net = Net::new(seed, Arc::new(StandIn));
    for _ in 0..PEERS + OTHERS {
        if public {
            add_public(&mut net, production);
        } else {
            net.add_relay(|_| {});
        }
    }
    let node = match (public, seed % 2) {
        (true, _) => add_public(&mut net, tune),
        // Clients too: nobody dials them.
        (false, 0) => net.add_client(tune),
        (false, _) => net.add_relay(tune),
    };
    net.run_ready();
    net.run(2 * MINUTE);
    (net, node)
}

/// Its network goes, and the peers go for good.
fn lose(net: &mut Net, node: usize) {
    net.nodes[node].side = 1;
    net.cut = true;
    (0..PEERS).for_each(|peer| net.kill(peer));
}

/// Its network returns; after how many virtual seconds it is ready, within ten minutes.
fn back_after(net: &mut Net, node: usize) -> Option<u64> {
    let start = net.now_us();
    net.cut = false;
    net.run_until(10 * MINUTE, |net| ready(net, node))
        .then(|| (net.now_us() - start).div_ceil(SECOND))
}

fn is_alone(net: &Net, node: usize) -> bool {
    let readiness = net.nodes[node].core.readiness();
    readiness.relays == 0 && !readiness.ready
}

#[test]
fn after_ten_minutes_without_network_a_node_is_back_within_a_minute() {
    let (mut slowest, mut slowest_find) = (0, 0);
    for seed in SEEDS {
        let (mut net, node) = network(seed, false, |_| {});
        let value = b"put before".to_vec();
        let stored = net.ask(
            4,
            Query::PutValue {
                value: value.clone(),
            },
        );
        let QueryResult::Stored { key, .. } = stored.result else {
            panic!("{stored:?}")
        };
        lose(&mut net, node);
        net.run(10 * MINUTE);
        assert!(is_alone(&net, node), "control: it has lost all");
        let reasons = net.nodes[node].core.readiness().reasons;
        assert_eq!(reasons, [Reason::NobodyAnswers]);
        let after = back_after(&mut net, node).unwrap_or_else(|| panic!("seed {seed}: never"));
        slowest = slowest.max(after);
        assert!(after <= 60, "seed {seed}: after {after} s");
        let start = net.now_us();
        let finds = loop {
            let found = net.ask(node, Query::GetValue { key }).result;
            if found == QueryResult::Value(value.clone()) {
                break true;
            }
            if net.now_us() > start + 2 * MINUTE {
                break false;
            }
            net.run(SECOND);
        };
        slowest_find = slowest_find.max((net.now_us() - start) / SECOND);
        assert!(finds, "seed {seed}: it is ready but finds nothing");
        assert!(net.nodes[node].core.audit().transport.within_caps());
    }
    println!("back after {slowest} s at most, and finds a value {slowest_find} s later");
}

#[test]
fn a_node_that_forgets_who_is_silent_never_comes_back() {
    for seed in [1, 2] {
        let (mut net, node) = network(seed, false, forgetful);
        lose(&mut net, node);
        net.run(10 * MINUTE);
        assert!(is_alone(&net, node));
        assert_eq!(back_after(&mut net, node), None, "the twin");
    }
}

#[test]
fn with_production_rules_nobody_is_shunned_for_what_was_our_own_network() {
    for seed in 1..=4 {
        let (mut net, node) = network(seed, true, production);
        lose(&mut net, node);
        net.run(10 * MINUTE);
        assert!(is_alone(&net, node));
        let after = back_after(&mut net, node);
        assert!(after.is_some_and(|s| s <= 60), "seed {seed}: {after:?}");
        net.run(2 * MINUTE);
        assert_eq!(net.nodes[node].core.readiness().relays, OTHERS);
    }
    let (mut net, node) = network(1, true, forgetful_production);
    lose(&mut net, node);
    net.run(10 * MINUTE);
    assert_eq!(back_after(&mut net, node), None, "the twin");
}

/// Restarted without a network, `polite` or not; after how many seconds it is back when the network returns.
fn restarted(seed: u64, polite: bool, tune: fn(&mut CoreConfig)) -> Option<u64> {
    let (mut net, node) = network(seed, false, tune);
    lose(&mut net, node);
    net.run(5 * MINUTE);
    assert!(is_alone(&net, node));
    for _ in 0..2 {
        if polite {
            net.leave(node);
        } else {
            net.kill(node);
        }
        net.run(10 * SECOND);
        net.restart(node);
        net.run(3 * MINUTE);
        assert!(is_alone(&net, node));
    }
    back_after(&mut net, node)
}

#[test]
fn a_node_that_started_without_network_is_back_within_a_minute() {
    let mut slowest = 0;
    for seed in SEEDS {
        // Two relays and two clients in turn.
        let polite = seed / 2 % 2 == 0;
        let after = restarted(seed, polite, |_| {});
        assert!(
            after.is_some_and(|s| s <= 60),
            "seed {seed}, polite {polite}: {after:?}"
        );
        slowest = slowest.max(after.unwrap_or_default());
    }
    println!("back after {slowest} s at most");
    assert_eq!(restarted(1, true, forgetful), None, "the twin");
}

#[test]
fn after_two_days_saved_descriptors_have_ended_but_still_lead_back() {
    let (mut net, node) = network(3, false, |_| {});
    net.keep = deut_tests::net::Keep::Outcomes;
    lose(&mut net, node);
    net.run(5 * MINUTE);
    net.leave(node);
    // Nobody else has to live through two days: the wall clocks of all move on.
    let two_days = 2 * 86_400;
    for other in PEERS..PEERS + OTHERS {
        net.leave(other);
    }
    for node in &mut net.nodes {
        node.skew_s += two_days;
    }
    for other in PEERS..PEERS + OTHERS {
        net.restart(other);
    }
    net.run(MINUTE);
    net.restart(node);
    net.run(30 * SECOND);
    assert!(is_alone(&net, node));
    let after = back_after(&mut net, node);
    assert!(after.is_some_and(|s| s <= 60), "{after:?}");
}

/// Datagrams that it sends in so many seconds.
fn sends(net: &mut Net, node: usize, seconds: u64) -> u64 {
    let sent = |net: &Net| net.nodes[node].core.counters().datagrams_sent;
    let before = sent(net);
    net.run(seconds * SECOND);
    sent(net) - before
}

#[test]
fn a_node_without_network_asks_ever_more_slowly_and_only_those_it_knew() {
    let (mut net, node) = network(5, false, |_| {});
    lose(&mut net, node);
    net.run(2 * MINUTE);
    assert!(is_alone(&net, node));
    let known: Vec<SocketAddr> = net.nodes.iter().map(|node| node.address).collect();
    let own = net.nodes[node].address.ip();
    net.tap = Some(Box::new(move |sighting| {
        assert!(sighting.from.ip() != own || known.contains(&sighting.to));
    }));
    // A round takes three datagrams to each of nine, every 22 to 38 s.
    let sent = sends(&mut net, node, 600);
    println!("{sent} datagrams in ten minutes");
    assert!((9 * 3 * 10..=9 * 3 * 30).contains(&sent), "{sent}");
}
