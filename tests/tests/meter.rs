use std::sync::Arc;
use deut_tests::{meter::Recorder, net::{Net, RELAY_PORT}, stand_in::StandIn};
use deut::core::CoreConfig;
use deut_transport::{config::Role, wire::descriptor::PortRange};
fn churning(config: &mut CoreConfig) {
    config.transport.lookup_tunnels = 24;
    config.transport.limits.builds_at_once = 4;
    config.transport.times.tunnel_life_ms = 8_000;
    config.transport.times.overlap_ms = 1_000;
    config.persona = false;
    if let Role::Relay { endpoint_ports, .. } = &mut config.transport.role {
        *endpoint_ports = Some(PortRange { first: RELAY_PORT + 1, last: RELAY_PORT + 2_000 });
    }
}
#[test]
fn explore() {
    for nodes in [64, 100] {
        let t = std::time::Instant::now();
        let mut net = Net::of_relays(1, Arc::new(StandIn), nodes, churning);
        for _ in 0..12 {
            net.run(5_000_000);
            let known: Vec<usize> = net.nodes.iter().map(|n| n.core.relays().len()).collect();
            let full = known.iter().filter(|k| **k == nodes - 1).count();
            println!("{nodes} at {}: full {full}, min {:?}, {:?}", net.now_us(), known.iter().min(), t.elapsed());
            if full == nodes { break; }
        }
        let rec = Recorder::attach(&mut net);
        for _ in 0..3 {
            net.run(10_000_000);
            println!("{} started, {} paths, {:?}", rec.started(), rec.paths().paths.len(), t.elapsed());
        }
        let mut drops = std::collections::BTreeMap::new();
        for n in &net.nodes { for (r, c) in n.core.drops().iter() { *drops.entry(format!("{r:?}")).or_insert(0) += c; } }
        println!("{drops:?}");
    }
}
