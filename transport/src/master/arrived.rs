//! Cells that come out of an own tunnel, and the tunnel's timer.

use super::{BuildContext, OwnEvent, OwnTunnels, Stage, tunnel::Purpose};
use crate::{
    context::Context,
    crypto::session::plaintext_mut,
    drop_reason::DropReason,
    ids::{PoolId, TunnelHandle},
    io::DownReason,
    links::Links,
    packet::Packet,
    relayer::routes::Routes,
    timers::Timer,
    wire::{cell::Cell, frame},
};

impl OwnTunnels {
    /// A cell arrived at its master: take off all layers and read it.
    pub(crate) fn on_cell(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        routes: &mut Routes,
        handle: TunnelHandle,
        packet: &mut Packet,
    ) -> Result<Vec<OwnEvent>, DropReason> {
        let tunnel = self
            .tunnels
            .get_mut(&handle)
            .ok_or(DropReason::UnknownTunnel)?;
        let frame = plaintext_mut(packet.as_relay_mut().ok_or(DropReason::BadLength)?);
        let mut nonce = frame::cell_nonce(frame);
        let body = frame::cell_body_mut(frame);
        for layer in &tunnel.layers {
            layer.undo_back(&mut nonce, body);
        }
        let cell = tunnel.cipher.open(nonce, body)?;
        tunnel.last_heard = cx.mono();
        if let Cell::Deliver { datagram } = cell {
            tunnel.received += 1;
            tunnel.unanswered = 0;
            return Ok(vec![OwnEvent::Arrived(handle, tunnel.pool, datagram)]);
        }
        self.on_answer(cx, links, routes, handle, cell)
    }

    /// Something of this tunnel is due.
    pub(crate) fn on_timer(
        &mut self,
        cx: &mut Context,
        context: &mut BuildContext<'_>,
        handle: TunnelHandle,
    ) -> Vec<OwnEvent> {
        let now = cx.mono();
        let (links, routes) = (&mut *context.links, &mut *context.routes);
        let Some(tunnel) = self.tunnels.get_mut(&handle) else {
            return Vec::new();
        };
        let timed_out = now >= tunnel.since.plus_ms(cx.config.times.build_timeout_ms);
        if !tunnel.was_up && timed_out {
            return self.down(cx, links, routes, handle, DownReason::Silent);
        }
        let mut events = Vec::new();
        if self.tunnels.get(&handle).is_some_and(|t| {
            t.active
                .as_ref()
                .is_some_and(|active| active.next_at <= now)
        }) {
            events.extend(self.repeat_request(cx, links, routes, handle));
        }
        self.advance(cx, links, handle);
        events.extend(self.age(cx, links, handle));
        self.plan(cx, handle);
        events
    }

    /// A random wait is over: the first cell, or the first gate.
    fn advance(&mut self, cx: &mut Context, links: &mut Links, handle: TunnelHandle) {
        let now = cx.mono();
        let Some(tunnel) = self.tunnels.get_mut(&handle) else {
            return;
        };
        match std::mem::replace(&mut tunnel.stage, Stage::Up) {
            Stage::Waiting(exchange, until) if until <= now => {
                tunnel.stage = Stage::Exchanging(exchange);
                self.request(cx, links, handle, Purpose::Exchange);
            }
            Stage::Confirmed(until) => {
                tunnel.stage = Stage::Confirmed(until);
                if until <= now && tunnel.reply.setting.is_none() {
                    self.renew_reply(cx, links, handle);
                }
            }
            other => tunnel.stage = other,
        }
    }

    /// Echo when idle; replacement, then the end.
    fn age(&mut self, cx: &mut Context, links: &mut Links, handle: TunnelHandle) -> Vec<OwnEvent> {
        let now = cx.mono();
        let Some(tunnel) = self
            .tunnels
            .get_mut(&handle)
            .filter(|tunnel| tunnel.is_up())
        else {
            return Vec::new();
        };
        let pool = tunnel.pool;
        let mut events = Vec::new();
        if !tunnel.retiring && now >= tunnel.replace_at {
            tunnel.retiring = true;
            cx.timers.set_earlier(Timer::Pool(pool), now);
            if pool == PoolId::Persona {
                events.push(OwnEvent::Addresses);
            }
        }
        if tunnel.active.is_none() {
            if now >= tunnel.planned_end {
                self.request(cx, links, handle, Purpose::Close);
            } else if tunnel.doubt.is_some_and(|at| now >= at)
                || now >= tunnel.last_heard.plus_ms(cx.config.times.echo_after_ms)
            {
                self.request(cx, links, handle, Purpose::Echo(false));
            }
        }
        events
    }
}
