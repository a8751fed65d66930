//! For the tests crate only: a relayer that does not play by the rules.
//!
//! Compiled with the feature `probe`, which the shipped binary never has.

use std::{fmt, sync::Arc};

use deut_common::ids::RelayId;

use crate::{
    context::Context,
    relayer::walks::Origin,
    wire::frame::{self, CELL_BODY, FrameBytes},
};

/// What happens to a cell once the hostile relayer has looked at it, and perhaps altered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// It goes on, as any other.
    Once,
    /// It goes on twice, each copy sealed for the next link by itself.
    Twice,
}

/// Sees the body of each cell that this node passes on, its layer off (or on) and not yet sealed for the next link.
pub type OnCell = Box<dyn FnMut(&mut [u8; CELL_BODY]) -> Passing + Send>;

/// Whether a relay is one of the conspirators.
pub type Conspirators = Arc<dyn Fn(RelayId) -> bool + Send + Sync>;

/// What a hostile relayer does; by default nothing.
#[derive(Default)]
pub struct Misconduct {
    /// Alters or repeats cells.
    pub on_cell: Option<OnCell>,
    /// Whatever its coin shows, it ends the walk.
    pub always_endpoint: bool,
    /// The only relays that it passes the walks of others on to.
    pub conspirators: Option<Conspirators>,
}

impl fmt::Debug for Misconduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Misconduct")
            .field("on_cell", &self.on_cell.is_some())
            .field("always_endpoint", &self.always_endpoint)
            .field("conspirators", &self.conspirators.is_some())
            .finish()
    }
}

pub(crate) fn cell_passes(cx: &mut Context, frame: &mut FrameBytes) -> Passing {
    match &mut cx.misconduct.on_cell {
        Some(on_cell) => on_cell(frame::cell_body_mut(frame)),
        None => Passing::Once,
    }
}

/// The list that binds this walk; own walks go anywhere.
pub(crate) fn conspirators(cx: &Context, origin: &Origin) -> Option<Conspirators> {
    match origin {
        Origin::Master(_) => None,
        Origin::Forwarded(_) => cx.misconduct.conspirators.clone(),
    }
}
