//! Messages between an endpoint port and the world (protocol §7.4, §7.5).

use std::net::{IpAddr, SocketAddr};

use deut_common::{
    buckets::{Bucket, Buckets},
    time::Mono,
};

use super::{
    Endpoint,
    hello::{Hellos, Waiting},
};
use crate::{
    config::Limits,
    context::Context,
    drop_reason::DropReason,
    ids::{Gate, Port, PortToken, ServedId},
    net::Net,
    packet::{HELLO_DATAGRAM, MESSAGE_DATAGRAM, Packet},
    policy::Profile,
    status::Size,
    wire::hello::{Hello, HelloNonce},
};

/// Number of destinations that are told apart.
const DESTINATIONS: usize = 4_096;

/// The place of a destination.
enum Way {
    /// One of our own endpoint ports.
    Inside,
    /// Somebody else's address.
    Outside,
}

/// The budgets of all tunnels together, and the destinations that consent.
pub(super) struct Outside {
    per_destination: Buckets<SocketAddr>,
    in_all: Bucket,
    hellos: Hellos,
}

impl Outside {
    pub(super) const fn new(limits: &Limits, now: Mono) -> Self {
        Self {
            per_destination: Buckets::new(limits.messages_per_destination, DESTINATIONS),
            in_all: Bucket::new(limits.messages_in_all, now),
            hellos: Hellos::new(limits, now),
        }
    }

    pub(super) fn sizes(&self, limits: &Limits) -> [Size; 4] {
        self.hellos.sizes(limits)
    }

    /// Returns true if one more datagram may leave for this destination; takes it from the budgets.
    fn takes(&mut self, cx: &Context, to: SocketAddr) -> bool {
        let bucket = destination_bucket(cx.config.policy.profile, to);
        self.per_destination.take(bucket, cx.mono()) && self.in_all.take(cx.mono())
    }
}

impl Endpoint {
    /// Sends a message out of the tunnel's own port, or serves it here if the destination is one of our ports. A destination that
    /// does not consent yet is asked first.
    pub(super) fn send_out(
        &mut self,
        net: &mut Net,
        id: ServedId,
        to: SocketAddr,
        datagram: Box<[u8; MESSAGE_DATAGRAM]>,
    ) -> Result<(), DropReason> {
        let way = way_to(net, to)?;
        let now = net.cx.mono();
        let outside = &mut self.outside;
        let consents = matches!(way, Way::Inside)
            || net.directory.covers(to)
            || outside.hellos.consents(to, now);
        let tunnel = self.tunnels.get_mut(id).ok_or(DropReason::UnknownTunnel)?;
        if !tunnel.takes_message(now) || !outside.takes(&net.cx, to) {
            return Err(DropReason::RateLimited);
        }
        let (token, _) = tunnel.port();
        let waiting = Waiting {
            tunnel: id,
            token,
            datagram,
        };
        match way {
            Way::Inside => {
                net.cx.counters.endpoint_sent += 1;
                let other = self.tunnels.at(to).ok_or(DropReason::PortNotOpen)?;
                other.deliver(net, &waiting.datagram)
            }
            Way::Outside if consents => {
                send(&mut net.cx, to, &waiting);
                Ok(())
            }
            Way::Outside => outside
                .hellos
                .ask(&mut net.cx, &mut tunnel.hellos, to, waiting),
        }
    }

    /// A datagram arrived on an endpoint port, from any sender.
    pub(crate) fn on_datagram(
        &mut self,
        net: &mut Net,
        token: PortToken,
        from: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), DropReason> {
        let tunnel = self.tunnels.of(token).ok_or(DropReason::PortNotOpen)?;
        if let Ok(hello) = <&[u8; HELLO_DATAGRAM]>::try_from(bytes) {
            return match Hello::decode(hello).ok_or(DropReason::UnknownKind)? {
                Hello::Question { gate, nonce } => self.echo(net, (token, from), gate, nonce),
                Hello::Echo { nonce } => self.on_echo(&mut net.cx, (token, from), nonce),
            };
        }
        let datagram = bytes.try_into().map_err(|_| DropReason::BadLength)?;
        tunnel.deliver(net, datagram)
    }

    /// Somebody asks if this gate is open. If it is not, we stay as silent as a host that does not speak DEUT.
    fn echo(
        &mut self,
        net: &mut Net,
        (token, from): (PortToken, SocketAddr),
        gate: Gate,
        nonce: HelloNonce,
    ) -> Result<(), DropReason> {
        let tunnel = self.tunnels.of(token).ok_or(DropReason::PortNotOpen)?;
        if !tunnel.has_open(gate) {
            return Err(DropReason::GateClosed);
        }
        if matches!(way_to(net, from)?, Way::Inside) {
            // Nobody at such an address asks this way: the source is forged.
            return Err(DropReason::ForbiddenDestination);
        }
        if !tunnel.echoes.take(net.cx.mono()) || !self.outside.takes(&net.cx, from) {
            return Err(DropReason::RateLimited);
        }
        let echo = Hello::Echo { nonce }.encode(net.cx.secret());
        net.cx.counters.echoes_sent += 1;
        let at = Port::Endpoint(token);
        net.cx.transmit(at, from, Packet::copy_of(&echo));
        Ok(())
    }

    /// A destination echoed: the message that waited for it leaves.
    fn on_echo(
        &mut self,
        cx: &mut Context,
        (token, from): (PortToken, SocketAddr),
        nonce: HelloNonce,
    ) -> Result<(), DropReason> {
        let waiting = self.outside.hellos.accept(cx, token, from, nonce)?;
        if let Some(tunnel) = self.tunnels.get_mut(waiting.tunnel) {
            tunnel.hellos.give_back();
        }
        send(cx, from, &waiting);
        Ok(())
    }

    /// A HELLO is due to be repeated or given up.
    pub(crate) fn on_hello_timer(&mut self, cx: &mut Context, to: SocketAddr) {
        let tunnels = &self.tunnels;
        let hellos = &mut self.outside.hellos;
        hellos.on_timer(cx, to, |tunnel| tunnels.has(tunnel));
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

/// The place of a destination, unless nothing may be sent there.
fn way_to(net: &Net, to: SocketAddr) -> Result<Way, DropReason> {
    let own = net.own.descriptor().ok_or(DropReason::NotARelay)?;
    let policy = net.cx.config.policy;
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
