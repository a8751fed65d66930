//! The carrier of messages: our tunnels and the links below them.

use crate::{
    drop_reason::DropReason, ids::TunnelHandle, master::Master, net::Net, wire::cell::Cell,
};

pub(crate) struct Carrier<'a> {
    pub(crate) net: &'a mut Net,
    pub(crate) master: &'a mut Master,
}

impl Carrier<'_> {
    /// Sends a message through a tunnel.
    pub(super) fn send(&mut self, via: TunnelHandle, message: &Cell) -> Result<(), DropReason> {
        self.master.send(self.net, via, message)
    }

    /// A message sent over this tunnel was not answered: tests whether the tunnel is alive.
    pub(super) fn doubt(&mut self, handle: TunnelHandle) {
        self.master.doubt(self.net, handle);
    }
}
