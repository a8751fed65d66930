//! Tunnels that end here. A datagram is assigned to its tunnel by its port and let in by its gate; messages go out only to
//! destinations that consent (protocol §7).

mod cells;
mod exchange;
mod hello;
mod openings;
mod outside;
mod ports;
mod remembered;
mod served;

use std::{net::SocketAddr, sync::Arc};

use crate::{
    config::Limits,
    context::Context,
    crypto::{answer::EndpointAnswer, walk::Hop},
    drop_reason::DropReason,
    ids::{JobTicket, LinkHandle, PoolId, PortToken, ServedId},
    incoming::Incoming,
    io::{Event, PortError},
    net::Net,
    routes::{Route, Side},
    rsa::{JobResult, RsaSuite},
    status::Size,
    timers::Timer,
    wire::frame::WALK_SEALED,
};
use exchange::Exchanges;
use openings::{Opened, Openings};
use outside::Outside;
use served::{Served, Table};

/// All tunnels that end here.
pub(crate) struct Endpoint {
    openings: Openings,
    tunnels: Table,
    exchanges: Exchanges,
    outside: Outside,
}

impl Endpoint {
    /// Orders the RSA key pair of this run, if tunnels may end here at all.
    pub(crate) fn new(cx: &mut Context, suite: Arc<dyn RsaSuite>) -> Self {
        let mut endpoint = Self {
            openings: Openings::new(&cx.config.role),
            tunnels: Table::default(),
            exchanges: Exchanges::new(cx, suite),
            outside: Outside::new(&cx.config.limits, cx.mono()),
        };
        if endpoint.openings.has_ports() {
            endpoint.exchanges.order_key(cx);
        }
        endpoint
    }

    pub(crate) fn len(&self) -> usize {
        self.tunnels.len() + self.openings.len()
    }

    pub(crate) fn sizes(&self, limits: &Limits) -> impl Iterator<Item = Size> {
        let cap = limits.endpoint_tunnels;
        let tunnels = [
            ("served tunnels", self.len(), cap),
            ("hosted contacts", self.tunnels.contacts(), cap),
        ];
        tunnels.into_iter().chain(self.outside.sizes(limits))
    }

    /// With one other relay only, our tunnels end at it and its tunnels at us: it hosts our contact and we host its, and neither
    /// endpoint could ever tell us of the other. Then, and only then, our planes get the contacts we host. Nothing is sent, and
    /// with one other relay there is no crowd from which the two roles of this machine could be told apart.
    pub(crate) fn seed_ourselves(&self, net: &mut Net, pool: PoolId) {
        if net.directory.len() != 1 {
            return;
        }
        let contacts = self.tunnels.some_contacts(&mut net.cx, None, cells::SEEDS);
        if !contacts.is_empty() {
            net.cx.event(Event::Seeds { pool, contacts });
        }
    }

    /// The coin said "endpoint": opens a port. Returns the walk if no tunnel can end here now.
    pub(crate) fn serve(
        &mut self,
        cx: &mut Context,
        walk: Box<Incoming>,
    ) -> Result<(), Box<Incoming>> {
        if self.exchanges.public().is_none() || self.len() >= cx.config.limits.endpoint_tunnels {
            return Err(walk);
        }
        self.openings.start(cx, walk)
    }

    /// The driver opened a port or failed to.
    pub(crate) fn on_port_opened(
        &mut self,
        net: &mut Net,
        token: PortToken,
        result: Result<(), PortError>,
    ) {
        match self.openings.opened(&mut net.cx, token, result) {
            Opened::Open { walk, port } => {
                if self.answer(net, *walk, (token, port)).is_none() {
                    self.openings.close(&mut net.cx, token, port);
                }
            }
            Opened::Again => {}
            Opened::Failed(walk) => walk.answer_unopenable(net),
            Opened::Unknown => net.cx.drops.count(DropReason::StaleJob),
        }
    }

    /// The port is open: answers the walk. From here on the tunnel stands on our side.
    fn answer(&mut self, net: &mut Net, walk: Incoming, port: (PortToken, u16)) -> Option<()> {
        let link = walk.prev;
        let route = Route::Served(ServedId(port.0.0));
        let incoming = net.links.is_up(link);
        let incoming = incoming.then(|| net.routes.fresh(&mut net.cx, link, route));
        let sealed = self.sealed_answer(net, port.1, &walk.hop);
        let (Some(sealed), Some(incoming)) = (sealed, incoming.flatten()) else {
            walk.give_up(net);
            return None;
        };
        net.cx.observers.walk_taken(*walk.hop.element(), None);
        let block = net.cx.secret();
        net.links.add_tunnel(&net.cx, link);
        walk.answer(net, incoming, block, sealed);
        let side = Side {
            link,
            incoming,
            outgoing: walk.id_back,
        };
        let tunnel = Served::new(&net.cx, side, walk.hop, port);
        tunnel.plan(&mut net.cx);
        self.tunnels.insert(tunnel);
        Some(())
    }

    /// Our descriptor, our RSA key and the port that is open for this tunnel, sealed for the master (protocol §6.3).
    fn sealed_answer(&self, net: &Net, port: u16, hop: &Hop) -> Option<[u8; WALK_SEALED]> {
        let own = net.own.descriptor()?;
        let address = SocketAddr::new(own.address.ip(), port);
        let life_s = net.cx.config.times.tunnel_end_ms / 1_000;
        let expiry = net.cx.now.unix.0.saturating_add(life_s);
        let answer = EndpointAnswer {
            descriptor: own.clone(),
            spki: Box::new(*self.exchanges.public()?),
            address,
            families: if address.is_ipv4() { 1 } else { 2 },
            expiry: u32::try_from(expiry).unwrap_or(u32::MAX),
        };
        Some(answer.seal(net.own.keys(), hop))
    }

    /// The worker finished a job; `false` if the ticket is not ours.
    pub(crate) fn on_job(&mut self, net: &mut Net, ticket: JobTicket, result: &JobResult) -> bool {
        if self.exchanges.on_key(&mut net.cx, ticket, result) {
            return true;
        }
        let Some(exchange) = self.exchanges.take(ticket) else {
            return false;
        };
        let tunnel = self.tunnels.get_mut(exchange.tunnel);
        match (result, tunnel) {
            (JobResult::Opened(seed), tunnel) => {
                let finished = self.exchanges.finish(net, tunnel, &exchange, seed);
                if let Err(reason) = finished {
                    net.cx.drops.count(reason);
                }
            }
            (JobResult::Refused | JobResult::Key(_), Some(tunnel)) => {
                tunnel.exchange_under_way(None);
            }
            (JobResult::Refused | JobResult::Key(_), None) => {}
        }
        true
    }

    /// Frees the ports that rested long enough.
    pub(crate) fn on_ports_timer(&mut self, cx: &mut Context) {
        self.exchanges.order_key(cx);
        self.openings.on_timer(cx);
    }

    /// Closes the tunnel if it is still half open, idle or at its end.
    pub(crate) fn on_timer(&mut self, net: &mut Net, id: ServedId) {
        match self.tunnels.get_mut(id) {
            Some(tunnel) if tunnel.is_over(&net.cx) => self.close(net, id, None),
            Some(tunnel) => tunnel.plan(&mut net.cx),
            None => {}
        }
    }

    /// Ends all tunnels.
    pub(crate) fn shut_down(&mut self, net: &mut Net) {
        for id in self.tunnels.ids() {
            self.close(net, id, None);
        }
    }

    /// Ends a tunnel; the previous hop is told unless its link is `gone`.
    pub(crate) fn close(&mut self, net: &mut Net, id: ServedId, gone: Option<LinkHandle>) {
        let Some(tunnel) = self.tunnels.remove(id) else {
            return;
        };
        net.cx.timers.clear(Timer::Served(id));
        let side = tunnel.side();
        net.leave(side, gone != Some(side.link));
        let (token, port) = tunnel.port();
        self.openings.close(&mut net.cx, token, port);
    }
}
