//! Messages between an endpoint port and the world (protocol §7.4, §7.5).

use std::net::{IpAddr, SocketAddr};

use super::{Endpoint, hello::Waiting};
use crate::{
    context::Context,
    directory::Directory,
    drop_reason::DropReason,
    ids::{Gate, Port, PortToken, ServedId},
    links::Links,
    packet::{HELLO_DATAGRAM, MESSAGE_DATAGRAM, Packet},
    policy::Profile,
    wire::{
        cell::Cell,
        descriptor::Descriptor,
        hello::{Hello, HelloNonce},
    },
};

/// A message that a master sends through its endpoint.
pub(crate) struct Outgoing {
    pub(super) tunnel: ServedId,
    pub(super) to: SocketAddr,
    pub(super) datagram: Box<[u8; MESSAGE_DATAGRAM]>,
}

/// What stands behind a destination.
enum Way {
    /// One of our own endpoint ports.
    Inside,
    /// Somebody else's address.
    Outside,
}

impl Endpoint {
    /// Sends a message out of the tunnel's own port, or serves it here if the destination is one of our ports. One that
    /// does not consent yet is asked first.
    pub(crate) fn send_out(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        directory: &Directory,
        own: &Descriptor,
        outgoing: Outgoing,
    ) -> Result<(), DropReason> {
        let Outgoing {
            tunnel: id,
            to,
            datagram,
        } = outgoing;
        let way = way_to(cx, own, to)?;
        let now = cx.mono();
        let consents =
            matches!(way, Way::Inside) || directory.covers(to) || self.hellos.consents(to, now);
        let tunnel = self.tunnels.get_mut(&id).ok_or(DropReason::UnknownTunnel)?;
        let bucket = destination_bucket(cx.config.policy.profile, to);
        if !tunnel.messages.take(now)
            || !self.per_destination.take(bucket, now)
            || !self.in_all.take(now)
        {
            return Err(DropReason::RateLimited);
        }
        let token = tunnel.token;
        let waiting = Waiting {
            tunnel: id,
            token,
            datagram,
        };
        match way {
            Way::Inside => {
                cx.counters.endpoint_sent += 1;
                let id = *self
                    .by_port
                    .get(&to.port())
                    .ok_or(DropReason::PortNotOpen)?;
                self.deliver(cx, links, id, &waiting.datagram)
            }
            Way::Outside if consents => {
                send(cx, to, &waiting);
                Ok(())
            }
            Way::Outside => self.hellos.ask(cx, &mut tunnel.hellos, to, waiting),
        }
    }

    /// A datagram arrived on an endpoint port; whoever sent it.
    pub(crate) fn on_datagram(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        own: &Descriptor,
        (token, from): (PortToken, SocketAddr),
        bytes: &[u8],
    ) -> Result<(), DropReason> {
        let id = *self.by_token.get(&token).ok_or(DropReason::PortNotOpen)?;
        if let Ok(hello) = <&[u8; HELLO_DATAGRAM]>::try_from(bytes) {
            return match Hello::decode(hello).ok_or(DropReason::UnknownKind)? {
                Hello::Question { gate, nonce } => self.echo(cx, own, (id, from), gate, nonce),
                Hello::Echo { nonce } => self.on_echo(cx, (token, from), nonce),
            };
        }
        let datagram: &[u8; MESSAGE_DATAGRAM] =
            bytes.try_into().map_err(|_| DropReason::BadLength)?;
        self.deliver(cx, links, id, datagram)
    }

    /// Somebody asks whether this gate is open. If not, we are as silent as a host that does not speak DEUT.
    fn echo(
        &mut self,
        cx: &mut Context,
        own: &Descriptor,
        (id, from): (ServedId, SocketAddr),
        gate: Gate,
        nonce: HelloNonce,
    ) -> Result<(), DropReason> {
        let tunnel = self.tunnels.get_mut(&id).ok_or(DropReason::PortNotOpen)?;
        if !tunnel.gates.contains(&Some(gate)) {
            return Err(DropReason::GateClosed);
        }
        if matches!(way_to(cx, own, from)?, Way::Inside) {
            // Nobody here asks this way: the source is forged.
            return Err(DropReason::ForbiddenDestination);
        }
        let now = cx.mono();
        let bucket = destination_bucket(cx.config.policy.profile, from);
        if !tunnel.echoes.take(now)
            || !self.per_destination.take(bucket, now)
            || !self.in_all.take(now)
        {
            return Err(DropReason::RateLimited);
        }
        let echo = Hello::Echo { nonce }.encode(cx.secret());
        cx.counters.echoes_sent += 1;
        cx.transmit(Port::Endpoint(tunnel.token), from, Packet::copy_of(&echo));
        Ok(())
    }

    /// A destination echoed: what waited for it leaves.
    fn on_echo(
        &mut self,
        cx: &mut Context,
        (token, from): (PortToken, SocketAddr),
        nonce: HelloNonce,
    ) -> Result<(), DropReason> {
        let waiting = self.hellos.accept(cx, token, from, nonce)?;
        if let Some(tunnel) = self.tunnels.get_mut(&waiting.tunnel) {
            tunnel.hellos.give_back();
        }
        send(cx, from, &waiting);
        Ok(())
    }

    /// A HELLO is due: once more, or no more.
    pub(crate) fn on_hello_timer(&mut self, cx: &mut Context, to: SocketAddr) {
        let tunnels = &self.tunnels;
        self.hellos
            .on_timer(cx, to, |tunnel| tunnels.contains_key(&tunnel));
    }

    /// `(what, now, cap)` of each collection around HELLOs.
    pub(crate) fn hello_sizes(&self, cx: &Context) -> [(&'static str, usize, usize); 4] {
        self.hellos.sizes(&cx.config.limits)
    }

    /// Through the gate into the tunnel; all else is dropped unread.
    fn deliver(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        id: ServedId,
        datagram: &[u8; MESSAGE_DATAGRAM],
    ) -> Result<(), DropReason> {
        let tunnel = self.tunnels.get_mut(&id).ok_or(DropReason::PortNotOpen)?;
        let gate: [u8; 8] = datagram
            .first_chunk()
            .copied()
            .ok_or(DropReason::BadLength)?;
        if !tunnel.gates.contains(&Some(Gate(gate))) {
            return Err(DropReason::GateClosed);
        }
        if !tunnel.messages.take(cx.mono()) {
            return Err(DropReason::RateLimited);
        }
        tunnel.last_used = cx.mono();
        cx.counters.endpoint_delivered += 1;
        let cell = Cell::Deliver {
            datagram: Box::new(*datagram),
        };
        cx.observers
            .endpoint_opened(crate::observe::Direction::ToMaster, &cell);
        self.send_back(cx, links, id, &cell);
        Ok(())
    }
}

/// Sends a message from the port of its tunnel.
fn send(cx: &mut Context, to: SocketAddr, waiting: &Waiting) {
    cx.counters.endpoint_sent += 1;
    cx.transmit(
        Port::Endpoint(waiting.token),
        to,
        Packet::copy_of(waiting.datagram.as_slice()),
    );
}

/// Where a destination lies, unless nothing may go there.
fn way_to(cx: &Context, own: &Descriptor, to: SocketAddr) -> Result<Way, DropReason> {
    let policy = cx.config.policy;
    if !policy.may_send_to(to) {
        return Err(DropReason::ForbiddenDestination);
    }
    if own.covers(to) {
        return Ok(Way::Inside);
    }
    if to.ip() == own.address.ip() && policy.profile == Profile::Production {
        return Err(DropReason::ForbiddenDestination);
    }
    Ok(Way::Outside)
}

/// The /24 (IPv6: /48) of a destination; the `ip:port` in the test profile.
fn destination_bucket(profile: Profile, to: SocketAddr) -> SocketAddr {
    if profile == Profile::Test {
        return to;
    }
    let ip = match to.ip() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            IpAddr::from([a, b, c, 0, 0, 0, 0, 0])
        }
    };
    SocketAddr::new(ip, 0)
}
