//! Takes cells through one relay, so that an instruction counter can tell what a hop costs:
//!
//! ```text
//! valgrind --tool=callgrind --toggle-collect='*pass_on*' target/release/hop
//! ```
//!
//! The cells are those of a client in a virtual network, caught before the relay that its tunnels begin at.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
    rc::Rc,
};

use deut::core::Core;
use deut_common::{ids::RelayId, time::Now};
use deut_kademlia::{NodeId, Query};
use deut_tests::net::{Net, Suites};
use deut_transport::{
    Handled,
    ids::Port,
    packet::{Packet, RELAY_DATAGRAM},
};

const RELAYS: usize = 8;
/// Lookups that the client starts at once.
const LOOKUPS: u8 = 60;
/// For so long what the client sends is caught.
const CATCH_US: u64 = 2_000_000;

fn main() -> ExitCode {
    let mut net = Net::of_relays(11, Suites::stand_in(), RELAYS, |_| {});
    let client = net.nodes.len();
    net.add_client(|_| {});
    net.run_ready();
    net.run(30_000_000);

    let caught: Rc<RefCell<BTreeMap<SocketAddr, Vec<Packet>>>> = Rc::default();
    let from = net.nodes[client].address;
    let sink = Rc::clone(&caught);
    net.tap = Some(Box::new(move |seen| {
        if let Ok(datagram) = <&[u8; RELAY_DATAGRAM]>::try_from(seen.bytes.as_slice())
            && seen.from == from
        {
            let mut caught = sink.borrow_mut();
            let packets = caught.entry(seen.to).or_default();
            packets.push(Packet::copy_of(datagram));
            seen.bytes.clear();
        }
    }));
    for number in 0..LOOKUPS {
        let target = NodeId([number; 20]);
        net.query(client, Query::FindNode { target });
    }
    net.run(CATCH_US);

    let relay = first_relay(&net, client);
    let now = net.now_at(relay);
    let node = &mut net.nodes[relay];
    let packets = caught
        .borrow_mut()
        .remove(&node.address)
        .unwrap_or_default();
    let cells = packets.len();
    let passed = pass_on(&mut node.core, now, from, packets);
    let told = writeln!(io::stdout(), "{passed} of {cells} datagrams went on");
    ExitCode::from(u8::from(passed == 0 || told.is_err()))
}

/// The relay at which most tunnels of the client begin that do not end there.
fn first_relay(net: &Net, client: usize) -> usize {
    let mut tunnels = BTreeMap::<RelayId, i32>::new();
    for tunnel in net.nodes[client].core.tunnels(net.now()) {
        // One that ends at its first hop would have cells of another kind there.
        *tunnels.entry(tunnel.first_hop).or_default() += if tunnel.hops > 1 { 1 } else { -100 };
    }
    let most = tunnels.iter().max_by_key(|(_, count)| **count);
    let (first, _) = most.expect("the client has tunnels");
    let is_first = |keys: &[[u8; 32]; 3]| RelayId::of(&keys[0]) == *first;
    let relay = net.nodes.iter().position(|node| is_first(&node.relay_keys));
    relay.expect("a node of the network")
}

/// What is counted.
#[inline(never)]
fn pass_on(core: &mut Core, now: Now, from: SocketAddr, packets: Vec<Packet>) -> usize {
    let mut passed = 0;
    for packet in packets {
        let handled = core.handle_datagram(now, Port::Relay, from, packet);
        passed += usize::from(matches!(handled, Handled::Forward { .. }));
    }
    passed
}
