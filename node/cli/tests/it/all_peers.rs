//! More announcements than fit into the answers: `get` finds a sample and says so, `get --all` goes on asking.
#![allow(
    clippy::print_stdout,
    reason = "figures for whoever runs it with --nocapture"
)]

use serde_json::Value;

use crate::fleet::{Fleet, MAGNET};

/// Nodes of the network; each announces so many addresses.
const NODES: usize = 12;
const EACH: usize = 10;

fn count(found: &Value) -> usize {
    found["peers"].as_array().map_or(0, Vec::len)
}

#[test]
fn all_who_announced_are_found_by_those_who_ask_on() {
    let fleet = Fleet::start("all", NODES, 50);
    fleet.settle();
    for node in 0..NODES {
        for host in 0..EACH {
            let address = format!("192.0.2.{}:6881", node * EACH + host + 1);
            let announced = fleet.json(node, &["announce", MAGNET, "--address", &address]);
            announced.expect("announced");
        }
    }
    let once = fleet.json(3, &["get", MAGNET]).expect("found");
    let all = fleet.json(3, &["get", MAGNET, "--all", "--timeout", "120"]);
    let all = all.expect("found");
    println!(
        "{} announced: {} of at least {} by one lookup, {} of at least {} by {} in {} ms",
        NODES * EACH,
        count(&once),
        once["peers_at_least"],
        count(&all),
        all["peers_at_least"],
        all["merged"],
        all["lookup_ms"],
    );
    assert!(
        once["peers_at_least"].as_u64() > Some(count(&once) as u64),
        "a sample: {once}"
    );
    assert_eq!(once.get("merged"), None, "{once}");
    // Each node keeps a hundred.
    assert!(count(&all) >= 95 && count(&once) < 70, "{once} {all}");
    assert_eq!(all["lookups"], all["merged"], "{all}");

    let text = fleet.run(3, &["get", MAGNET, "--all", "--timeout", "120"]);
    let lines = String::from_utf8_lossy(&text.stdout).into_owned();
    let mut peers: Vec<&str> = lines.lines().collect();
    let printed = peers.len();
    peers.sort_unstable();
    peers.dedup();
    assert_eq!(peers.len(), printed, "each once");
    let said = String::from_utf8_lossy(&text.stderr).into_owned();
    assert!(
        printed >= 95 && said.contains(&format!("{printed} peers")),
        "{said}"
    );

    // The time is over before there is nobody new: what came until then is the result.
    let short = fleet.json(3, &["get", MAGNET, "--all", "--timeout", "1"]);
    assert!(count(&short.expect("found")) > 20);
    let key = "00".repeat(20);
    assert_eq!(fleet.run(3, &["get", &key, "--all"]).status.code(), Some(3));
}
