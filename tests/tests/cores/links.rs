//! Links and ports of real nodes in a virtual network: MAC1, acknowledgements, one port per tunnel.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
};

use deut::core::CoreConfig;
use deut_tests::{
    kit::relay::{endpoint_ports, responder},
    net::Net,
    observe::capture::{self, Told},
    stand_in::StandIn,
};
use deut_transport::{
    DropReason,
    crypto::noise::initiate,
    ids::TunnelHandle,
    keys::RelayKeys,
    observe::Seen,
    wire::{
        datagram::{Datagram, Kind},
        frame::{self, Control, Frame},
    },
};
use rand::{SeedableRng, rngs::StdRng};

const SECOND: u64 = 1_000_000;
const MAC1: usize = 1_200;

/// What a relay makes of one initiation of a stranger: what it counts as forged, and the kinds that it sends back.
fn initiated(alter: impl FnOnce(&mut Datagram)) -> (u64, Vec<Option<Kind>>) {
    let mut net = Net::of_relays(11, Arc::new(StandIn), 1, |_| {});
    net.run(SECOND);
    let [identity, link, _] = net.nodes[0].relay_keys;
    let to = responder(identity, link);
    let time = net.now().unix.0 * SECOND;
    let (keys, mut rng) = (RelayKeys::from_seed(&[5; 32]), StdRng::seed_from_u64(5));
    let (_, mut datagram) = initiate(&keys, &to, 77, None, time, &mut rng).expect("good keys");
    alter(&mut datagram);
    let stranger: SocketAddr = "10.200.0.1:4000".parse().expect("an address");
    let back = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&back);
    net.tap = Some(Box::new(move |seen| {
        let datagram = seen.bytes.as_slice().try_into();
        if seen.to == stranger {
            told.borrow_mut().push(datagram.ok().and_then(Kind::of));
        }
    }));
    net.inject(stranger, net.nodes[0].address, &datagram);
    net.run(5 * SECOND);
    let kinds = back.take();
    (net.nodes[0].core.drops().of(DropReason::BadMac), kinds)
}

#[test]
fn an_initiation_with_one_wrong_bit_in_mac1_gets_no_answer() {
    for bit in [0, 1, 63, 64, 100, 127] {
        let flip = |datagram: &mut Datagram| datagram[MAC1 + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(initiated(flip), (1, Vec::new()), "bit {bit}");
    }
    // It covers everything before it, and nothing after it.
    for at in [1, 4, 8, 40, MAC1 - 1] {
        let flip = |datagram: &mut Datagram| datagram[at] ^= 1;
        let (forged, back) = initiated(flip);
        assert!(back.is_empty() && forged == 1, "byte {at}: {forged}");
    }
    let answered = (0, vec![Some(Kind::HandshakeAnswer)]);
    assert_eq!(initiated(|datagram| datagram[MAC1 + 16] ^= 1), answered);
    assert_eq!(initiated(|_| {}), answered, "control");
}

/// A walk request that reached a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    tag: u32,
    element: [u8; 32],
}

/// The walk requests that a node's links opened, in order.
fn asked(told: &Told) -> Vec<Asked> {
    let of = |seen: &Seen| match seen {
        Seen::Frame(bytes) => match frame::decode(bytes) {
            Ok(Frame::Control {
                tag,
                control: Control::WalkRequest(request),
            }) => Some(Asked {
                tag,
                element: request.element,
            }),
            _ => None,
        },
        _ => None,
    };
    let told = told.lock().expect("one thread");
    told.iter().filter_map(of).collect()
}

/// A node's first `lost` acknowledgements of one walk request get lost: how often the request came, how many copies it
/// counted as such, how many walks it took part in because of it, and when the copies came, in ms after the first.
fn acknowledged(lost: usize) -> (usize, u64, usize, Vec<u64>) {
    const AT: usize = 0;
    let mut net = Net::of_relays(12, Arc::new(StandIn), 6, |_| {});
    net.run_ready();
    net.run(10 * SECOND);
    let before = net.nodes[AT].core.drops().of(DropReason::DuplicateControl);
    let told = capture::probe(&mut net, AT);
    let relay = net.nodes[AT].address;
    let (heard, gone) = (Arc::clone(&told), Rc::new(Cell::new(0)));
    let swallowed = Rc::clone(&gone);
    let times = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&times);
    net.tap = Some(Box::new(move |seen| {
        // What a node sends first after a control frame is the acknowledgement.
        if seen.from != relay {
            return;
        }
        let all = asked(&heard);
        let copies = all.iter().filter(|one| **one == all[0]).count();
        if copies > noted.borrow().len() {
            noted.borrow_mut().push(seen.at);
            if swallowed.get() < lost {
                swallowed.set(swallowed.get() + 1);
                seen.bytes.clear();
            }
        }
    }));
    net.add_client(|_| {});
    net.run(10 * SECOND);
    net.tap = None;
    assert_eq!(gone.get(), lost);
    let all = asked(&told);
    let first = *all.first().expect("a walk came by");
    let copies = all.iter().filter(|one| **one == first).count();
    let taken = told.lock().expect("one thread");
    let is =
        |seen: &&Seen| matches!(seen, Seen::WalkTaken { element, .. } if *element == first.element);
    let walks = taken.iter().filter(is).count();
    let counted = net.nodes[AT].core.drops().of(DropReason::DuplicateControl) - before;
    let times = times.take();
    let after = times.iter().map(|at| (at - times[0]) / 1_000).collect();
    (copies, counted, walks, after)
}

#[test]
fn a_control_frame_whose_acknowledgement_is_lost_comes_again_and_acts_once() {
    assert_eq!(acknowledged(0), (1, 0, 1, vec![0]), "control");
    let (copies, counted, walks, after) = acknowledged(1);
    assert_eq!((copies, counted, walks), (2, 1, 1));
    assert!((249..=251).contains(&after[1]), "{after:?}");
    let (copies, counted, walks, after) = acknowledged(2);
    assert_eq!((copies, counted, walks), (3, 2, 1));
    assert!((748..=752).contains(&after[2]), "{after:?}");
}

/// Short lives and few ports, so that ports are used again.
fn few_ports(config: &mut CoreConfig) {
    config.transport.times.tunnel_life_ms = 90_000;
    config.transport.lookup_tunnels = 6;
    endpoint_ports(&mut config.transport, 40);
}

/// A tunnel by its master, and when it was last seen.
type Owner = ((usize, TunnelHandle), u64);

/// Notes who has which endpoint port. How many ports changed hands, or what is wrong.
fn note(net: &Net, owners: &mut BTreeMap<SocketAddr, Owner>) -> Result<usize, String> {
    let (now, mut live, mut changed) = (net.now_us(), BTreeSet::new(), 0);
    for (node, one) in net.nodes.iter().enumerate() {
        for view in one.core.tunnels(net.now()) {
            if !live.insert(view.address) {
                return Err(format!("two tunnels at {}", view.address));
            }
            let owner = (node, view.handle);
            if let Some((before, seen)) = owners.insert(view.address, (owner, now))
                && before != owner
            {
                changed += 1;
                // We look once a second.
                if now - seen < 119 * SECOND {
                    return Err(format!("{} again after {} µs", view.address, now - seen));
                }
            }
        }
    }
    Ok(changed)
}

#[test]
fn no_two_live_tunnels_share_a_port_and_a_closed_one_rests() {
    let mut net = Net::of_relays(13, Arc::new(StandIn), 8, few_ports);
    net.run_ready();
    let (mut owners, mut changed) = (BTreeMap::new(), 0);
    for _ in 0..8 * 60 {
        net.run(SECOND);
        changed += note(&net, &mut owners).expect("one port, one tunnel");
    }
    println!("{} ports, {changed} used again", owners.len());
    assert!(changed > 20, "{changed}");
    // Twin: ports whose old tunnels were there a moment ago.
    let stranger = (99, TunnelHandle(0));
    let mut fresh = owners.clone();
    let now = net.now_us();
    fresh
        .values_mut()
        .for_each(|owner| *owner = (stranger, now));
    assert!(note(&net, &mut fresh).is_err_and(|text| text.contains("again")));
}
