//! Our own tunnels, as their master: built, kept alive, replaced before their end (DESIGN §5.6).

mod addresses;
mod arrived;
mod barren;
mod build;

mod exchange;
mod keys;
mod liveness;
mod outgrown;
mod pool;
mod requests;
mod seeds;
mod tunnel;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use build::Build;
pub(crate) use build::BuildContext;
use keys::KeyStore;
pub(crate) use pool::Around;
use pool::Pool;
pub(crate) use tunnel::{OwnTunnel, Stage};

use deut_common::ids::{PersonaKey, RelayId};

use crate::{
    context::Context,
    drop_reason::DropReason,
    ids::{JobTicket, LinkHandle, PoolId, Port, TunnelHandle},
    io::{DownReason, Event, TunnelChange},
    keys::PersonaSecret,
    links::{ControlToken, Links},
    packet::{MESSAGE_DATAGRAM, Packet, RELAY_DATAGRAM},
    relayer::routes::Routes,
    rsa::RsaSuite,
    timers::Timer,
    wire::{
        cell::Cell,
        frame::{self, Control},
    },
};

/// What the rest of the node must know about an own tunnel.
pub(crate) enum OwnEvent {
    /// One is usable: its reply gate is open.
    Up,
    /// Gone.
    Down(TunnelHandle),
    /// A message arrived through a tunnel.
    Arrived(TunnelHandle, PoolId, Box<[u8; MESSAGE_DATAGRAM]>),
    /// The gate of a reply tunnel was renewed.
    ReplyGate,
    /// The set of the persona's addresses changed.
    Addresses,
}

/// All own tunnels of both pools.
pub(crate) struct OwnTunnels {
    suite: Arc<dyn RsaSuite>,
    own: Option<RelayId>,
    builds: BTreeMap<TunnelHandle, Build>,
    tunnels: BTreeMap<TunnelHandle, Box<OwnTunnel>>,
    opening: BTreeMap<JobTicket, TunnelHandle>,
    keys: KeyStore,
    lookup: Pool,
    persona: Pool,
    persona_secret: Option<PersonaSecret>,
    contact: Vec<u8>,
    /// Endpoints asked for contacts since they were last wanted, per pool.
    seeds_asked: BTreeMap<PoolId, Vec<RelayId>>,
    next: u64,
    pub(crate) shutting_down: bool,
}

impl OwnTunnels {
    pub(crate) fn new(suite: Arc<dyn RsaSuite>, own: Option<RelayId>) -> Self {
        Self {
            suite,
            own,
            builds: BTreeMap::new(),
            tunnels: BTreeMap::new(),
            opening: BTreeMap::new(),
            keys: KeyStore::default(),
            lookup: Pool::new(PoolId::Lookup),
            persona: Pool::new(PoolId::Persona),
            persona_secret: None,
            contact: Vec::new(),
            seeds_asked: BTreeMap::new(),
            next: 0,
            shutting_down: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.tunnels.len() + self.builds.len()
    }

    pub(crate) fn keys_in_store(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn get(&self, handle: TunnelHandle) -> Option<&OwnTunnel> {
        self.tunnels.get(&handle).map(Box::as_ref)
    }

    pub(crate) fn get_mut(&mut self, handle: TunnelHandle) -> Option<&mut OwnTunnel> {
        self.tunnels.get_mut(&handle).map(Box::as_mut)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TunnelHandle, &OwnTunnel)> {
        self.tunnels
            .iter()
            .map(|(&handle, tunnel)| (handle, &**tunnel))
    }

    pub(crate) const fn persona(&self) -> Option<&PersonaSecret> {
        self.persona_secret.as_ref()
    }

    pub(crate) fn persona_key(&self) -> Option<PersonaKey> {
        self.persona_secret.as_ref().map(PersonaSecret::public)
    }

    /// Tunnels of a pool that messages may use now: the proven ones, or what else there is.
    pub(crate) fn usable(&self, pool: PoolId) -> Vec<TunnelHandle> {
        let up = |good: fn(&OwnTunnel) -> bool| {
            self.iter()
                .filter(move |(_, tunnel)| tunnel.pool == pool && tunnel.is_up() && good(tunnel))
                .map(|(handle, _)| handle)
                .collect::<Vec<_>>()
        };
        let kinds: [fn(&OwnTunnel) -> bool; 3] =
            [OwnTunnel::is_proven, |tunnel| !tunnel.suspect, |_| true];
        let kinds = kinds.into_iter().map(up);
        kinds
            .into_iter()
            .find(|kind| !kind.is_empty())
            .unwrap_or_default()
    }

    /// Tunnels of a pool that are known to work.
    pub(crate) fn proven(&self, pool: PoolId) -> usize {
        self.tunnels
            .values()
            .filter(|tunnel| tunnel.pool == pool && tunnel.is_proven())
            .count()
    }

    /// We could not act for a while, so any tunnel may be gone. Each has to answer before it counts again; a number that is
    /// fresh, as what waits in the socket is from before. Gives the links to their first hops.
    pub(crate) fn doubt_all(&mut self, cx: &mut Context) -> BTreeSet<(LinkHandle, RelayId)> {
        let mut links = BTreeSet::new();
        for (&handle, tunnel) in self.tunnels.iter_mut().filter(|(_, t)| t.is_up()) {
            links.insert((tunnel.link, tunnel.first_hop));
            if let Some(active) = tunnel.active.take() {
                tunnel.queue.push_front(active.request);
            }
            // Not all at once: whoever ends two of them must not see them move together.
            let at = cx
                .now
                .mono
                .plus_ms(cx.below(cx.config.times.reaction_ms + 1));
            tunnel.doubt = Some(at);
            cx.timers.set(Timer::Own(handle), at);
        }
        for pool in [PoolId::Lookup, PoolId::Persona] {
            cx.timers.set_earlier(Timer::Pool(pool), cx.mono());
        }
        links
    }

    pub(crate) fn up(&self, pool: PoolId) -> usize {
        self.tunnels
            .values()
            .filter(|tunnel| tunnel.pool == pool && tunnel.is_up())
            .count()
    }

    /// Seals a cell for the endpoint and sends it.
    pub(crate) fn send(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        handle: TunnelHandle,
        cell: &Cell,
    ) -> Result<(), DropReason> {
        let tunnel = self
            .tunnels
            .get_mut(&handle)
            .ok_or(DropReason::UnknownTunnel)?;
        let mut packet = Packet::zeroed(RELAY_DATAGRAM);
        let datagram = packet.as_relay_mut().ok_or(DropReason::BadLength)?;
        let frame = crate::crypto::session::plaintext_mut(datagram);
        let body = frame::cell_body_mut(frame);
        let mut nonce = tunnel.cipher.seal(cell, body);
        for layer in tunnel.layers.iter().rev() {
            layer.prepare_forward(&mut nonce, body);
        }
        frame::set_cell_header(frame, tunnel.outgoing, nonce);
        let to = links.seal(cx, tunnel.link, &mut packet)?;
        cx.transmit(Port::Relay, to, packet);
        Ok(())
    }

    /// The end of a tunnel or of a build.
    pub(crate) fn down(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        routes: &mut Routes,
        handle: TunnelHandle,
        why: DownReason,
    ) -> Vec<OwnEvent> {
        let Some(tunnel) = self.tunnels.remove(&handle) else {
            return Vec::new();
        };
        cx.timers.clear(Timer::Own(handle));
        routes.forget(tunnel.link, tunnel.incoming);
        routes.free_outgoing(tunnel.link, tunnel.outgoing);
        links.drop_tunnel(cx, tunnel.link);
        if why == DownReason::Silent {
            // The near half may still stand: let it go.
            links.send_control(
                cx,
                tunnel.link,
                &Control::TunnelClosed {
                    id: tunnel.outgoing,
                },
                ControlToken::Nobody,
            );
        }
        self.opening.retain(|_, waiting| *waiting != handle);
        let pool = tunnel.pool;
        if !tunnel.was_up {
            self.failed(cx, pool);
            return Vec::new();
        }
        cx.event(Event::Tunnel {
            handle,
            change: TunnelChange::Down { pool, why },
        });
        cx.timers.set_earlier(Timer::Pool(pool), cx.mono());
        let mut events = vec![OwnEvent::Down(handle)];
        if pool == PoolId::Persona {
            events.push(OwnEvent::Addresses);
        }
        events
    }

    /// Asks the endpoint to close and forgets the tunnel.
    pub(crate) fn close(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        routes: &mut Routes,
        handle: TunnelHandle,
        why: DownReason,
    ) -> Vec<OwnEvent> {
        self.ask_close(cx, links, handle);
        self.down(cx, links, routes, handle, why)
    }

    /// Switches the persona; its tunnels end, since they are linked by their addresses.
    pub(crate) fn set_persona(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        routes: &mut Routes,
        secret: Option<PersonaSecret>,
    ) -> Vec<OwnEvent> {
        if self.persona_key() == secret.as_ref().map(PersonaSecret::public) {
            return Vec::new();
        }
        self.persona_secret = secret;
        self.contact.clear();
        self.builds.retain(|_, build| build.pool != PoolId::Persona);
        let of_old: Vec<TunnelHandle> = self
            .iter()
            .filter(|(_, tunnel)| tunnel.pool == PoolId::Persona)
            .map(|(handle, _)| handle)
            .collect();
        let mut events = Vec::new();
        for handle in of_old {
            events.extend(self.close(cx, links, routes, handle, DownReason::Closed));
        }
        cx.timers
            .set_earlier(Timer::Pool(PoolId::Persona), cx.mono());
        events
    }

    /// The persona's newest contact: to all its endpoints.
    pub(crate) fn advertise(&mut self, cx: &mut Context, links: &mut Links, contact: Vec<u8>) {
        self.contact = contact;
        let tunnels: Vec<TunnelHandle> = self
            .iter()
            .filter(|(_, t)| t.pool == PoolId::Persona && t.is_up())
            .map(|(handle, _)| handle)
            .collect();
        for handle in tunnels {
            self.request_advertise(cx, links, handle);
        }
    }
}
