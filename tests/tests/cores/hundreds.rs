//! Hundreds of tunnels on one node, and thousands of calls: all tunnels carry their share, no answer comes back the same way.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use deut::core::{CoreCommand, CoreConfig, CoreEvent};
use deut_common::ids::PersonaKey;
use deut_tests::{
    net::{Net, Sighting},
    observe::{
        capture::{self, SealedCopy, is_relay},
        stats,
    },
    stand_in::StandIn,
};
use deut_transport::{
    config::Role,
    ids::{PoolId, Service, TunnelHandle},
    io::Destination,
    wire::descriptor::PortRange,
};

const NODES: usize = 16;
const TUNNELS: usize = 300;
const CALLS: u64 = 6_000;
/// Twenty-five calls a second: far below what one persona's endpoints let in.
const EVERY_US: u64 = 40_000;
const CALLER: usize = 7;
const CALLED: usize = 11;
const SERVICE: Service = Service(300);

fn caller(config: &mut CoreConfig) {
    config.transport.lookup_tunnels = TUNNELS;
    config.transport.limits.builds_at_once = 16;
    // Eight for each of fifteen relays would be too few.
    config.transport.limits.tunnels_per_relay = 20;
    config.transport.limits.keys_in_store = 16;
    more_ports(config);
}

fn more_ports(config: &mut CoreConfig) {
    if let Role::Relay {
        endpoint_ports: Some(PortRange { last, .. }),
        ..
    } = &mut config.transport.role
    {
        *last += 400;
    }
}

/// The caller's tunnels for lookups, and where they end.
fn tunnels(net: &Net) -> BTreeMap<TunnelHandle, SocketAddr> {
    let views = net.nodes[CALLER].core.tunnels(net.now());
    let usable = views
        .into_iter()
        .filter(|view| view.up && view.pool == PoolId::Lookup);
    usable.map(|view| (view.handle, view.address)).collect()
}

/// The called persona as its newest contact tells it.
fn destination(net: &Net) -> Destination {
    let core = &net.nodes[CALLED].core;
    let views = core.tunnels(net.now());
    let open = views
        .iter()
        .filter(|view| view.up && view.pool == PoolId::Persona && view.left_s > 20);
    Destination {
        key: PersonaKey(core.persona_key().expect("a persona")),
        at: open.map(|view| view.address).take(3).collect(),
    }
}

/// Answers what arrived since the last time, each with what was asked.
fn serve(net: &mut Net, seen: &mut usize) {
    let new: Vec<CoreCommand> = net.nodes[CALLED].events[*seen..]
        .iter()
        .filter_map(|(_, event)| match event {
            CoreEvent::Request {
                reply,
                service: SERVICE,
                body,
            } => Some(CoreCommand::Reply {
                to: *reply,
                body: body.clone(),
            }),
            _ => None,
        })
        .collect();
    *seen = net.nodes[CALLED].events.len();
    for reply in new {
        net.command(CALLED, reply);
    }
}

/// How often each tunnel sent, and whether that is even.
fn even(copies: &[SealedCopy], tunnels: &BTreeSet<TunnelHandle>) -> f64 {
    let mut sends: BTreeMap<TunnelHandle, u64> =
        tunnels.iter().map(|handle| (*handle, 0)).collect();
    for copy in copies {
        *sends.entry(copy.tunnels.0).or_default() += 1;
    }
    if sends.values().any(|count| *count == 0) {
        return 0.0;
    }
    stats::even(&sends.into_values().collect::<Vec<_>>())
}

/// Copies that are awaited through the tunnel that sent them, or that are seen to leave from where the answer is awaited.
fn same_way(copies: &[SealedCopy], wire: &[Sighting]) -> usize {
    let replies: BTreeMap<[u8; 32], SocketAddr> = copies
        .iter()
        .map(|copy| (copy.enc, copy.header.reply))
        .collect();
    let own = copies
        .iter()
        .filter(|copy| copy.tunnels.0 == copy.tunnels.1)
        .count();
    let leaves = |seen: &&Sighting| {
        !is_relay(seen) && replies.get(&capture::enc(&seen.bytes)) == Some(&seen.from)
    };
    own + wire.iter().filter(leaves).count()
}

#[test]
fn three_hundred_tunnels_share_six_thousand_calls() {
    let mut net = Net::new(71, Arc::new(StandIn));
    for node in 0..NODES {
        net.add_relay(if node == CALLER { caller } else { more_ports });
    }
    net.run_ready();
    assert!(
        net.run_until(60_000_000, |net| tunnels(net).len() >= TUNNELS),
        "{} tunnels",
        tunnels(&net).len()
    );
    net.run(20_000_000);
    let told = capture::probe(&mut net, CALLER);
    let transcript = capture::wire(&mut net);
    let before = tunnels(&net);
    let mut seen = net.nodes[CALLED].events.len();
    for ticket in 0..CALLS {
        let body = ticket.to_be_bytes().to_vec();
        let to = destination(&net);
        net.command(
            CALLER,
            CoreCommand::Call {
                ticket,
                service: SERVICE,
                to,
                body,
            },
        );
        for _ in 0..4 {
            net.run(EVERY_US / 4);
            serve(&mut net, &mut seen);
        }
    }
    for _ in 0..400 {
        net.run(20_000);
        serve(&mut net, &mut seen);
    }
    net.tap = None;

    let answered = |(_, event): &(u64, CoreEvent)| match event {
        CoreEvent::Response { ticket, body } => Some((*ticket, body.clone())),
        _ => None,
    };
    let answers: BTreeMap<u64, Vec<u8>> = net.nodes[CALLER]
        .events
        .iter()
        .filter_map(answered)
        .collect();
    let failed = net.nodes[CALLER]
        .events
        .iter()
        .filter(|(_, event)| matches!(event, CoreEvent::CallFailed { .. }))
        .count();
    let (mut copies, wire): (Vec<SealedCopy>, _) = (
        capture::copies(&[told]).into_values().collect(),
        transcript.take(),
    );
    copies.retain(|copy| copy.header.service == SERVICE);
    let kept: BTreeSet<TunnelHandle> = tunnels(&net)
        .into_keys()
        .filter(|handle| before.contains_key(handle))
        .collect();
    let p = even(&copies, &kept);
    println!(
        "{} tunnels, {} of them all the time, {} copies, {} answers, {failed} failed, p = {p}",
        before.len(),
        kept.len(),
        copies.len(),
        answers.len()
    );
    println!(
        "drops at the caller: {:?}",
        net.nodes[CALLER].core.drops().iter().collect::<Vec<_>>()
    );
    assert_eq!((answers.len() as u64, failed), (CALLS, 0));
    assert!(
        answers
            .iter()
            .all(|(ticket, body)| *body == ticket.to_be_bytes())
    );
    assert_eq!((before.len(), kept.len()), (TUNNELS, TUNNELS));
    assert!(p > 0.001);
    assert_eq!(same_way(&copies, &wire), 0);
    let left = wire
        .iter()
        .filter(|seen| {
            !is_relay(seen)
                && copies
                    .iter()
                    .any(|copy| copy.enc == capture::enc(&seen.bytes))
        })
        .take(100)
        .count();
    assert_eq!(left, 100, "the wire shows where requests leave");
    assert!(
        net.nodes
            .iter()
            .all(|node| node.core.audit().transport.within_caps())
    );
    twins(copies, wire, &kept);
}

/// A favourite tunnel, one that is never used, and a copy that is awaited where it was sent.
fn twins(mut copies: Vec<SealedCopy>, mut wire: Vec<Sighting>, kept: &BTreeSet<TunnelHandle>) {
    let mut handles = kept.iter().copied();
    let (favourite, idle) = (handles.next().expect("many"), handles.next().expect("many"));
    let mut skewed = copies.clone();
    skewed
        .iter_mut()
        .step_by(60)
        .for_each(|copy| copy.tunnels.0 = favourite);
    assert!(even(&skewed, kept) < 0.001);
    let mut unused = copies.clone();
    unused
        .iter_mut()
        .filter(|copy| copy.tunnels.0 == idle)
        .for_each(|copy| copy.tunnels.0 = favourite);
    assert!(even(&unused, kept) < 0.001);
    let enc = copies[0].enc;
    copies[0].tunnels.0 = copies[0].tunnels.1;
    assert_eq!(same_way(&copies, &wire), 1);
    copies[0].tunnels.0 = favourite;
    let reply = copies[0].header.reply;
    if let Some(leaving) = wire
        .iter_mut()
        .find(|seen| !is_relay(seen) && capture::enc(&seen.bytes) == enc)
    {
        leaving.from = reply;
        assert_eq!(same_way(&copies, &wire), 1);
    }
}
