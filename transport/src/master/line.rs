//! The part of a tunnel that stays the same from the walk's answer to the end: the path to its endpoint, and the requests to it.

use std::net::SocketAddr;

use deut_common::{ids::RelayId, time::Mono};

use super::{
    life::Life,
    path::Path,
    requests::{Answered, Overdue, Purpose, RequestQueue},
};
use crate::{
    context::Context,
    crypto::{message::gate, walk::DirectionKeys},
    drop_reason::DropReason,
    ids::{Gate, LinkHandle, PoolId, TunnelHandle},
    net::Net,
    status::{PathKind, TunnelView},
    timers::Timer,
    wire::{cell::Cell, frame::FrameBytes},
};

/// A tunnel's handle, and the pool that it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Name {
    pub(super) handle: TunnelHandle,
    pub(super) pool: PoolId,
}

/// The other end of the tunnel.
#[derive(Clone, Copy)]
pub(super) struct Far {
    pub(super) relay: RelayId,
    /// The address that messages for the tunnel go to.
    pub(super) address: SocketAddr,
    /// Our directory or another endpoint knows this relay with the same descriptor.
    pub(super) known: bool,
}

pub(super) struct Line {
    name: Name,
    far: Far,
    path: Path,
    requests: RequestQueue,
    sent: u64,
    received: u64,
    pub(super) life: Life,
}

impl Line {
    pub(super) fn new(name: Name, far: Far, path: Path, life: Life) -> Self {
        Self {
            name,
            far,
            path,
            requests: RequestQueue::default(),
            sent: 0,
            received: 0,
            life,
        }
    }

    pub(super) const fn handle(&self) -> TunnelHandle {
        self.name.handle
    }

    pub(super) const fn pool(&self) -> PoolId {
        self.name.pool
    }

    pub(super) const fn far(&self) -> Far {
        self.far
    }

    pub(super) const fn set_known(&mut self) {
        self.far.known = true;
    }

    pub(super) const fn first_hop(&self) -> (LinkHandle, RelayId) {
        (self.path.link(), self.path.first_hop())
    }

    pub(super) fn set_session(&mut self, keys: DirectionKeys) {
        self.path.set_session(keys);
    }

    /// A new random gate for this tunnel's address.
    pub(super) fn fresh_gate(&self, cx: &mut Context) -> Gate {
        let x: [u8; 32] = cx.secret();
        gate(&x, self.far.address)
    }

    /// Opens a cell of the endpoint.
    pub(super) fn open(&mut self, frame: &mut FrameBytes) -> Result<Cell, DropReason> {
        let cell = self.path.open(frame)?;
        self.received += u64::from(matches!(cell, Cell::Deliver { .. }));
        Ok(cell)
    }

    /// Sends a message through the tunnel.
    pub(super) fn send(&mut self, net: &mut Net, message: &Cell) -> Result<(), DropReason> {
        self.path.send(net, message)?;
        self.sent += 1;
        Ok(())
    }

    /// Queues a request and sends it if it is its turn; then `true`.
    pub(super) fn request(&mut self, net: &mut Net, purpose: Purpose) -> bool {
        self.requests.push(purpose);
        self.next_request(net)
    }

    /// Sends the next request if none is under way; then `true`.
    pub(super) fn next_request(&mut self, net: &mut Net) -> bool {
        let begun = self.requests.begin_next(net.cx.mono());
        if begun {
            self.send_request(net);
        }
        begun
    }

    /// Sends the request under way (again).
    fn send_request(&mut self, net: &mut Net) {
        let (least, most) = net.cx.config.times.request_repeat_ms;
        let pause = least + net.cx.below(most.saturating_sub(least) + 1);
        if let Some(cell) = self.requests.send(net.cx.mono().plus_ms(pause))
            && let Err(reason) = self.path.send(net, &cell)
        {
            net.cx.drops.count(reason);
        }
    }

    /// Repeats the request under way if it is due, as long as that makes sense.
    pub(super) fn repeat_request(&mut self, net: &mut Net) -> Overdue {
        let patience = self.life.build_timeout(&net.cx);
        let overdue = self.requests.overdue(net.cx.mono(), patience);
        if matches!(overdue, Overdue::Again) {
            self.send_request(net);
        }
        overdue
    }

    pub(super) fn answered(&mut self, number: u32) -> Result<Answered, DropReason> {
        self.requests.answered(number)
    }

    pub(super) const fn requests(&self) -> &RequestQueue {
        &self.requests
    }

    pub(super) const fn requests_mut(&mut self) -> &mut RequestQueue {
        &mut self.requests
    }

    /// Asks the endpoint to close; the answer is not waited for.
    pub(super) fn ask_close(&mut self, net: &mut Net) {
        let close = Cell::Close { number: u32::MAX };
        if self.path.has_session() && self.path.send(net, &close).is_err() {
            net.cx.drops.count(DropReason::UnknownTunnel);
        }
    }

    /// Frees what the tunnel held. With `tell`, the first hop is told.
    pub(super) fn leave(&self, net: &mut Net, tell: bool) {
        net.cx.timers.clear(Timer::Tunnel(self.handle()));
        self.path.leave(net, tell);
    }

    /// Sets the timer to the earlier of the next request and `at`.
    pub(super) fn plan(&self, cx: &mut Context, at: Option<Mono>) {
        if let Some(at) = at.into_iter().chain(self.requests.due()).min() {
            let soon = cx.mono().plus_us(1);
            cx.timers.set(Timer::Tunnel(self.handle()), at.max(soon));
        }
    }

    pub(super) fn view(&self, now: Mono, up: bool) -> TunnelView {
        TunnelView {
            handle: self.handle(),
            pool: self.pool(),
            path: PathKind::Walk,
            hops: self.path.hops(),
            first_hop: self.path.first_hop(),
            endpoint: self.far.relay,
            address: self.far.address,
            confirmed: self.far.known,
            up,
            age_s: now.since(self.life.since()) / 1_000_000,
            left_s: self.life.end().since(now) / 1_000_000,
            sent: self.sent,
            received: self.received,
            build_us: self.life.build_us(),
        }
    }
}
