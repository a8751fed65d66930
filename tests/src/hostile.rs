//! Nodes that do not play by the rules. They exist only here.

use rand::rngs::StdRng;

use crate::net::{Misconduct, Net};

/// What a hostile node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    None,
    /// As a relayer it swallows every third cell.
    Drop,
    /// As a relayer it holds each cell back for up to 2 s.
    Delay,
    /// As a relayer it alters every third cell.
    Corrupt,
    /// As a relayer it sends every cell twice.
    Replay,
}

/// Makes a node hostile.
pub fn corrupt(net: &mut Net, node: usize, kind: Kind, _rng: &mut StdRng) {
    let conduct = Misconduct::default();
    net.nodes[node].misconduct = match kind {
        Kind::None => None,
        Kind::Drop => Some(Misconduct {
            drops: 333,
            ..conduct
        }),
        Kind::Delay => Some(Misconduct {
            delays_us: 2_000_000,
            ..conduct
        }),
        Kind::Corrupt => Some(Misconduct {
            corrupts: 333,
            ..conduct
        }),
        Kind::Replay => Some(Misconduct {
            replays: 1_000,
            ..conduct
        }),
    };
}
