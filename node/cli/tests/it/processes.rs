//! Separate processes of the built binary on loopback: a network, a magnet, and deaths without warning.
#![allow(
    clippy::print_stdout,
    reason = "figures for whoever runs it with --nocapture"
)]

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use crate::fleet::{Fleet, MAGNET, PATIENCE, persona, personas, relay_id};
use crate::kept;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::Value;

/// Nodes of a network.
const NODES: usize = 12;
/// Found again within so long after the deaths.
const AGAIN: Duration = Duration::from_secs(30);

/// `deut ping` on each: an echo through each own tunnel to its endpoint and back. One lost is tried again.
fn every_tunnel_echoes(fleet: &Fleet) {
    for node in fleet.alive() {
        let echoed = (0..5).any(|_| {
            let said = fleet.json(node, &["ping"]).expect("pings");
            let tunnels = said["tunnels"].as_array().map_or(0, Vec::len);
            let all = tunnels >= 6 && said["lost"] == 0 && said["answered"] == tunnels;
            if !all {
                println!("node {node}: {said}");
            }
            all
        });
        assert!(echoed, "node {node} has tunnels that do not echo");
    }
}

/// Of all that were killed and all that were stopped; those save the relays they know when they stop.
fn nothing_secret_is_kept(fleet: &mut Fleet) {
    fleet.stop_all();
    let (policy, now) = (fleet.policy(), kept::now());
    let saved = (0..fleet.ports.len()).map(|node| {
        let files = kept::read(&fleet.directory.join(format!("data{node}")));
        assert!(files.contains_key("relay.key"), "node {node}");
        kept::judge(&files, &policy, now).unwrap_or_else(|told| panic!("node {node}: {told}"))
    });
    let saved: usize = saved.sum();
    assert!(saved >= NODES, "only {saved} descriptors were saved");
}

/// How many records of others each living node keeps.
fn records(fleet: &Fleet) -> BTreeMap<usize, u64> {
    let count = |node| {
        let records = fleet.status(node)["dht"]["records"].as_u64();
        (node, records.expect("a number"))
    };
    fleet.alive().into_iter().map(count).collect()
}

/// A living node that starts a standing tunnel of this one, and is none of those.
fn first_hop(fleet: &Fleet, of: usize, not: &[usize]) -> Option<usize> {
    let alive = fleet.alive().into_iter();
    let ids: BTreeMap<String, usize> = alive
        .map(|node| (relay_id(&fleet.status(node)), node))
        .collect();
    let tunnels = fleet.json(of, &["tunnels"]).expect("tunnels");
    let tunnels = tunnels["tunnels"].as_array().expect("a list");
    tunnels.iter().find_map(|tunnel| {
        let node = *ids.get(tunnel["first_hop"].as_str()?)?;
        (tunnel["up"] == true && !not.contains(&node)).then_some(node)
    })
}

/// A value comes back byte for byte.
fn put_and_get(fleet: &Fleet, publisher: usize, reader: usize) {
    let value: Vec<u8> = (0..777_u32).map(|n| (n * n % 251) as u8).collect();
    fs::write(fleet.directory.join("value"), &value).expect("writes");
    let stored = fleet
        .json(publisher, &["put", "--file", "value"])
        .expect("stored");
    let key = stored["key"].as_str().expect("a key").to_owned();
    assert_eq!(
        fleet.run(reader, &["get", &key]).stdout,
        value,
        "byte for byte"
    );
}

fn announce_resolve_kill_resolve(seed: u64) {
    let mut fleet = Fleet::start(&format!("deaths{seed}"), NODES, seed);
    fleet.settle();
    let ready = fleet.json(2, &["status", "--ready", "--wait", "60"]);
    assert_eq!(ready.expect("it is ready")["ready"], true);
    let mut order: Vec<usize> = (2..NODES).collect();
    order.shuffle(&mut StdRng::seed_from_u64(seed));
    every_tunnel_echoes(&fleet);
    let [announcer, resolver, publisher, reader, other, ..] = order[..] else {
        panic!("too few nodes")
    };

    // Whoever keeps more afterwards keeps what was announced: nothing else is stored in between.
    let before = records(&fleet);
    let announced = fleet
        .json(announcer, &["announce", MAGNET])
        .expect("announced");
    assert!(announced["stored_at"].as_u64() > Some(0), "{announced}");
    let key = persona(&announced);
    // This one stays.
    let stays = fleet.json(other, &["announce", MAGNET]).expect("announced");
    let stays = persona(&stays);
    let after = records(&fleet);
    let keeper = after.into_iter().find(|(node, records)| {
        *records > before[node] && ![announcer, resolver, other].contains(node)
    });
    let (keeper, _) = keeper.expect("somebody stores the record");
    let found = fleet.json(resolver, &["get", MAGNET]).expect("resolved");
    assert!(personas(&found).contains(&key), "{key}: {found}");
    put_and_get(&fleet, publisher, reader);

    let first_hop = first_hop(&fleet, resolver, &[announcer, keeper, other]).expect("a first hop");
    let victims = [announcer, keeper, first_hop];
    for victim in victims {
        fleet.kill(victim);
    }
    let began = Instant::now();
    let again = fleet.run(resolver, &["get", MAGNET, "--json", "--timeout", "30"]);
    let took = began.elapsed();
    let found: Value =
        serde_json::from_slice(&again.stdout).unwrap_or_else(|_| panic!("seed {seed}: {again:?}"));
    let reachable = |key: &String| {
        let peers = found["peers"].as_array().into_iter().flatten();
        let peer = peers.into_iter().find(|peer| peer["key"] == **key);
        peer.map(|peer| peer["reachable"].clone())
    };
    assert_eq!(reachable(&stays), Some(true.into()), "seed {seed}: {found}");
    assert_ne!(reachable(&key), Some(true.into()), "seed {seed}: {found}");
    println!(
        "seed {seed}: killed {victims:?}, resolved again in {} ms",
        took.as_millis()
    );
    assert!(took <= AGAIN, "seed {seed}: only after {took:?}");
    nothing_secret_is_kept(&mut fleet);
}

#[test]
fn a_magnet_survives_deaths_without_warning_seed_1() {
    announce_resolve_kill_resolve(1);
}

#[test]
fn a_magnet_survives_deaths_without_warning_seed_2() {
    announce_resolve_kill_resolve(2);
}

#[test]
fn a_magnet_survives_deaths_without_warning_seed_3() {
    announce_resolve_kill_resolve(3);
}

#[test]
fn a_magnet_survives_deaths_without_warning_seed_4() {
    announce_resolve_kill_resolve(4);
}

#[test]
fn a_magnet_survives_deaths_without_warning_seed_5() {
    announce_resolve_kill_resolve(5);
}

/// Nothing is waited for: the announcer's persona has no tunnels yet, and nobody knows it.
#[test]
fn announcing_right_after_the_start_is_over_when_the_persona_is_found() {
    let fleet = Fleet::start("early", 6, 30);
    let (announcer, reader) = (3, 5);
    let announced = fleet.soon(announcer, &["announce", MAGNET, "--timeout", "120"]);
    let contact = &announced["contact"];
    let count = |value: &Value| value.as_array().map_or(0, Vec::len);
    assert!(count(&contact["addresses"]) > 0, "{announced}");
    assert!(contact["held_by"].as_u64() > Some(0), "{announced}");
    let found = fleet.soon(reader, &["get", MAGNET, "--timeout", "120"]);
    assert_eq!(personas(&found), [persona(&announced)], "{found}");
    assert!(count(&found["peers"][0]["addresses"]) > 0, "{found}");
    assert_eq!(found["peers"][0]["reachable"], true, "{found}");
}

/// The public key that `put --mutable` printed, and the sequence number.
fn signed(stored: &Value) -> (String, i64) {
    let public = stored["mutable"]["public_key"].as_str().expect("a key");
    (
        public.to_owned(),
        stored["mutable"]["seq"].as_i64().expect("a number"),
    )
}

#[test]
fn a_mutable_record_is_put_updated_and_contested_and_its_link_leads_to_a_torrent() {
    let fleet = Fleet::start("mutable", 6, 20);
    fleet.settle();
    let put = |node: usize, more: &[&str]| {
        let all = [&["put", "--mutable", "--key-file", "key"], more].concat();
        fleet.json(node, &all).expect("stored")
    };
    let first = put(0, &["--new-key", "--salt", "blog", "first"]);
    let (public, seq) = signed(&first);
    assert_eq!(seq, 1, "{first}");
    let get = |node: usize| {
        let arguments = ["get", "--mutable", &public, "--salt", "blog"];
        String::from_utf8(fleet.run(node, &arguments).stdout).expect("text")
    };
    assert_eq!((get(1), get(5)), ("first".into(), "first".into()));
    // Whoever has the key file may write at any node; the next number is taken.
    let second = put(3, &["--salt", "blog", "second"]);
    assert_eq!(signed(&second), (public.clone(), 2), "{second}");
    assert_eq!((get(1), get(5)), ("second".into(), "second".into()));

    let older = [
        "put",
        "--mutable",
        "--key-file",
        "key",
        "--salt",
        "blog",
        "--seq",
        "1",
        "late",
    ];
    let refused = fleet.run(4, &older);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(15), "{text}");
    assert!(text.contains("keeps sequence number 2"), "{text}");
    let unexpected = [&older[..6], &["--seq", "9", "--cas", "1", "late"]].concat();
    assert_eq!(fleet.run(4, &unexpected).status.code(), Some(15));
    assert_eq!(get(5), "second");
    let wanted = [
        "get",
        "--mutable",
        &public,
        "--salt",
        "blog",
        "--min-seq",
        "3",
        "--timeout",
        "8",
    ];
    let missing = fleet.run(1, &wanted);
    assert_eq!(missing.status.code(), Some(8));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("only sequence number 2"));

    // BEP 46: the link stays, the torrent behind it is announced and found.
    let announced = fleet.json(2, &["announce", MAGNET]).expect("announced");
    let key = persona(&announced);
    put(0, &["--salt", "feed", "--torrent", MAGNET]);
    let salt: String = "feed".bytes().map(|byte| format!("{byte:02x}")).collect();
    let link = format!("magnet:?xs=urn:btpk:{public}&s={salt}");
    let found = fleet.json(5, &["get", &link]).expect("resolved");
    assert_eq!(
        found["infohash"],
        "c12fe1c06bba254a9dc9f519b335aa7c1367a88a"
    );
    assert_eq!(found["through"]["public_key"], public.as_str());
    assert!(personas(&found).contains(&key), "{found}");
    // A record without a torrent says so.
    let salt: String = "blog".bytes().map(|byte| format!("{byte:02x}")).collect();
    let none = fleet.run(
        5,
        &["get", &format!("magnet:?xs=urn:btpk:{public}&s={salt}")],
    );
    assert_eq!(none.status.code(), Some(8));
    assert!(String::from_utf8_lossy(&none.stderr).contains("names no torrent"));
}

#[test]
fn alone_a_daemon_keeps_what_is_put_and_publishes_it_when_another_comes() {
    let mut fleet = Fleet::start("alone", 2, 30);
    fleet.kill(1);
    let end = Instant::now() + PATIENCE;
    while !fleet.run(0, &["status"]).status.success() {
        assert!(Instant::now() < end, "{}", fleet.log(0));
        std::thread::sleep(Duration::from_millis(50));
    }
    let refused = fleet.run(0, &["put", "early", "--timeout", "2"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(12), "{text}");
    assert!(text.contains("stored at 0 nodes yet"), "{text}");
    let child = fleet.spawn(1, 30);
    fleet.children[1] = Some(child);
    let key = key_of(&text);
    loop {
        let got = fleet.run(1, &["get", &key, "--timeout", "20"]);
        if got.stdout == b"early" {
            break;
        }
        let text = String::from_utf8_lossy(&got.stderr).into_owned();
        assert!(Instant::now() < end, "{text}\n{}", fleet.log(0));
    }
    // Both put and get, and what nobody has is told before the time is over.
    let stored = fleet.json(1, &["put", "late"]).expect("stored");
    let key = stored["key"].as_str().expect("a key").to_owned();
    let got = fleet.run(0, &["get", &key, "-v"]);
    assert_eq!(
        got.stdout,
        b"late",
        "{stored}\n{}\n{}\n{}",
        String::from_utf8_lossy(&got.stderr),
        fleet.status(0),
        fleet.status(1)
    );
    let began = Instant::now();
    let unknown = fleet.run(0, &["get", &"00".repeat(20), "--timeout", "60"]);
    assert_eq!(unknown.status.code(), Some(8));
    println!("a miss in a network of two took {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(50));
}

/// The key in `error: KEY is stored at 0 nodes yet`.
fn key_of(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("error: "));
    let key = line.and_then(|line| line.split(' ').next());
    key.expect("a key").to_owned()
}
