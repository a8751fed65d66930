//! Personas whose tunnels end at endpoints that nobody else uses know only each other. They must find the others.

use std::sync::Arc;

use deut::core::CoreConfig;
use deut_tests::{net::Net, stand_in::StandIn};

/// Of networks of six relays with two persona tunnels each about one in five begins in two parts.
const SEEDS: std::ops::Range<u64> = 0..16;
/// So many are tried until one of them stays apart.
const TWINS: u64 = 200;
const OTHERS: usize = 5;

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

/// The broken twin: nobody asks again, so no tunnel ever gives way, and some of these networks stay apart.
#[test]
fn without_asking_again_they_stay_apart() {
    let apart = (0..TWINS).find(|seed| {
        let fewest = fewest(*seed, |config| {
            config.transport.persona_tunnels = 2;
            config.kademlia.seeds_interval_low = 3_600_000_000;
        });
        fewest < OTHERS
    });
    println!("the first that stays apart: {apart:?}");
    assert!(apart.is_some());
}
