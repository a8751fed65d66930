//! Relayers that mistreat the cells and the walks of others.

use std::sync::{Arc, Mutex, PoisonError};

use deut_transport::misconduct::{Misconduct as InTheCore, Passing};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{Kind, Shared};
use crate::net::Misconduct;

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

/// What happens to a cell between two links, and to a walk.
pub(super) fn in_the_core(
    kind: Kind,
    shared: &Arc<Mutex<Shared>>,
    rng: &mut StdRng,
) -> Option<InTheCore> {
    let mut misconduct = InTheCore::default();
    let shared = Arc::clone(shared);
    match kind {
        Kind::Corrupt => {
            let mut rng = StdRng::from_rng(rng);
            misconduct.on_cell = Some(Box::new(move |body| {
                if rng.random_range(0..3) == 0 {
                    body[rng.random_range(0..body.len())] ^= rng.random_range(1..=u8::MAX);
                    lock(&shared).deeds.altered += 1;
                }
                Passing::Once
            }));
        }
        Kind::Replay => {
            misconduct.on_cell = Some(Box::new(move |_| {
                lock(&shared).deeds.repeated += 1;
                Passing::Twice
            }));
        }
        Kind::AlwaysEndpoint => misconduct.always_endpoint = true,
        Kind::OnlyToColluders => {
            misconduct.conspirators =
                Some(Arc::new(move |relay| lock(&shared).relays.contains(&relay)));
        }
        _ => return None,
    }
    Some(misconduct)
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
