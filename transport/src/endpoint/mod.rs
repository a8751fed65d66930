//! Tunnels that end here: the port tells the tunnel, gates tell what is let in, and only destinations that consent are
//! sent to (protocol §7).

mod cells;
mod exchange;
mod hello;
mod outside;
mod ports;
mod remembered;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::ids::ServedId;

pub(crate) use cells::CellOutcome;
use deut_common::{
    buckets::{Bucket, Buckets},
    time::Mono,
};

use crate::{
    config::Role,
    context::Context,
    crypto::{answer::EndpointAnswer, layer::LayerKeys, tunnel::TunnelCipher, walk::Hop},
    drop_reason::DropReason,
    ids::{Gate, JobTicket, LinkHandle, Port, PortToken, TunnelId},
    io::{Action, Output, PortError, Priority},
    keys::RelayKeys,
    links::{ControlToken, Links},
    packet::RELAY_DATAGRAM,
    relayer::{
        routes::{Route, Routes},
        walks::Forwarded,
    },
    rsa::{Job, RsaKeyPair, RsaSuite},
    timers::Timer,
    wire::{
        cell::Cell,
        descriptor::Descriptor,
        frame::{Control, WALK_BLOCK, WALK_SEALED, WalkAnswer},
    },
};
use hello::Hellos;
use ports::Ports;

/// Ports tried when others hold them.
const PORT_TRIES: u8 = 8;
/// Without a K1 cell the tunnel is dropped after so long.
const HALF_OPEN_MS: u64 = 10_000;

/// A walk whose coin said "endpoint", waiting for its port.
struct Opening {
    walk: Box<Forwarded>,
    port: u16,
    tries: u8,
}

/// A tunnel that ends here.
struct Served {
    prev: LinkHandle,
    /// Cells from the previous hop carry it.
    incoming: TunnelId,
    /// Cells to the previous hop carry it.
    outgoing: TunnelId,
    hop: Hop,
    layers: LayerKeys,
    cipher: TunnelCipher,
    token: PortToken,
    port: u16,
    gates: [Option<Gate>; 2],
    contact: Option<Vec<u8>>,
    /// The last executed request and its answer, for copies.
    answered: Option<(u32, Option<Box<Cell>>)>,
    /// The exchange is confirmed: a K1 cell came.
    confirmed: bool,
    messages: Bucket,
    /// HELLOs that nobody answered.
    hellos: Bucket,
    echoes: Bucket,
    last_used: Mono,
    ends_at: Mono,
}

impl Served {
    /// A tunnel at the end of `walk`, whose messages arrive at this port.
    fn new(
        cx: &Context,
        walk: Forwarded,
        incoming: TunnelId,
        (token, port): (PortToken, u16),
    ) -> Self {
        let Forwarded { prev, id_back, hop } = walk;
        let limits = &cx.config.limits;
        Self {
            prev,
            incoming,
            outgoing: id_back,
            layers: hop.layers(),
            cipher: TunnelCipher::endpoint(hop.endpoint_keys().k0),
            hop,
            token,
            port,
            gates: [None, None],
            contact: None,
            answered: None,
            confirmed: false,
            messages: Bucket::new(limits.messages_per_tunnel, cx.mono()),
            hellos: Bucket::slow(limits.hellos_per_tunnel, cx.mono()),
            echoes: Bucket::new(limits.echoes_per_tunnel, cx.mono()),
            last_used: cx.mono(),
            ends_at: cx.mono().plus_ms(cx.config.times.tunnel_end_ms),
        }
    }
}

/// All tunnels that end here.
pub(crate) struct Endpoint {
    keys: Arc<RelayKeys>,
    suite: Arc<dyn RsaSuite>,
    /// Of the endpoint ports.
    ip: IpAddr,
    ports: Option<Ports>,
    /// The RSA key of this start, once it is made.
    rsa: Option<RsaKeyPair>,
    rsa_job: Option<JobTicket>,
    opening: BTreeMap<PortToken, Opening>,
    tunnels: BTreeMap<ServedId, Box<Served>>,
    by_token: BTreeMap<PortToken, ServedId>,
    by_port: BTreeMap<u16, ServedId>,
    exchanges: BTreeMap<JobTicket, exchange::Exchange>,
    exchange_bucket: Bucket,
    per_destination: Buckets<SocketAddr>,
    in_all: Bucket,
    hellos: Hellos,
    next: u64,
}

impl Endpoint {
    pub(crate) fn new(cx: &mut Context, keys: Arc<RelayKeys>, suite: Arc<dyn RsaSuite>) -> Self {
        let limits = cx.config.limits.clone();
        let (ip, range) = match cx.config.role {
            Role::Relay {
                address,
                endpoint_ports,
            } => (address.ip(), endpoint_ports),
            Role::Client => (IpAddr::from([0; 4]), None),
        };
        let rsa_job = range.is_some().then(|| {
            let seed = cx.secret();
            cx.job(Priority::FirstTunnels, Job::Generate { seed })
        });
        Self {
            keys,
            suite,
            ip,
            ports: range.map(Ports::new),
            rsa: None,
            rsa_job,
            opening: BTreeMap::new(),
            tunnels: BTreeMap::new(),
            by_token: BTreeMap::new(),
            by_port: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            exchange_bucket: Bucket::new(limits.exchanges, cx.mono()),
            per_destination: Buckets::new(limits.messages_per_destination, 4_096),
            in_all: Bucket::new(limits.messages_in_all, cx.mono()),
            hellos: Hellos::new(&limits, cx.mono()),
            next: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.tunnels.len() + self.opening.len()
    }

    /// Whether the coin may fall on "endpoint" at all.
    pub(crate) fn can_serve(&self, cx: &Context) -> bool {
        self.rsa.is_some() && self.len() < cx.config.limits.endpoint_tunnels
    }

    /// The coin said "endpoint": open a port. Gives the walk back if there is none.
    pub(crate) fn serve(
        &mut self,
        cx: &mut Context,
        walk: Box<Forwarded>,
    ) -> Result<(), Box<Forwarded>> {
        let Some(port) = self
            .ports
            .as_mut()
            .and_then(|ports| ports.take(cx, self.ip))
        else {
            return Err(walk);
        };
        self.open_port(
            cx,
            Opening {
                walk,
                port,
                tries: 1,
            },
        );
        Ok(())
    }

    fn open_port(&mut self, cx: &mut Context, opening: Opening) {
        self.next += 1;
        let token = PortToken(self.next);
        cx.out.push_back(Output::Do(Action::OpenPort {
            token,
            port: opening.port,
        }));
        self.opening.insert(token, opening);
    }

    /// The port is open (answer the walk), or another one must be tried; the walk comes back when all fail.
    pub(crate) fn on_port_opened(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        routes: &mut Routes,
        own: &Descriptor,
        (token, result): (PortToken, Result<(), PortError>),
    ) -> Option<Box<Forwarded>> {
        let Some(mut opening) = self.opening.remove(&token) else {
            cx.drops.count(DropReason::StaleJob);
            return None;
        };
        if result.is_ok() {
            self.answer(cx, links, routes, own, token, opening);
            return None;
        }
        let ports = self.ports.as_mut()?;
        ports.in_use(cx, opening.port);
        if opening.tries >= PORT_TRIES {
            return Some(opening.walk);
        }
        let Some(port) = ports.take(cx, self.ip) else {
            return Some(opening.walk);
        };
        opening.port = port;
        opening.tries += 1;
        self.open_port(cx, opening);
        None
    }

    fn answer(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        routes: &mut Routes,
        own: &Descriptor,
        token: PortToken,
        opening: Opening,
    ) {
        let Opening { walk, port, .. } = opening;
        let Forwarded { prev, id_back, hop } = *walk;
        let id = ServedId(token.0);
        let incoming = links
            .is_up(prev)
            .then(|| routes.fresh(cx, prev, Route::Served(id)))
            .flatten();
        let (Some(mut sealed), Some(incoming)) =
            (self.sealed_answer(cx, own, port, &hop), incoming)
        else {
            routes.free_outgoing(prev, id_back);
            cx.out.push_back(Output::Do(Action::ClosePort(token)));
            return self.release(cx, port);
        };
        cx.observers.walk_taken(*hop.element(), None);
        let mut block: [u8; WALK_BLOCK] = cx.secret();
        hop.wrap(&mut block, &mut sealed);
        links.add_tunnel(cx, prev);
        let walk = Forwarded { prev, id_back, hop };
        let served = Served::new(cx, walk, incoming, (token, port));
        self.tunnels.insert(id, Box::new(served));
        self.by_token.insert(token, id);
        self.by_port.insert(port, id);
        cx.timers
            .set(Timer::Served(id), cx.mono().plus_ms(HALF_OPEN_MS));
        let answer = WalkAnswer {
            id_back,
            id_fwd: incoming,
            block,
            sealed,
        };
        send_answer(cx, links, prev, answer);
    }

    /// Who we are, which key we have, and which port is open for this tunnel (protocol §6.3).
    fn sealed_answer(
        &self,
        cx: &Context,
        own: &Descriptor,
        port: u16,
        hop: &Hop,
    ) -> Option<[u8; WALK_SEALED]> {
        let address = SocketAddr::new(own.address.ip(), port);
        let families = if address.is_ipv4() { 1 } else { 2 };
        let life_s = cx.config.times.tunnel_end_ms / 1_000;
        let expiry = u32::try_from(cx.now.unix.0.saturating_add(life_s)).unwrap_or(u32::MAX);
        let spki = self.rsa.as_ref()?.public.clone();
        let answer = EndpointAnswer {
            descriptor: own.clone(),
            spki,
            address,
            families,
            expiry,
        };
        Some(answer.seal(&self.keys, hop))
    }

    fn release(&mut self, cx: &mut Context, port: u16) {
        if let Some(ports) = &mut self.ports {
            ports.release(cx, port);
        }
    }

    /// Ports that rested long enough are free again.
    pub(crate) fn on_ports_timer(&mut self, cx: &mut Context) {
        self.order_key(cx);
        if let Some(ports) = &mut self.ports {
            ports.on_timer(cx);
        }
    }

    /// Half open, idle or at its end?
    pub(crate) fn on_timer(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        routes: &mut Routes,
        id: ServedId,
    ) {
        let Some(tunnel) = self.tunnels.get(&id) else {
            return;
        };
        let due = tunnel
            .ends_at
            .min(tunnel.last_used.plus_ms(cx.config.times.tunnel_idle_ms));
        if tunnel.confirmed && cx.mono() < due {
            cx.timers.set(Timer::Served(id), due);
        } else {
            self.close(cx, links, routes, id, None);
        }
    }

    /// Ends a tunnel; the previous hop is told unless its link is `gone`.
    pub(crate) fn close(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        routes: &mut Routes,
        id: ServedId,
        gone: Option<LinkHandle>,
    ) {
        let Some(tunnel) = self.tunnels.remove(&id) else {
            return;
        };
        cx.timers.clear(Timer::Served(id));
        self.by_token.remove(&tunnel.token);
        self.by_port.remove(&tunnel.port);
        routes.forget(tunnel.prev, tunnel.incoming);
        routes.free_outgoing(tunnel.prev, tunnel.outgoing);
        links.drop_tunnel(cx, tunnel.prev);
        if gone != Some(tunnel.prev) {
            links.send_control(
                cx,
                tunnel.prev,
                &Control::TunnelClosed {
                    id: tunnel.outgoing,
                },
                ControlToken::Nobody,
            );
        }
        cx.out
            .push_back(Output::Do(Action::ClosePort(tunnel.token)));
        self.release(cx, tunnel.port);
    }

    /// All tunnels that end here.
    pub(crate) fn ids(&self) -> Vec<ServedId> {
        self.tunnels.keys().copied().collect()
    }

    /// Sends a cell back to the master.
    fn send_back(&mut self, cx: &mut Context, links: &mut Links, id: ServedId, cell: &Cell) {
        let Some(tunnel) = self.tunnels.get_mut(&id) else {
            return;
        };
        let mut packet = crate::packet::Packet::zeroed(RELAY_DATAGRAM);
        let Some(datagram) = packet.as_relay_mut() else {
            return;
        };
        let frame = crate::crypto::session::plaintext_mut(datagram);
        let body = crate::wire::frame::cell_body_mut(frame);
        let mut nonce = tunnel.cipher.seal(cell, body);
        tunnel.layers.back(&mut nonce, body);
        crate::wire::frame::set_cell_header(frame, tunnel.outgoing, nonce);
        let link = tunnel.prev;
        if let Ok(to) = links.seal(cx, link, &mut packet) {
            cx.transmit(Port::Relay, to, packet);
        }
    }
}

/// Sends a walk answer over a link.
pub(crate) fn send_answer(
    cx: &mut Context,
    links: &mut Links,
    link: LinkHandle,
    answer: WalkAnswer,
) {
    links.send_control(
        cx,
        link,
        &Control::WalkAnswer(Box::new(answer)),
        ControlToken::Nobody,
    );
}

/// The answer of a relayer that found no next hop: nothing in it can be opened.
pub(crate) fn unopenable(cx: &mut Context) -> ([u8; WALK_BLOCK], [u8; WALK_SEALED]) {
    (cx.secret(), cx.secret())
}
