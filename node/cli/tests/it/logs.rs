//! The log of a running daemon names nobody: no address, no key, no infohash, unless it is asked to at debug or below.

use std::{fs, net::Ipv4Addr};

use crate::fleet::{Fleet, MAGNET, persona, personas};

/// Digits of a name of a relay, a persona or a torrent; keys have more.
const SHORTEST_NAME: usize = 40;

/// IPv4 addresses with or without a port, IPv6 addresses with one, and names in hex digits.
fn names(text: &str) -> Vec<&str> {
    let address = |part: &&str| part.parse::<Ipv4Addr>().is_ok();
    let addresses = text.split(|character: char| !character.is_ascii_digit() && character != '.');
    let long = |part: &&str| part.len() >= SHORTEST_NAME;
    let hex = text.split(|character: char| !character.is_ascii_hexdigit());
    let with_port = text
        .split_inclusive("]:")
        .filter(|part| part.ends_with("]:"));
    addresses
        .filter(address)
        .chain(hex.filter(long))
        .chain(with_port)
        .collect()
}

#[test]
fn addresses_and_keys_are_found_by_the_scanner() {
    let key = "8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e";
    let line = format!("at 203.0.113.7:6881, [2001:db8::1]:14400 and key={key}.");
    assert_eq!(names(&line).len(), 3, "{:?}", names(&line));
    let harmless = "2026-11-26T18:23:19.123456Z  INFO deut 0.1.0: ready after_ms=1234 tunnels=4";
    assert!(names(harmless).is_empty());
}

#[test]
fn at_info_a_daemon_logs_neither_address_nor_key_and_at_trace_it_does() {
    let level = |node| vec!["--log", if node == 0 { "trace" } else { "info" }];
    let mut fleet = Fleet::start_with("logs", 5, 40, level);
    fleet.settle();
    let announced = fleet.json(1, &["announce", MAGNET]).expect("announced");
    let found = fleet.json(2, &["get", MAGNET]).expect("resolved");
    assert!(personas(&found).contains(&persona(&announced)), "{found}");
    let stored = fleet.json(3, &["put", "a value"]).expect("stored");
    let key = stored["key"].as_str().expect("a key");
    assert_eq!(fleet.run(4, &["get", key]).stdout, b"a value");
    fleet.stop_all();
    for node in 1..5 {
        let log = fleet.log(node);
        assert!(log.contains("ready") && log.contains("stopped"), "{log}");
        assert!(names(&log).is_empty(), "node {node}: {:?}", names(&log));
    }
    // The first says where it listens to whoever looks closely.
    let log = fleet.log(0);
    assert!(names(&log).contains(&"127.0.0.1"), "{log}");
    let told = fs::read_to_string(fleet.directory.join("out1")).expect("its standard output");
    assert!(!names(&told).is_empty(), "the operator is told: {told}");
}
