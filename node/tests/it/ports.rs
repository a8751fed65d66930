//! Blocks of UDP ports on 127.0.0.1 for nodes under test: a relay port and the 128 endpoint ports after it.

use std::{
    net::UdpSocket,
    sync::atomic::{AtomicU32, Ordering},
};

/// Ports of one node.
pub const BLOCK: u16 = 129;
/// Above what `deut testnet` takes in the tests, and below Linux's ephemeral ports.
const FIRST: u16 = 22_300;
const BLOCKS: u16 = (32_768 - FIRST) / BLOCK;

/// The relay port of a block that was free a moment ago and that no other test was given lately: tests run side by side.
pub fn block() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Other test processes may run at the same time.
    let first = std::process::id().wrapping_mul(37);
    for _ in 0..u32::from(BLOCKS) * 4 {
        let number = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % u32::from(BLOCKS);
        let port = FIRST + u16::try_from(number).expect("fewer than BLOCKS") * BLOCK;
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no block of ports is free");
}

/// So many blocks.
pub fn blocks(count: usize) -> Vec<u16> {
    (0..count).map(|_| block()).collect()
}
