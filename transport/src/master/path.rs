//! The way of a tunnel's cells: the link to the first hop, one layer for each hop, the endpoint's keys (protocol §7.1).

use deut_common::ids::RelayId;

use super::net::Net;
use crate::{
    context::Context,
    crypto::{layer::LayerKeys, session::plaintext_mut, tunnel::TunnelCipher, walk::DirectionKeys},
    drop_reason::DropReason,
    ids::{LinkHandle, Port, TunnelId},
    links::{ControlToken, Links},
    packet::{Packet, RELAY_DATAGRAM},
    relayer::walks::Sent,
    wire::{
        cell::Cell,
        frame::{self, Control},
    },
};

pub(super) struct Path {
    link: LinkHandle,
    first_hop: RelayId,
    /// Cells to the first hop carry it.
    outgoing: TunnelId,
    /// Cells from the first hop carry it.
    incoming: TunnelId,
    layers: Vec<LayerKeys>,
    cipher: TunnelCipher,
}

impl Path {
    /// `outgoing` was chosen by the first hop; `k0` serves until the exchange is over.
    pub(super) fn new(
        sent: Sent,
        outgoing: TunnelId,
        layers: Vec<LayerKeys>,
        k0: DirectionKeys,
    ) -> Self {
        Self {
            link: sent.link,
            first_hop: sent.relay,
            outgoing,
            incoming: sent.id_back,
            layers,
            cipher: TunnelCipher::master(k0),
        }
    }

    pub(super) const fn link(&self) -> LinkHandle {
        self.link
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
    pub(super) fn send(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        cell: &Cell,
    ) -> Result<(), DropReason> {
        let mut packet = Packet::zeroed(RELAY_DATAGRAM);
        let frame = plaintext_mut(packet.as_relay_mut().ok_or(DropReason::BadLength)?);
        let body = frame::cell_body_mut(frame);
        let mut nonce = self.cipher.seal(cell, body);
        for layer in self.layers.iter().rev() {
            layer.prepare_forward(&mut nonce, body);
        }
        frame::set_cell_header(frame, self.outgoing, nonce);
        let to = links.seal(cx, self.link, &mut packet)?;
        cx.transmit(Port::Relay, to, packet);
        Ok(())
    }

    /// Takes all layers off and opens what the endpoint sealed.
    pub(super) fn open(&mut self, packet: &mut Packet) -> Result<Cell, DropReason> {
        let frame = plaintext_mut(packet.as_relay_mut().ok_or(DropReason::BadLength)?);
        let mut nonce = frame::cell_nonce(frame);
        let body = frame::cell_body_mut(frame);
        for layer in &self.layers {
            layer.undo_back(&mut nonce, body);
        }
        self.cipher.open(nonce, body)
    }

    /// Frees the ids and the place on the link. With `tell` the first hop lets its side go too.
    pub(super) fn leave(&self, net: &mut Net<'_>, tell: bool) {
        net.routes.forget(self.link, self.incoming);
        net.routes.free_outgoing(self.link, self.outgoing);
        net.links.drop_tunnel(net.cx, self.link);
        if tell {
            let closed = Control::TunnelClosed { id: self.outgoing };
            net.links
                .send_control(net.cx, self.link, &closed, ControlToken::Nobody);
        }
    }
}
