//! A walk that a neighbour brought, until it is answered (protocol §6).

use crate::{
    crypto::walk::Hop,
    ids::{LinkHandle, TunnelId},
    net::Net,
    wire::frame::{Control, WALK_BLOCK, WALK_SEALED, WalkAnswer},
};

pub(crate) struct Incoming {
    pub(crate) prev: LinkHandle,
    /// The id that cells from us to the previous hop will carry.
    pub(crate) id_back: TunnelId,
    pub(crate) hop: Hop,
}

impl Incoming {
    /// Puts our layer around an answer and sends it back. Cells to us will carry `id_fwd`.
    pub(crate) fn answer(
        &self,
        net: &mut Net,
        id_fwd: TunnelId,
        mut block: [u8; WALK_BLOCK],
        mut sealed: [u8; WALK_SEALED],
    ) {
        self.hop.wrap(&mut block, &mut sealed);
        let answer = WalkAnswer {
            id_back: self.id_back,
            id_fwd,
            block,
            sealed,
        };
        net.tell(self.prev, &Control::WalkAnswer(Box::new(answer)));
    }

    /// There is neither a next hop nor a place here: sends an answer of the same size that the master cannot open.
    pub(crate) fn answer_unopenable(&self, net: &mut Net) {
        let (block, sealed) = (net.cx.secret(), net.cx.secret());
        self.give_up(net);
        let id_fwd = TunnelId(u32::from_be_bytes(net.cx.secret()).max(1));
        self.answer(net, id_fwd, block, sealed);
    }

    /// Drops the walk without an answer.
    pub(crate) fn give_up(&self, net: &mut Net) {
        net.routes.free_outgoing(self.prev, self.id_back);
    }
}
