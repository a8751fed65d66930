//! The carrier of messages: tunnels, and the links below them.

use crate::{
    context::Context, drop_reason::DropReason, ids::TunnelHandle, links::Links, master::Master,
    wire::cell::Cell,
};

/// The tunnels of this node, and the links to their first hops.
pub(crate) struct Carrier<'a> {
    pub(crate) cx: &'a mut Context,
    pub(crate) master: &'a mut Master,
    pub(crate) links: &'a mut Links,
}

impl Carrier<'_> {
    /// Sends a message through a tunnel.
    pub(super) fn send(&mut self, via: TunnelHandle, message: &Cell) -> Result<(), DropReason> {
        self.master.send(self.cx, self.links, via, message)
    }

    /// Nothing came of a message over this tunnel: is it alive?
    pub(super) fn doubt(&mut self, handle: TunnelHandle) {
        self.master.doubt(self.cx, self.links, handle);
    }
}
