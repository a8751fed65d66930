//! Tunnels that we relay: take off or put on one layer, pass on. The hot path of a node.

use std::collections::BTreeMap;

use deut_common::time::Mono;

use crate::{
    context::Context,
    crypto::{layer::LayerKeys, session::plaintext_mut},
    drop_reason::DropReason,
    ids::{LinkHandle, RelayedId, TunnelId},
    links::{ControlToken, Links},
    packet::Packet,
    relayer::routes::{Route, Routes},
    timers::Timer,
    wire::frame::{self, Control},
};

/// Without a forward cell the tunnel is dropped after so long.
const HALF_OPEN_MS: u64 = 10_000;

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
        cx: &mut Context,
        links: &mut Links,
        id: RelayedId,
        prev: Side,
        next: Side,
        layers: LayerKeys,
    ) {
        let ends_at = cx.mono().plus_ms(cx.config.times.tunnel_end_ms);
        links.add_tunnel(cx, prev.link);
        links.add_tunnel(cx, next.link);
        self.tunnels.insert(
            id,
            Box::new(Relayed {
                prev,
                next,
                layers,
                last_used: cx.mono(),
                in_use: false,
                ends_at,
            }),
        );
        cx.timers
            .set(Timer::Relayed(id), cx.mono().plus_ms(HALF_OPEN_MS));
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
            Route::Walk(_) | Route::Served(_) | Route::Master(_) => {
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
        cx: &mut Context,
        links: &mut Links,
        routes: &mut Routes,
        id: RelayedId,
    ) {
        let Some(tunnel) = self.tunnels.get(&id) else {
            return;
        };
        let due = tunnel
            .ends_at
            .min(tunnel.last_used.plus_ms(cx.config.times.tunnel_idle_ms));
        if tunnel.in_use && cx.mono() < due {
            cx.timers.set(Timer::Relayed(id), due);
        } else {
            self.close(cx, links, routes, id, None);
        }
    }

    /// Ends a tunnel and tells both neighbours but the one on `gone`.
    pub(crate) fn close(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        routes: &mut Routes,
        id: RelayedId,
        gone: Option<LinkHandle>,
    ) {
        let Some(tunnel) = self.tunnels.remove(&id) else {
            return;
        };
        cx.timers.clear(Timer::Relayed(id));
        for side in [tunnel.prev, tunnel.next] {
            routes.forget(side.link, side.incoming);
            routes.free_outgoing(side.link, side.outgoing);
            links.drop_tunnel(cx, side.link);
            if gone != Some(side.link) {
                links.send_control(
                    cx,
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
