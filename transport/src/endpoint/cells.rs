//! The requests of a master to its endpoint, which come through the tunnel (protocol §7.2).

use std::net::SocketAddr;

use super::{Endpoint, exchange::Exchange};
use crate::{
    drop_reason::DropReason,
    ids::ServedId,
    net::Net,
    observe::Direction,
    packet::MESSAGE_DATAGRAM,
    wire::{cell::Cell, frame::FrameBytes},
};

/// Largest number of contacts in one answer to `Seeds`.
pub(super) const SEEDS: usize = 8;

/// The work that is left after a cell.
enum Rest {
    Nothing,
    Close,
    /// A message for an endpoint port, perhaps one of our own.
    Send {
        to: SocketAddr,
        datagram: Box<[u8; MESSAGE_DATAGRAM]>,
    },
}

impl Endpoint {
    /// A cell arrived at the end of its tunnel.
    pub(crate) fn on_cell(
        &mut self,
        net: &mut Net,
        id: ServedId,
        frame: &mut FrameBytes,
    ) -> Result<(), DropReason> {
        let rest = self.carry_out(net, id, frame);
        net.cx.observers.cell_judged(Direction::FromMaster, &rest);
        match rest? {
            Rest::Nothing => {}
            Rest::Close => self.close(net, id, None),
            Rest::Send { to, datagram } => self.send_out(net, id, to, datagram)?,
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        net: &mut Net,
        id: ServedId,
        frame: &mut FrameBytes,
    ) -> Result<Rest, DropReason> {
        let tunnel = self.tunnels.get_mut(id).ok_or(DropReason::UnknownTunnel)?;
        let cell = tunnel.open(&mut net.cx, frame)?;
        net.cx
            .observers
            .endpoint_opened(Direction::FromMaster, &cell);
        match cell {
            Cell::Send { to, datagram } => Ok(Rest::Send { to, datagram }),
            request => self.on_request(net, id, request),
        }
    }

    /// Handles a numbered request: it is executed once, and answered each time it is repeated.
    fn on_request(
        &mut self,
        net: &mut Net,
        id: ServedId,
        request: Cell,
    ) -> Result<Rest, DropReason> {
        let number = request.number().ok_or(DropReason::UnexpectedCell)?;
        let tunnel = self.tunnels.get_mut(id).ok_or(DropReason::UnknownTunnel)?;
        if tunnel.is_copy(net, number)? {
            return Ok(Rest::Nothing);
        }
        let mut rest = Rest::Nothing;
        let answer = match request {
            Cell::Exchange { spki, sealed, .. } => {
                if !tunnel.may_exchange() {
                    return Err(DropReason::UnexpectedCell);
                }
                let exchange = Exchange {
                    tunnel: id,
                    number,
                    spki,
                    sealed,
                };
                self.exchanges.start(&mut net.cx, exchange)?;
                tunnel.exchange_under_way(Some(number));
                return Ok(rest);
            }
            Cell::Seeds { .. } => {
                let contacts = self.tunnels.some_contacts(&mut net.cx, Some(id), SEEDS);
                Cell::SeedsAnswer { number, contacts }
            }
            Cell::Describe { relay, .. } => {
                let relay = net.directory.get(relay);
                let descriptor = relay.map(|descriptor| Box::new(*descriptor.bytes()));
                Cell::Described { number, descriptor }
            }
            request => {
                if matches!(request, Cell::Close { .. }) {
                    rest = Rest::Close;
                }
                tunnel.execute(request)?
            }
        };
        if let Some(tunnel) = self.tunnels.get_mut(id) {
            tunnel.answer(net, number, answer);
        }
        Ok(rest)
    }
}
