//! Tunnels end and are replaced, sessions are rekeyed, descriptors are asked for again: half an hour of a network.

use std::{collections::BTreeSet, sync::Arc};

use deut::core::{CoreCommand, CoreEvent};
use deut_kademlia::{Query, QueryResult};
use deut_tests::{net::Net, stand_in::StandIn};
use deut_transport::io::{DownReason, TunnelChange};

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;

#[test]
fn tunnels_are_replaced_before_they_end_and_lookups_go_on() {
    let mut net = Net::of_relays(11, Arc::new(StandIn), 16, |_| {});
    net.run_ready();
    net.run(20 * SECOND);
    let value = b"outlives tunnels and sessions".to_vec();
    let stored = net.ask(
        3,
        Query::PutValue {
            value: value.clone(),
        },
    );
    let QueryResult::Stored { key, .. } = stored.result else {
        panic!("{stored:?}")
    };
    let mut handles = BTreeSet::new();
    let mut least = usize::MAX;
    for _ in 0..35 * 6 {
        net.run(10 * SECOND);
        for node in &net.nodes {
            assert!(node.core.audit().transport.within_caps());
            let tunnels = node.core.tunnels(net.now());
            least = least.min(tunnels.iter().filter(|tunnel| tunnel.up).count());
            assert!(
                tunnels.iter().all(|tunnel| tunnel.age_s <= 800),
                "{tunnels:?}"
            );
        }
        handles.extend(
            net.nodes[5]
                .core
                .tunnels(net.now())
                .iter()
                .map(|tunnel| tunnel.handle),
        );
    }
    assert!(
        least >= 5,
        "make before break: of six tunnels {least} stood at the worst moment"
    );
    assert!(
        handles.len() >= 6 * 3,
        "each was replaced some times: {}",
        handles.len()
    );
    let found = net.ask(9, Query::GetValue { key });
    assert_eq!(found.result, QueryResult::Value(value), "{:?}", found.stats);
    let ended = |why: DownReason| {
        let all = net.nodes.iter().flat_map(|node| &node.events);
        all.filter(|(_, event)| matches!(event, CoreEvent::Tunnel { change: TunnelChange::Down { why: w, .. }, .. } if *w == why)).count()
    };
    let (expired, silent) = (ended(DownReason::Expired), ended(DownReason::Silent));
    assert!(
        expired > 16 * 6 && silent * 20 < expired,
        "planned ends {expired}, silent {silent}"
    );
}

#[test]
fn a_node_that_stops_closes_its_tunnels_and_the_others_go_on() {
    let mut net = Net::of_relays(12, Arc::new(StandIn), 12, |_| {});
    net.run_ready();
    net.run(20 * SECOND);
    let served = |net: &Net| -> usize { net.nodes.iter().map(|node| node.core.transit().1).sum() };
    let before = served(&net);
    net.command(7, CoreCommand::Shutdown);
    net.run(5 * SECOND);
    let ended = net.nodes[7].core.tunnels(net.now());
    assert!(ended.is_empty(), "{ended:?}");
    assert!(
        served(&net) < before + 12,
        "its own tunnels are gone at their endpoints"
    );
    assert_eq!(net.nodes[7].core.transit(), (0, 0));
    net.kill(7);
    net.run(MINUTE);
    for (number, node) in net
        .nodes
        .iter()
        .enumerate()
        .filter(|(number, _)| *number != 7)
    {
        assert!(
            node.core.readiness().ready,
            "node {number}: {:?}",
            node.core.readiness()
        );
    }
    let stored = net.ask(
        3,
        Query::PutValue {
            value: b"after".to_vec(),
        },
    );
    let QueryResult::Stored { key, at, .. } = stored.result else {
        panic!("{stored:?}")
    };
    assert!(at > 0);
    assert_eq!(
        net.ask(9, Query::GetValue { key }).result,
        QueryResult::Value(b"after".to_vec())
    );
}
