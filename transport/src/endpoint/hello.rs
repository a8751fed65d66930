//! Addresses that take messages although no descriptor covers them: those that echoed a HELLO (protocol §7.5).

use std::{collections::BTreeMap, net::SocketAddr};

use deut_common::{
    buckets::{Bucket, Buckets},
    time::Mono,
};

use super::remembered::Remembered;
use crate::{
    config::Limits,
    context::Context,
    directory::host_of,
    drop_reason::DropReason,
    ids::{Gate, Port, PortToken, ServedId},
    packet::{MESSAGE_DATAGRAM, Packet},
    status::Size,
    timers::Timer,
    wire::{
        bytes::part,
        hello::{Hello, HelloNonce},
    },
};

/// A message that waits until its destination echoes.
pub(super) struct Waiting {
    pub(super) tunnel: ServedId,
    /// The port that asks and that the message will leave from.
    pub(super) token: PortToken,
    pub(super) datagram: Box<[u8; MESSAGE_DATAGRAM]>,
}

impl Waiting {
    fn gate(&self) -> Gate {
        Gate(*part::<0, 8, _>(self.datagram.as_ref()))
    }
}

/// A HELLO under way.
struct Pending {
    waiting: Waiting,
    nonce: HelloNonce,
    asked: Mono,
    repeated: bool,
}

/// HELLOs of all tunnels that end here.
pub(super) struct Hellos {
    pending: BTreeMap<SocketAddr, Pending>,
    consenting: Remembered<SocketAddr>,
    silent: Remembered<(SocketAddr, Gate)>,
    /// Budgets for unanswered HELLOs, per host and in all. An echo gives back what its HELLO took.
    per_host: Buckets<SocketAddr>,
    in_all: Bucket,
}

impl Hellos {
    pub(super) const fn new(limits: &Limits, now: Mono) -> Self {
        Self {
            pending: BTreeMap::new(),
            consenting: Remembered::new(limits.consenting),
            silent: Remembered::new(limits.silent),
            per_host: Buckets::slow(limits.hellos_per_host, limits.silent),
            in_all: Bucket::new(limits.hellos_in_all, now),
        }
    }

    /// Returns true if this address echoed within the last hour.
    pub(super) fn consents(&mut self, to: SocketAddr, now: Mono) -> bool {
        self.consenting.uses(to, now)
    }

    pub(super) fn sizes(&self, limits: &Limits) -> [Size; 4] {
        [
            ("hellos", self.pending.len(), limits.hellos),
            (
                "consenting addresses",
                self.consenting.len(),
                limits.consenting,
            ),
            ("silent addresses", self.silent.len(), limits.silent),
            ("hosts of hellos", self.per_host.len(), limits.silent),
        ]
    }

    /// Checks that a HELLO may be sent to this address, budgets aside.
    fn may_ask(&mut self, cx: &Context, to: SocketAddr, gate: Gate) -> Result<(), DropReason> {
        if cx.config.limits.hellos == 0 {
            return Err(DropReason::UnknownDestination);
        }
        if self.pending.contains_key(&to) {
            // The first message stays, so flooding an address pushes out nobody's message.
            return Err(DropReason::HelloPending);
        }
        if self.silent.contains((to, gate), cx.mono()) {
            return Err(DropReason::SilentDestination);
        }
        if self.pending.len() >= cx.config.limits.hellos {
            return Err(DropReason::TableFull);
        }
        Ok(())
    }

    /// Asks an address for the gate of the message that waits. `budget` is that of the tunnel.
    pub(super) fn ask(
        &mut self,
        cx: &mut Context,
        budget: &mut Bucket,
        to: SocketAddr,
        waiting: Waiting,
    ) -> Result<(), DropReason> {
        self.may_ask(cx, to, waiting.gate())?;
        let now = cx.mono();
        let host = host_of(cx.config.policy.profile, to);
        if !self.per_host.take(host, now) || !budget.take(now) || !self.in_all.take(now) {
            return Err(DropReason::RateLimited);
        }
        let pending = Pending {
            waiting,
            nonce: cx.secret(),
            asked: now,
            repeated: false,
        };
        send(cx, to, &pending);
        cx.timers.set(
            Timer::Hello(to),
            now.plus_ms(cx.config.times.hello_repeat_ms),
        );
        self.pending.insert(to, pending);
        Ok(())
    }

    /// Asks again or gives up. `open` says if the tunnel that asks still stands.
    pub(super) fn on_timer(
        &mut self,
        cx: &mut Context,
        to: SocketAddr,
        open: impl Fn(ServedId) -> bool,
    ) {
        let Some(pending) = self.pending.get_mut(&to) else {
            return;
        };
        let open = open(pending.waiting.tunnel);
        if open && !pending.repeated {
            pending.repeated = true;
            send(cx, to, pending);
            let end = pending.asked.plus_ms(cx.config.times.hello_timeout_ms);
            return cx.timers.set(Timer::Hello(to), end);
        }
        let gate = pending.waiting.gate();
        self.pending.remove(&to);
        if open {
            // An echo to a port that has closed would not have reached us, so this says nothing about the address.
            let until = cx.mono().plus_ms(cx.config.times.silence_ms);
            self.silent.add((to, gate), until);
        }
        cx.drops.count(DropReason::SilentDestination);
    }

    /// An echo arrived at `token` from `from`. Returns the message that waited and may leave now.
    pub(super) fn accept(
        &mut self,
        cx: &mut Context,
        token: PortToken,
        from: SocketAddr,
        nonce: HelloNonce,
    ) -> Result<Waiting, DropReason> {
        let right = |pending: &&Pending| pending.waiting.token == token && pending.nonce == nonce;
        if self.pending.get(&from).filter(right).is_none() {
            return Err(DropReason::UnexpectedEcho);
        }
        let pending = self
            .pending
            .remove(&from)
            .ok_or(DropReason::UnexpectedEcho)?;
        cx.timers.clear(Timer::Hello(from));
        self.per_host
            .give_back(host_of(cx.config.policy.profile, from));
        self.in_all.give_back();
        let until = cx.mono().plus_ms(cx.config.times.consent_ms);
        self.consenting.add(from, until);
        cx.counters.hellos_echoed += 1;
        Ok(pending.waiting)
    }
}

fn send(cx: &mut Context, to: SocketAddr, pending: &Pending) {
    let question = Hello::Question {
        gate: pending.waiting.gate(),
        nonce: pending.nonce,
    };
    let datagram = question.encode(cx.secret());
    cx.counters.hellos_sent += 1;
    let from = Port::Endpoint(pending.waiting.token);
    cx.transmit(from, to, Packet::copy_of(&datagram));
}

#[cfg(test)]
mod tests;
