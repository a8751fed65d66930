//! The entry of all datagrams, by port and kind. A cell goes to the role that its route names; a relayed one leaves again at once.

use std::net::SocketAddr;

use super::Transport;
use crate::{
    crypto::session::plaintext_mut,
    drop_reason::DropReason,
    ids::{LinkHandle, Port, TunnelId},
    io::DownReason,
    links::{ControlToken, LinkEvent},
    net::Received,
    observe::Direction,
    packet::Packet,
    routes::Route,
    walks::Roles,
    wire::{datagram::Datagram, frame::Control},
};

impl Transport {
    /// `Ok(Some(address))`: the packet is to be sent on to that address from the relay port.
    pub(super) fn on_datagram(
        &mut self,
        at: Port,
        from: SocketAddr,
        packet: &mut Packet,
    ) -> Result<Option<SocketAddr>, DropReason> {
        if self.master.is_shutting_down() {
            return Err(DropReason::ShuttingDown);
        }
        let net = &mut self.net;
        if let Port::Endpoint(token) = at {
            let datagram = packet.bytes();
            self.endpoint.on_datagram(net, token, from, datagram)?;
            return Ok(None);
        }
        let datagram = packet.as_relay_mut().ok_or(DropReason::BadLength)?;
        match net.on_datagram(from, datagram)? {
            Received::Nothing => {}
            Received::Cell(link, id) => return self.on_cell(link, id, datagram),
            Received::Control(link, control) => self.on_control(link, control)?,
            Received::Link(event) => self.on_link_events([event]),
        }
        Ok(None)
    }

    fn on_cell(
        &mut self,
        link: LinkHandle,
        id: TunnelId,
        datagram: &mut Datagram,
    ) -> Result<Option<SocketAddr>, DropReason> {
        let net = &mut self.net;
        let frame = plaintext_mut(datagram);
        let route = net.routes.get(link, id).ok_or(DropReason::UnknownTunnel)?;
        match route {
            Route::Forward(_) | Route::Back(_) => {
                let next = self.relayer.pass(net.cx.now.mono, route, frame)?;
                return net.links.seal(&mut net.cx, next, datagram).map(Some);
            }
            Route::Served(id) => self.endpoint.on_cell(net, id, frame)?,
            Route::Master(handle) => {
                let events = self.master.on_cell(net, handle, frame);
                net.cx.observers.cell_judged(Direction::ToMaster, &events);
                self.on_master_events(events?)?;
            }
            Route::Walk(_) => return Err(DropReason::UnknownTunnel),
        }
        Ok(None)
    }

    fn on_control(&mut self, link: LinkHandle, control: Control) -> Result<(), DropReason> {
        let net = &mut self.net;
        match control {
            Control::WalkRequest(request) => {
                let roles = &mut Roles {
                    relayer: &mut self.relayer,
                    endpoint: &mut self.endpoint,
                };
                self.walks.on_request(net, roles, link, &request)
            }
            Control::WalkAnswer(answer) => {
                let walked = self.walks.on_answer(net, &mut self.relayer, link, answer)?;
                walked.map_or(Ok(()), |walked| self.master.on_walk_answer(net, &walked))
            }
            Control::TunnelClosed { id } => {
                let route = net.routes.get(link, id).ok_or(DropReason::UnknownTunnel)?;
                self.close(route, link);
                Ok(())
            }
            Control::Probe => Ok(()),
        }
    }

    /// Ends the target of a route; `gone` is the link whose neighbour need not be told.
    pub(super) fn close(&mut self, route: Route, gone: LinkHandle) {
        let net = &mut self.net;
        match route {
            Route::Forward(id) | Route::Back(id) => self.relayer.close(net, id, Some(gone)),
            Route::Served(id) => self.endpoint.close(net, id, Some(gone)),
            Route::Master(handle) => {
                let events = self.master.down(net, handle, DownReason::ClosedByPeer);
                self.carry_on(events);
            }
            Route::Walk(walk) => self.retry_walk(walk),
        }
    }

    pub(super) fn on_link_events(&mut self, events: impl IntoIterator<Item = LinkEvent>) {
        for event in events {
            match event {
                LinkEvent::Up(link) => self.net.link_up(link),
                LinkEvent::Dead {
                    link,
                    relay,
                    silent,
                } => {
                    self.net.directory.link_down(link);
                    if let Some(relay) = relay.filter(|_| silent) {
                        self.net.silent(relay);
                    }
                    for route in self.net.routes.on_link(link) {
                        self.close(route, link);
                    }
                }
                LinkEvent::ControlFailed(_, ControlToken::Walk(walk)) => {
                    self.walks.next_hop_is_silent(&mut self.net, walk);
                    self.retry_walk(walk);
                }
                LinkEvent::ControlFailed(_, ControlToken::Nobody | ControlToken::Probe) => {}
            }
        }
    }
}
