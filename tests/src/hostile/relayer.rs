//! Relayers that mistreat the cells and the walks of others.

use std::sync::{Arc, Mutex, PoisonError};

use deut_common::ids::RelayId;
use deut_transport::{path_choice::PathChoice, wire::frame::CELL_BODY};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    Kind, Shared,
    cells::{Cells, Passing},
};
use crate::net::{Misconduct, Node};

/// How many cells hostile relayers mistreated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deeds {
    /// Swallowed.
    pub swallowed: u64,
    /// Held back.
    pub held_back: u64,
    /// Altered.
    pub altered: u64,
    /// Sent twice.
    pub repeated: u64,
}

/// What happens to a cell that is ready to leave.
pub(super) fn on_the_wire(kind: Kind) -> Option<Misconduct> {
    let conduct = Misconduct::default();
    match kind {
        Kind::Drop => Some(Misconduct {
            drops: 333,
            ..conduct
        }),
        Kind::Delay => Some(Misconduct {
            delays_us: 2_000_000,
            ..conduct
        }),
        _ => None,
    }
}

/// Makes a node alter or repeat the cells of others.
pub(super) fn on_cells(
    kind: Kind,
    node: &mut Node,
    shared: &Arc<Mutex<Shared>>,
    rng: &mut StdRng,
) -> Option<Cells> {
    let shared = Arc::clone(shared);
    match kind {
        Kind::Corrupt => {
            let mut rng = StdRng::from_rng(rng);
            let alter = move |body: &mut [u8; CELL_BODY]| {
                if rng.random_range(0..3) == 0 {
                    body[rng.random_range(0..body.len())] ^= rng.random_range(1..=u8::MAX);
                    lock(&shared).deeds.altered += 1;
                }
                Passing::Once
            };
            Some(Cells::of(node, Box::new(alter)))
        }
        Kind::Replay => {
            let repeat = move |_: &mut [u8; CELL_BODY]| {
                lock(&shared).deeds.repeated += 1;
                Passing::Twice
            };
            Some(Cells::of(node, Box::new(repeat)))
        }
        _ => None,
    }
}

/// Where it lets the walks of others go.
pub(super) fn on_walks(kind: Kind, shared: &Arc<Mutex<Shared>>) -> Option<Box<dyn PathChoice>> {
    match kind {
        Kind::AlwaysEndpoint => Some(Box::new(AlwaysEndpoint)),
        Kind::OnlyToColluders => Some(Box::new(OnlyToColluders(Arc::clone(shared)))),
        _ => None,
    }
}

/// Ends every walk that comes.
struct AlwaysEndpoint;

impl PathChoice for AlwaysEndpoint {
    fn ends_here(&mut self, _: bool) -> bool {
        true
    }

    fn may_follow(&self, _: RelayId) -> bool {
        true
    }
}

/// Passes walks on to other conspirators only.
struct OnlyToColluders(Arc<Mutex<Shared>>);

impl PathChoice for OnlyToColluders {
    fn may_follow(&self, next: RelayId) -> bool {
        lock(&self.0).relays.contains(&next)
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
