//! A wrong wall clock is named, whichever way it is wrong; and a node that stood still does not claim what it does not know.
#![allow(
    clippy::print_stdout,
    reason = "figures for whoever runs it with --nocapture"
)]

use std::sync::Arc;

use deut_kademlia::{NodeId, Query, QueryResult};
use deut_tests::{net::Net, stand_in::StandIn};
use deut_transport::status::Reason;

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;

/// 200 s, an hour, a day; ahead and behind.
const OFF: [i64; 6] = [200, -200, 3_600, -3_600, 86_400, -86_400];

fn network(seed: u64, count: usize) -> Net {
    let mut net = Net::of_relays(seed, Arc::new(StandIn), count, |_| {});
    net.run_ready();
    net.run(30 * SECOND);
    net
}

/// How far its clock is off, as this node says.
fn said(net: &Net, node: usize) -> Option<i64> {
    let readiness = net.nodes[node].core.readiness();
    readiness.reasons.iter().find_map(|reason| match reason {
        Reason::ClockOff { ahead_s } => Some(*ahead_s),
        _ => None,
    })
}

fn is_near(said: Option<i64>, off: i64) -> bool {
    said.is_some_and(|said| said.abs_diff(off) <= 20)
}

fn is_ready(net: &Net, node: usize) -> bool {
    net.nodes[node].core.readiness().ready
}

#[test]
fn a_node_that_joins_with_a_wrong_clock_says_so_in_each_of_six_cases() {
    for (seed, off) in (60..).zip(OFF) {
        let mut net = network(seed, 10);
        net.skew = off..=off;
        let (relay, client) = (net.add_relay(|_| {}), net.add_client(|_| {}));
        net.skew = 0..=0;
        let right = net.add_client(|_| {});
        for wrong in [relay, client] {
            let named = net.run_until(MINUTE, |net| is_near(said(net, wrong), off));
            let readiness = net.nodes[wrong].core.readiness();
            assert!(named, "{off} s: {readiness:?}");
            assert_eq!(
                readiness.reasons[0],
                Reason::ClockOff {
                    ahead_s: said(&net, wrong).unwrap()
                },
                "what matters most comes first"
            );
        }
        net.run(MINUTE);
        assert!(is_ready(&net, right), "control: with the right clock");
        for node in (0..relay).chain([right]) {
            assert_eq!(said(&net, node), None, "{off} s: node {node} is right");
        }
    }
}

#[test]
fn a_clock_that_jumps_while_the_node_runs_is_named_until_it_is_right_again() {
    let mut net = network(70, 10);
    let client = net.add_client(|_| {});
    net.run_ready();
    for off in OFF {
        for node in [4, client] {
            net.nodes[node].skew_s = off;
            let named = net.run_until(MINUTE, |net| is_near(said(net, node), off));
            let readiness = net.nodes[node].core.readiness();
            assert!(named, "{off} s, node {node}: {readiness:?}");
            net.run(MINUTE);
            assert!(is_near(said(&net, node), off), "it goes on saying so");
            net.nodes[node].skew_s = 0;
            let right = net.run_until(3 * MINUTE, |net| {
                said(net, node).is_none() && is_ready(net, node)
            });
            let readiness = net.nodes[node].core.readiness();
            assert!(right, "{off} s, node {node} set right: {readiness:?}");
        }
        for node in 0..net.nodes.len() {
            assert_eq!(said(&net, node), None, "{off} s: node {node} is right");
        }
    }
}

#[test]
fn a_relay_whose_clock_is_wrong_misleads_nobody() {
    let mut net = network(71, 6);
    net.nodes[0].skew_s = 100_000;
    net.run_until(MINUTE, |net| said(net, 0).is_some());
    assert!(is_near(said(&net, 0), 100_000), "control: it says so");
    // It is one of the two peers that newcomers ask.
    let (relay, client) = (net.add_relay(|_| {}), net.add_client(|_| {}));
    for _ in 0..240 {
        net.run(SECOND / 2);
        for node in (1..6).chain([relay, client]) {
            assert_eq!(said(&net, node), None, "node {node}");
        }
    }
    assert!(is_ready(&net, relay) && is_ready(&net, client));
}

#[test]
fn a_node_that_stood_still_counts_no_tunnel_that_it_has_not_heard() {
    for (seed, still) in [(72, 40 * SECOND), (73, 5 * MINUTE)] {
        let mut net = network(seed, 30);
        let (node, other) = (7, 20);
        let value = b"before".to_vec();
        let put = net.ask(
            other,
            Query::PutValue {
                value: value.clone(),
            },
        );
        assert!(matches!(put.result, QueryResult::Stored { at: 4.., .. }));
        let before = net.nodes[node].core.readiness();
        assert!(before.ready && before.tunnels_up > 0, "control: {before:?}");

        net.pause(node);
        net.run(still);
        net.resume(node);
        let now = net.nodes[node].core.readiness();
        assert!(!now.ready && now.tunnels_up == 0, "{now:?}");
        let first = now.reasons.first();
        assert!(
            matches!(first, Some(Reason::StoodStill { seconds }) if seconds.abs_diff(still / SECOND) < 3),
            "{now:?}"
        );

        let since = net.now_us();
        assert!(net.run_until(MINUTE, |net| is_ready(net, node)));
        let ready = net.now_us() - since;
        let key = NodeId::hash_of(&value);
        let found = net.ask(node, Query::GetValue { key }).result;
        let works = net.now_us() - since;
        println!(
            "{} s: ready after {ready} µs, finds after {works} µs",
            still / SECOND
        );
        assert_eq!(found, QueryResult::Value(value), "it works when it says so");
        assert!(net.run_until(2 * MINUTE, |net| {
            let readiness = net.nodes[node].core.readiness();
            readiness.reasons.is_empty() && readiness.tunnels_up >= before.tunnels_up
        }));
    }
}
