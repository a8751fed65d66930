//! Inputs to start from.

use super::deed;
use crate::fuzz::ops::deed_byte as byte;

/// Long enough for a walk or an exchange.
const WAIT: u8 = byte(deed::RUN, 8);

/// Tunnels of both sides with their cells, and troubles on the way.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = mastering().to_vec();
    seeds.extend(serving());
    seeds.extend(troubles());
    seeds
}

/// Tunnels of the neighbour's, without and with cells.
fn mastering() -> [Vec<u8>; 2] {
    let mut tunnels = vec![WAIT];
    for p in 0..5 {
        tunnels.extend([byte(deed::WALK, 0), WAIT]);
        tunnels.extend([byte(deed::EXCHANGE, p), 0, 0, 0, 1, WAIT, WAIT]);
    }
    let mut cells = tunnels.clone();
    // Places in the list of cells: SetGate, Advertise, Seeds, Describe, Echo, Send, Close.
    for (number, kind) in (2_u8..).zip([2, 4, 6, 8, 13, 15, 11]) {
        for p in 0..3 {
            cells.extend([byte(deed::MASTER_CELL, p), kind, number, 0]);
            cells.push(byte(deed::RUN, 5));
        }
    }
    [tunnels, cells]
}

/// Tunnels of the machine's own, without and with what its application does.
fn serving() -> [Vec<u8>; 2] {
    let mut tunnels = vec![WAIT, WAIT];
    for p in 0..4 {
        tunnels.extend([byte(deed::SERVE, p), WAIT, WAIT]);
    }
    let mut used = tunnels.clone();
    for p in [0, 1, 6, 9, 11, 13] {
        used.extend([byte(deed::COMMAND, p), WAIT]);
        used.extend([byte(deed::ENDPOINT_CELL, 0), p, 9, 1, 4, 1, WAIT]);
    }
    [tunnels, used]
}

fn troubles() -> [Vec<u8>; 3] {
    let mut spoiled = vec![WAIT, WAIT];
    for p in 0..3 {
        spoiled.extend([byte(deed::SPOIL, p), 1, 2, 9, 1, 1, 0, 40, 3, 7, WAIT]);
    }
    let mut frames = vec![WAIT];
    for p in 0..8 {
        frames.extend([byte(deed::KIND, p), 0, 4 * p, 0, 0, 9, 9]);
        frames.extend([byte(deed::CLOSE, 0), p, byte(deed::ACK, p), 0, 0, 0, p]);
        frames.extend([byte(deed::GOSSIP, p), p, 0]);
        frames.extend([byte(deed::AGAIN, p), 1, 0, 3, 1]);
    }
    let links = [14, 5, 10, 0, 5, 12]
        .into_iter()
        .flat_map(|p| [byte(deed::LINK, p), WAIT, byte(deed::WALK, 0)])
        .collect();
    [spoiled, frames, links]
}
