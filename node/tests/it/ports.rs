//! Blocks of UDP ports on 127.0.0.1 for nodes under test: a relay port and the 128 endpoint ports after it.

use std::{
    collections::BTreeSet,
    net::UdpSocket,
    ops::Range,
    sync::{Mutex, PoisonError},
};

/// Ports of one node.
pub const BLOCK: u16 = 129;
/// Beside what `deut testnet` takes in the tests, and beside Linux's ephemeral ports.
const RANGES: [Range<u16>; 4] = [
    22_300..32_768,
    17_300..20_000,
    10_000..15_000,
    61_000..65_400,
];

/// Blocks that were given to a test and not given back, and how many ever were.
static GIVEN: Mutex<(BTreeSet<u16>, usize)> = Mutex::new((BTreeSet::new(), 0));

/// The relay port of a block that is free and that no other test has: tests run side by side, and a node may start late.
pub fn block() -> u16 {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let blocks: Vec<u16> = RANGES
        .into_iter()
        .flat_map(|range| {
            let last = range.end - BLOCK;
            (range.start..=last).step_by(usize::from(BLOCK))
        })
        .collect();
    // Other test processes may run at the same time.
    let first = std::process::id() as usize * 37;
    for _ in 0..blocks.len() {
        let port = blocks[(first + given.1) % blocks.len()];
        given.1 += 1;
        if !given.0.contains(&port) && UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            given.0.insert(port);
            return port;
        }
    }
    panic!("no block of ports is free");
}

/// So many blocks.
pub fn blocks(count: usize) -> Vec<u16> {
    (0..count).map(|_| block()).collect()
}

/// Others may have these blocks.
pub fn give_back(ports: &[u16]) {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for port in ports {
        given.0.remove(port);
    }
}
