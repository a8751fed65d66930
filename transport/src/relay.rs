//! Tunnels that we relay: take off or put on one layer, pass on. The hot path of a node.

use std::collections::BTreeMap;

use crate::{
    api::Mono,
    crypto::{layer::LayerKeys, session::plaintext_mut},
    drop_reason::DropReason,
    ids::TunnelId,
    links::{ControlToken, LinkHandle, Links},
    packet::Packet,
    routes::{Route, Routes},
    shared::Shared,
    timers::Timer,
    wire::frame::{self, Control},
};

/// Without a forward cell the tunnel is dropped after so long.
const HALF_OPEN_MS: u64 = 10_000;

/// Names a relayed tunnel. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RelayedId(pub(crate) u64);

/// One side of a relayed tunnel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    pub(crate) link: LinkHandle,
    /// Cells that arrive over this link carry it.
    pub(crate) incoming: TunnelId,
    /// Cells that leave over this link carry it.
    pub(crate) outgoing: TunnelId,
}

struct Relayed {
    prev: Side,
    next: Side,
    layers: LayerKeys,
    last_used: Mono,
    /// A forward cell came: the master is there.
    in_use: bool,
    ends_at: Mono,
}

/// All relayed tunnels.
#[derive(Default)]
pub(crate) struct RelayTable {
    /// Boxed, as all large values: a tree keeps room for eleven in each node.
    tunnels: BTreeMap<RelayedId, Box<Relayed>>,
    next: u64,
}

impl RelayTable {
    pub(crate) fn len(&self) -> usize {
        self.tunnels.len()
    }

    /// The id that the next tunnel will have.
    pub(crate) const fn next_id(&mut self) -> RelayedId {
        self.next += 1;
        RelayedId(self.next)
    }

    /// Both sides are known: cells may flow.
    pub(crate) fn insert(
        &mut self,
        sh: &mut Shared,
        links: &mut Links,
        id: RelayedId,
        prev: Side,
        next: Side,
        layers: LayerKeys,
    ) {
        let ends_at = sh.mono().plus_ms(sh.config.times.tunnel_end_ms);
        links.add_tunnel(sh, prev.link);
        links.add_tunnel(sh, next.link);
        self.tunnels.insert(
            id,
            Box::new(Relayed {
                prev,
                next,
                layers,
                last_used: sh.mono(),
                in_use: false,
                ends_at,
            }),
        );
        sh.timers
            .set(Timer::Relayed(id), sh.mono().plus_ms(HALF_OPEN_MS));
    }

    /// Applies this hop's layer in place and says over which link the packet goes on.
    pub(crate) fn pass(
        &mut self,
        now: Mono,
        route: Route,
        packet: &mut Packet,
    ) -> Result<LinkHandle, DropReason> {
        let (id, forward) = match route {
            Route::Forward(id) => (id, true),
            Route::Back(id) => (id, false),
            Route::Walk(_) | Route::Served(_) | Route::Own(_) => {
                return Err(DropReason::UnknownTunnel);
            }
        };
        let tunnel = self.tunnels.get_mut(&id).ok_or(DropReason::UnknownTunnel)?;
        let frame = plaintext_mut(packet.as_relay_mut().ok_or(DropReason::BadLength)?);
        let mut nonce = frame::cell_nonce(frame);
        let to = if forward {
            tunnel
                .layers
                .forward(&mut nonce, frame::cell_body_mut(frame));
            tunnel.in_use = true;
            tunnel.next
        } else {
            tunnel.layers.back(&mut nonce, frame::cell_body_mut(frame));
            tunnel.prev
        };
        frame::set_cell_header(frame, to.outgoing, nonce);
        tunnel.last_used = now;
        Ok(to.link)
    }

    /// Idle or at its end?
    pub(crate) fn on_timer(
        &mut self,
        sh: &mut Shared,
        links: &mut Links,
        routes: &mut Routes,
        id: RelayedId,
    ) {
        let Some(tunnel) = self.tunnels.get(&id) else {
            return;
        };
        let due = tunnel
            .ends_at
            .min(tunnel.last_used.plus_ms(sh.config.times.tunnel_idle_ms));
        if tunnel.in_use && sh.mono() < due {
            sh.timers.set(Timer::Relayed(id), due);
        } else {
            self.close(sh, links, routes, id, None);
        }
    }

    /// Ends a tunnel and tells both neighbours but the one on `gone`.
    pub(crate) fn close(
        &mut self,
        sh: &mut Shared,
        links: &mut Links,
        routes: &mut Routes,
        id: RelayedId,
        gone: Option<LinkHandle>,
    ) {
        let Some(tunnel) = self.tunnels.remove(&id) else {
            return;
        };
        sh.timers.clear(Timer::Relayed(id));
        for side in [tunnel.prev, tunnel.next] {
            routes.forget(side.link, side.incoming);
            routes.free_outgoing(side.link, side.outgoing);
            links.drop_tunnel(sh, side.link);
            if gone != Some(side.link) {
                links.send_control(
                    sh,
                    side.link,
                    &Control::TunnelClosed { id: side.outgoing },
                    ControlToken::Nobody,
                );
            }
        }
    }

    /// All relayed tunnels.
    pub(crate) fn ids(&self) -> Vec<RelayedId> {
        self.tunnels.keys().copied().collect()
    }
}
