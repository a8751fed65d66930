//! Tunnels that we relay: we remove or add one layer, and the cell goes on over the other link. This is the hot path of a node.

use std::collections::BTreeMap;

use deut_common::time::Mono;

use crate::{
    crypto::layer::LayerKeys,
    drop_reason::DropReason,
    ids::{LinkHandle, RelayedId, TunnelId},
    incoming::Incoming,
    net::Net,
    routes::{Route, Side},
    timers::Timer,
    wire::frame::{self, FrameBytes, WalkAnswer},
};

/// Time after which a tunnel without a forward cell is dropped.
const HALF_OPEN_MS: u64 = 10_000;

struct Relayed {
    prev: Side,
    next: Side,
    layers: LayerKeys,
    last_used: Mono,
    /// A forward cell came, so the master is there.
    in_use: bool,
    ends_at: Mono,
}

#[derive(Default)]
pub(crate) struct Relayer {
    /// Boxed, like all large values: a tree keeps room for eleven of them in each node.
    tunnels: BTreeMap<RelayedId, Box<Relayed>>,
    next: u64,
}

impl Relayer {
    pub(crate) fn len(&self) -> usize {
        self.tunnels.len()
    }

    /// The walk that we passed on over `next` was answered: cells may flow. Returns the id for the previous hop's cells to us.
    pub(crate) fn join(
        &mut self,
        net: &mut Net,
        walk: &Incoming,
        next: LinkHandle,
        answer: &WalkAnswer,
    ) -> Result<TunnelId, DropReason> {
        let full = self.len() >= net.cx.config.limits.transit_tunnels;
        if full || !net.links.is_up(walk.prev) {
            return Err(DropReason::TableFull);
        }
        if !net.routes.take_outgoing(next, answer.id_fwd) {
            return Err(DropReason::TunnelIdInUse);
        }
        self.next += 1;
        let id = RelayedId(self.next);
        let route = Route::Forward(id);
        let Some(incoming) = net.routes.fresh(&mut net.cx, walk.prev, route) else {
            net.routes.free_outgoing(next, answer.id_fwd);
            return Err(DropReason::TableFull);
        };
        net.routes.set(next, answer.id_back, Route::Back(id));
        let prev = Side {
            link: walk.prev,
            incoming,
            outgoing: walk.id_back,
        };
        let next = Side {
            link: next,
            incoming: answer.id_back,
            outgoing: answer.id_fwd,
        };
        for side in [prev, next] {
            net.links.add_tunnel(&net.cx, side.link);
        }
        let now = net.cx.mono();
        let tunnel = Relayed {
            prev,
            next,
            layers: walk.hop.layers(),
            last_used: now,
            in_use: false,
            ends_at: now.plus_ms(net.cx.config.times.tunnel_end_ms),
        };
        self.tunnels.insert(id, Box::new(tunnel));
        let half_open = now.plus_ms(HALF_OPEN_MS);
        net.cx.timers.set(Timer::Relayed(id), half_open);
        Ok(incoming)
    }

    /// Applies this hop's layer in place and says over which link the cell goes on.
    pub(crate) fn pass(
        &mut self,
        now: Mono,
        route: Route,
        frame: &mut FrameBytes,
    ) -> Result<LinkHandle, DropReason> {
        let (id, forward) = match route {
            Route::Forward(id) => (id, true),
            Route::Back(id) => (id, false),
            Route::Walk(_) | Route::Served(_) | Route::Master(_) => {
                return Err(DropReason::UnknownTunnel);
            }
        };
        let tunnel = self.tunnels.get_mut(&id).ok_or(DropReason::UnknownTunnel)?;
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

    /// Closes the tunnel if it is idle or at its end.
    pub(crate) fn on_timer(&mut self, net: &mut Net, id: RelayedId) {
        let Some(tunnel) = self.tunnels.get(&id) else {
            return;
        };
        let idle = net.cx.config.times.tunnel_idle_ms;
        let due = tunnel.ends_at.min(tunnel.last_used.plus_ms(idle));
        if tunnel.in_use && net.cx.mono() < due {
            net.cx.timers.set(Timer::Relayed(id), due);
        } else {
            self.close(net, id, None);
        }
    }

    /// Ends a tunnel and tells both neighbours, except the one on `gone`.
    pub(crate) fn close(&mut self, net: &mut Net, id: RelayedId, gone: Option<LinkHandle>) {
        let Some(tunnel) = self.tunnels.remove(&id) else {
            return;
        };
        net.cx.timers.clear(Timer::Relayed(id));
        for side in [tunnel.prev, tunnel.next] {
            net.leave(side, gone != Some(side.link));
        }
    }

    /// Ends all tunnels.
    pub(crate) fn shut_down(&mut self, net: &mut Net) {
        for id in self.tunnels.keys().copied().collect::<Vec<_>>() {
            self.close(net, id, None);
        }
    }
}
