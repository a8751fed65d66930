//! A tunnel that messages may use.

use std::net::SocketAddr;

use deut_common::{ids::RelayId, time::Mono};

use super::{
    life::Life,
    line::Line,
    liveness::Liveness,
    reply::Reply,
    requests::{Overdue, Purpose},
};
use crate::{
    context::Context,
    ids::{CallGroup, Gate, LinkHandle, PoolId, TunnelHandle},
    net::Net,
    timers::Timer,
};

pub(crate) struct Up {
    pub(super) line: Line,
    reply: Reply,
    liveness: Liveness,
    persona_gate: bool,
}

impl Up {
    pub(super) const fn new(line: Line, gate: Gate, now: Mono) -> Self {
        Self {
            line,
            reply: Reply::new(gate),
            liveness: Liveness::new(now),
            persona_gate: false,
        }
    }

    pub(super) const fn handle(&self) -> TunnelHandle {
        self.line.handle()
    }

    pub(super) const fn pool(&self) -> PoolId {
        self.line.pool()
    }

    pub(super) const fn life(&self) -> &Life {
        &self.line.life
    }

    /// The relay at which it ends.
    pub(crate) const fn endpoint(&self) -> RelayId {
        self.line.far().relay
    }

    /// The address that messages for it go to.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.line.far().address
    }

    pub(crate) const fn reply(&self) -> &Reply {
        &self.reply
    }

    /// Returns true if a lookup may have its answers sent here: the gate is open and enough life is left.
    pub(crate) fn may_reply(&self, now: Mono, margin_ms: u64) -> bool {
        self.reply.gate().is_some() && self.life().end() >= now.plus_ms(margin_ms)
    }

    /// From now on it brings the answers of this group.
    pub(super) const fn serve(&mut self, group: CallGroup) {
        self.reply.serve(group);
    }

    pub(super) const fn liveness(&self) -> &Liveness {
        &self.liveness
    }

    pub(super) const fn liveness_mut(&mut self) -> &mut Liveness {
        &mut self.liveness
    }

    /// Returns true if it counts for the size of the pool.
    pub(super) fn counts(&self) -> bool {
        let late = self.liveness.is_doubted() && self.line.requests().is_repeated();
        !self.life().is_retiring() && !self.liveness.is_suspect() && !late
    }

    /// Returns true if the persona can be reached here.
    pub(super) const fn reaches_persona(&self) -> bool {
        self.persona_gate && !self.liveness.is_suspect()
    }

    pub(super) const fn persona_gate_set(&mut self) {
        self.persona_gate = true;
    }

    pub(super) const fn reply_gate_set(&mut self, gate: Gate) {
        self.reply.confirmed(gate);
    }

    /// Queues a request and sends it when its turn comes.
    pub(super) fn request(&mut self, net: &mut Net, purpose: Purpose) {
        if self.line.request(net, purpose) {
            self.plan(&mut net.cx);
        }
    }

    /// Sets a new random reply gate before the tunnel serves another lookup.
    pub(super) fn renew_reply(&mut self, net: &mut Net) {
        let fresh = self.line.fresh_gate(&mut net.cx);
        self.reply.renew(fresh);
        self.request(net, Purpose::ReplyGate(fresh));
    }

    /// Registers the persona's newest contact, also in the place of an older one that is on its way.
    pub(super) fn advertise(&mut self, net: &mut Net, contact: &[u8]) {
        let waits = self.line.requests_mut().renew_contact(contact);
        if !contact.is_empty() && !waits {
            self.request(net, Purpose::Advertise(contact.to_vec()));
        }
    }

    /// A message over it was not answered: tests it, unless it was heard just now or a request is under way.
    pub(super) fn ask_if_alive(&mut self, net: &mut Net) {
        if self.line.requests().is_idle() && !self.liveness.is_fresh(net.cx.mono()) {
            self.request(net, Purpose::Echo { told: false });
        }
    }

    /// The node stood still, so the tunnel may be gone. It has to answer a request with a fresh number before it counts again,
    /// since whatever waits in the socket is from before. Returns the link to its first hop.
    pub(super) fn doubt(&mut self, cx: &mut Context) -> (LinkHandle, RelayId) {
        self.line.requests_mut().put_back();
        // Not all at once: a relay at which two of them end must not see them react together.
        let wait = cx.below(cx.config.times.reaction_ms + 1);
        let at = cx.mono().plus_ms(wait);
        self.liveness.doubt(at);
        cx.timers.set(Timer::Tunnel(self.handle()), at);
        self.line.first_hop()
    }

    /// Repeats an overdue request. Returns the one that is given up.
    pub(super) fn repeat_request(&mut self, net: &mut Net) -> Overdue {
        let overdue = self.line.repeat_request(net);
        if matches!(overdue, Overdue::Again) && self.liveness.is_doubted() {
            // A tunnel that does not answer at once is replaced at once.
            net.cx
                .timers
                .set_earlier(Timer::Pool(self.pool()), net.cx.mono());
        }
        overdue
    }

    /// Sends an echo if the tunnel is idle, and asks it to close at its end. `true` once, when the replacement is due.
    pub(super) fn on_timer(&mut self, net: &mut Net) -> bool {
        let now = net.cx.mono();
        let retires = self.line.life.retire_if_due(now);
        if retires {
            net.cx.timers.set_earlier(Timer::Pool(self.pool()), now);
        }
        if self.line.requests().is_idle() {
            if now >= self.life().end() {
                self.request(net, Purpose::Close);
            } else if now >= self.liveness.echo_at(&net.cx) {
                self.request(net, Purpose::Echo { told: false });
            }
        }
        retires
    }

    /// Ends it within `within_ms`; its replacement is built at once.
    pub(super) fn give_way(&mut self, cx: &mut Context, within_ms: u64) {
        let now = cx.mono();
        self.line.life.give_way(now.plus_ms(within_ms));
        self.plan(cx);
        cx.timers.set_earlier(Timer::Pool(self.pool()), now);
    }

    pub(super) fn replace_early(&mut self, cx: &mut Context, at: Mono, relays: usize) {
        self.line.life.replace_early(at, relays);
        self.plan(cx);
    }

    pub(super) fn plan(&self, cx: &mut Context) {
        let life = self.life();
        let at = if self.line.requests().is_idle() {
            Some(life.next().min(self.liveness.echo_at(cx)))
        } else {
            // At its end it is asked to close once, and the answer is awaited like any other.
            Some(life.next()).filter(|_| !life.is_retiring())
        };
        self.line.plan(cx, at);
    }
}
