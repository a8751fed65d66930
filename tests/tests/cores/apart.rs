//! Personas whose tunnels end at endpoints that nobody else uses know only each other. They must find the others.

use std::sync::Arc;

use deut::core::CoreConfig;
use deut_tests::{net::Net, stand_in::StandIn};

/// Of networks of six relays with two persona tunnels each about one in five begins in two parts.
const SEEDS: std::ops::Range<u64> = 0..16;
/// So many are tried until one of them stays apart.
const TWINS: u64 = 200;
const OTHERS: usize = 5;
/// Of eight relays each.
const NETWORKS: u64 = 60;
/// When they are looked at, seconds after all are ready.
const AFTER_S: [u64; 3] = [1, 8, 60];

/// The fewest contacts that a persona of this network has after three minutes.
fn fewest(seed: u64, tune: fn(&mut CoreConfig)) -> usize {
    let mut net = Net::of_relays(seed, Arc::new(StandIn), 6, tune);
    net.run(180_000_000);
    let now = net.now();
    let live = |node: &deut_tests::net::Node| node.core.live_contacts(now).persona;
    net.nodes.iter().map(live).min().unwrap_or(0)
}

#[test]
fn parts_that_share_no_endpoint_find_each_other() {
    for seed in SEEDS {
        assert_eq!(
            fewest(seed, |config| config.transport.persona_tunnels = 2),
            OTHERS,
            "seed {seed}"
        );
    }
}

/// Networks of eight, of which most begin in parts, are whole soon after all can look up: then users announce.
#[test]
fn eight_nodes_know_each_other_eight_seconds_after_they_are_ready() {
    let mut whole = [0; AFTER_S.len()];
    for seed in 0..NETWORKS {
        let mut net = Net::of_relays(seed, Arc::new(StandIn), 8, |config| {
            config.transport.persona_tunnels = 2;
        });
        net.run_ready();
        let ready = net.now_us();
        for (after, count) in AFTER_S.iter().zip(&mut whole) {
            net.run(ready + after * 1_000_000 - net.now_us());
            let now = net.now();
            let knows_all =
                |node: &deut_tests::net::Node| node.core.live_contacts(now).persona == 7;
            *count += usize::from(net.nodes.iter().all(knows_all));
        }
    }
    println!("whole after {AFTER_S:?} s: {whole:?} of {NETWORKS}");
    assert!(whole[1] >= 57, "{whole:?}");
}

/// The broken twin: nobody asks again, so no tunnel ever gives way, and some of these networks stay apart.
#[test]
fn without_asking_again_they_stay_apart() {
    let apart = (0..TWINS).find(|seed| {
        let fewest = fewest(*seed, |config| {
            config.transport.persona_tunnels = 2;
            config.kademlia.seeds_interval = 3_600_000_000;
            config.kademlia.seeds_interval_low = 3_600_000_000;
        });
        fewest < OTHERS
    });
    println!("the first that stays apart: {apart:?}");
    assert!(apart.is_some());
}
