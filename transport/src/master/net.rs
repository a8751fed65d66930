//! The loan of the rest of the node to the master.

use crate::{context::Context, links::Links, relayer::routes::Routes};

/// The parts of the node that a step of the master acts on.
pub(crate) struct Net<'a> {
    pub(crate) cx: &'a mut Context,
    pub(crate) links: &'a mut Links,
    pub(crate) routes: &'a mut Routes,
}
