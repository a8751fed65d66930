//! Tunnels that end here: the port tells the tunnel, gates tell what is let in, and only destinations that consent are
//! sent to (protocol §7).

mod cells;
mod exchange;
mod hello;
mod ports;
mod remembered;
mod world;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

pub(crate) use cells::CellOutcome;
use hello::Hellos;
use ports::Ports;

use crate::{
    api::{JobTicket, Mono, Output, Port, PortError, PortToken, Priority},
    config::Role,
    crypto::{
        layer::LayerKeys,
        tunnel::{TunnelCipher, TunnelRole},
        walk::{EndpointAnswer, Hop},
    },
    drop_reason::DropReason,
    ids::{Gate, TunnelId},
    keys::RelayKeys,
    limiter::{Bucket, Buckets},
    links::{ControlToken, LinkHandle, Links},
    packet::RELAY_DATAGRAM,
    routes::{Route, Routes},
    rsa::{Job, RsaKeyPair, RsaSuite},
    shared::Shared,
    timers::Timer,
    walks::Forwarded,
    wire::{
        cell::Cell,
        descriptor::Descriptor,
        frame::{Control, WALK_BLOCK, WALK_SEALED, WalkAnswer},
    },
};

/// Names a tunnel that ends here. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServedId(pub(crate) u64);

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
    pub(crate) fn new(sh: &mut Shared, keys: Arc<RelayKeys>, suite: Arc<dyn RsaSuite>) -> Self {
        let limits = sh.config.limits.clone();
        let (ip, range) = match sh.config.role {
            Role::Relay {
                address,
                endpoint_ports,
            } => (address.ip(), endpoint_ports),
            Role::Client => (IpAddr::from([0; 4]), None),
        };
        let rsa_job = range.is_some().then(|| {
            let seed = sh.secret();
            sh.job(Priority::FirstTunnels, Job::Generate { seed })
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
            exchange_bucket: Bucket::new(limits.exchanges, sh.mono()),
            per_destination: Buckets::new(limits.messages_per_destination, 4_096),
            in_all: Bucket::new(limits.messages_in_all, sh.mono()),
            hellos: Hellos::new(&limits, sh.mono()),
            next: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.tunnels.len() + self.opening.len()
    }

    /// Whether the coin may fall on "endpoint" at all.
    pub(crate) fn can_serve(&self, sh: &Shared) -> bool {
        self.rsa.is_some() && self.len() < sh.config.limits.endpoint_tunnels
    }

    /// The coin said "endpoint": open a port. Gives the walk back if there is none.
    pub(crate) fn serve(
        &mut self,
        sh: &mut Shared,
        walk: Box<Forwarded>,
    ) -> Result<(), Box<Forwarded>> {
        let Some(port) = self
            .ports
            .as_mut()
            .and_then(|ports| ports.take(sh, self.ip))
        else {
            return Err(walk);
        };
        self.open_port(
            sh,
            Opening {
                walk,
                port,
                tries: 1,
            },
        );
        Ok(())
    }

    fn open_port(&mut self, sh: &mut Shared, opening: Opening) {
        self.next += 1;
        let token = PortToken(self.next);
        sh.out.push_back(Output::OpenPort {
            token,
            port: opening.port,
        });
        self.opening.insert(token, opening);
    }

    /// The port is open (answer the walk), or another one must be tried; the walk comes back when all fail.
    pub(crate) fn on_port_opened(
        &mut self,
        sh: &mut Shared,
        links: &mut Links,
        routes: &mut Routes,
        own: &Descriptor,
        (token, result): (PortToken, Result<(), PortError>),
    ) -> Option<Box<Forwarded>> {
        let Some(mut opening) = self.opening.remove(&token) else {
            sh.drops.count(DropReason::StaleJob);
            return None;
        };
        if result.is_ok() {
            self.answer(sh, links, routes, own, token, opening);
            return None;
        }
        let ports = self.ports.as_mut()?;
        ports.in_use(sh, opening.port);
        if opening.tries >= PORT_TRIES {
            return Some(opening.walk);
        }
        let Some(port) = ports.take(sh, self.ip) else {
            return Some(opening.walk);
        };
        opening.port = port;
        opening.tries += 1;
        self.open_port(sh, opening);
        None
    }

    fn answer(
        &mut self,
        sh: &mut Shared,
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
            .then(|| routes.fresh(sh, prev, Route::Served(id)))
            .flatten();
        let (Some(mut sealed), Some(incoming)) =
            (self.sealed_answer(sh, own, port, &hop), incoming)
        else {
            routes.free_outgoing(prev, id_back);
            sh.out.push_back(Output::ClosePort(token));
            return self.release(sh, port);
        };
        #[cfg(feature = "probe")]
        crate::probe::walk_taken(sh, *hop.element(), None);
        let mut block: [u8; WALK_BLOCK] = sh.secret();
        hop.wrap(&mut block, &mut sealed);
        links.add_tunnel(sh, prev);
        let served = Served {
            prev,
            incoming,
            outgoing: id_back,
            layers: hop.layers(),
            cipher: TunnelCipher::new(TunnelRole::Endpoint, hop.endpoint_keys().k0),
            hop,
            token,
            port,
            gates: [None, None],
            contact: None,
            answered: None,
            confirmed: false,
            messages: Bucket::new(sh.config.limits.messages_per_tunnel, sh.mono()),
            hellos: Bucket::slow(sh.config.limits.hellos_per_tunnel, sh.mono()),
            echoes: Bucket::new(sh.config.limits.echoes_per_tunnel, sh.mono()),
            last_used: sh.mono(),
            ends_at: sh.mono().plus_ms(sh.config.times.tunnel_end_ms),
        };
        self.tunnels.insert(id, Box::new(served));
        self.by_token.insert(token, id);
        self.by_port.insert(port, id);
        sh.timers
            .set(Timer::Served(id), sh.mono().plus_ms(HALF_OPEN_MS));
        let id_fwd = incoming;
        send_answer(
            sh,
            links,
            prev,
            WalkAnswer {
                id_back,
                id_fwd,
                block,
                sealed,
            },
        );
    }

    /// Who we are, which key we have, and which port is open for this tunnel (protocol §6.3).
    fn sealed_answer(
        &self,
        sh: &Shared,
        own: &Descriptor,
        port: u16,
        hop: &Hop,
    ) -> Option<[u8; WALK_SEALED]> {
        let address = SocketAddr::new(own.address.ip(), port);
        let families = if address.is_ipv4() { 1 } else { 2 };
        let life_s = sh.config.times.tunnel_end_ms / 1_000;
        let expiry = u32::try_from(sh.now.unix.0.saturating_add(life_s)).unwrap_or(u32::MAX);
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

    fn release(&mut self, sh: &mut Shared, port: u16) {
        if let Some(ports) = &mut self.ports {
            ports.release(sh, port);
        }
    }

    /// Ports that rested long enough are free again.
    pub(crate) fn on_ports_timer(&mut self, sh: &mut Shared) {
        self.order_key(sh);
        if let Some(ports) = &mut self.ports {
            ports.on_timer(sh);
        }
    }

    /// Half open, idle or at its end?
    pub(crate) fn on_timer(
        &mut self,
        sh: &mut Shared,
        links: &mut Links,
        routes: &mut Routes,
        id: ServedId,
    ) {
        let Some(tunnel) = self.tunnels.get(&id) else {
            return;
        };
        let due = tunnel
            .ends_at
            .min(tunnel.last_used.plus_ms(sh.config.times.tunnel_idle_ms));
        if tunnel.confirmed && sh.mono() < due {
            sh.timers.set(Timer::Served(id), due);
        } else {
            self.close(sh, links, routes, id, None);
        }
    }

    /// Ends a tunnel; the previous hop is told unless its link is `gone`.
    pub(crate) fn close(
        &mut self,
        sh: &mut Shared,
        links: &mut Links,
        routes: &mut Routes,
        id: ServedId,
        gone: Option<LinkHandle>,
    ) {
        let Some(tunnel) = self.tunnels.remove(&id) else {
            return;
        };
        sh.timers.clear(Timer::Served(id));
        self.by_token.remove(&tunnel.token);
        self.by_port.remove(&tunnel.port);
        routes.forget(tunnel.prev, tunnel.incoming);
        routes.free_outgoing(tunnel.prev, tunnel.outgoing);
        links.drop_tunnel(sh, tunnel.prev);
        if gone != Some(tunnel.prev) {
            links.send_control(
                sh,
                tunnel.prev,
                &Control::TunnelClosed {
                    id: tunnel.outgoing,
                },
                ControlToken::Nobody,
            );
        }
        sh.out.push_back(Output::ClosePort(tunnel.token));
        self.release(sh, tunnel.port);
    }

    /// All tunnels that end here.
    pub(crate) fn ids(&self) -> Vec<ServedId> {
        self.tunnels.keys().copied().collect()
    }

    /// Sends a cell back to the master.
    fn send_back(&mut self, sh: &mut Shared, links: &mut Links, id: ServedId, cell: &Cell) {
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
        if let Ok(to) = links.seal(sh, link, &mut packet) {
            sh.transmit(Port::Relay, to, packet);
        }
    }
}

/// Sends a walk answer over a link.
pub(crate) fn send_answer(
    sh: &mut Shared,
    links: &mut Links,
    link: LinkHandle,
    answer: WalkAnswer,
) {
    links.send_control(
        sh,
        link,
        &Control::WalkAnswer(Box::new(answer)),
        ControlToken::Nobody,
    );
}

/// The answer of a relayer that found no next hop: nothing in it can be opened.
pub(crate) fn unopenable(sh: &mut Shared) -> ([u8; WALK_BLOCK], [u8; WALK_SEALED]) {
    (sh.secret(), sh.secret())
}
