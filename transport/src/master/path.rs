//! The path of a tunnel's cells: the link to the first hop, one layer for each hop, the endpoint's keys (protocol §7.1).

use deut_common::ids::RelayId;

use crate::{
    crypto::{layer::LayerKeys, tunnel::TunnelCipher, walk::DirectionKeys},
    drop_reason::DropReason,
    ids::LinkHandle,
    net::Net,
    routes::Side,
    wire::{
        cell::Cell,
        frame::{self, FrameBytes},
    },
};

pub(super) struct Path {
    first_hop: RelayId,
    side: Side,
    layers: Vec<LayerKeys>,
    cipher: TunnelCipher,
}

impl Path {
    /// `k0` is used until the exchange is over.
    pub(super) fn new(
        first_hop: RelayId,
        side: Side,
        layers: Vec<LayerKeys>,
        k0: DirectionKeys,
    ) -> Self {
        Self {
            first_hop,
            side,
            layers,
            cipher: TunnelCipher::master(k0),
        }
    }

    pub(super) const fn link(&self) -> LinkHandle {
        self.side.link
    }

    pub(super) const fn first_hop(&self) -> RelayId {
        self.first_hop
    }

    pub(super) const fn hops(&self) -> usize {
        self.layers.len()
    }

    pub(super) fn set_session(&mut self, keys: DirectionKeys) {
        self.cipher.set_session(keys);
    }

    pub(super) fn has_session(&self) -> bool {
        self.cipher.has_session()
    }

    /// Seals a cell for the endpoint, puts all layers around it and sends it to the first hop.
    pub(super) fn send(&mut self, net: &mut Net, cell: &Cell) -> Result<(), DropReason> {
        net.send_cell(self.side, |body| {
            let mut nonce = self.cipher.seal(cell, body);
            for layer in self.layers.iter().rev() {
                layer.prepare_forward(&mut nonce, body);
            }
            nonce
        })
    }

    /// Takes all layers off and opens what the endpoint sealed.
    pub(super) fn open(&mut self, frame: &mut FrameBytes) -> Result<Cell, DropReason> {
        let mut nonce = frame::cell_nonce(frame);
        let body = frame::cell_body_mut(frame);
        for layer in &self.layers {
            layer.undo_back(&mut nonce, body);
        }
        self.cipher.open(nonce, body)
    }

    /// Frees the ids and the place on the link. With `tell`, the first hop frees its side too.
    pub(super) fn leave(&self, net: &mut Net, tell: bool) {
        net.leave(self.side, tell);
    }
}
