//! Messages between an endpoint port and the world (protocol §7.4).

use std::net::{IpAddr, SocketAddr};

use super::{Endpoint, ServedId};
use crate::{
    api::{Port, PortToken},
    directory::Directory,
    drop_reason::DropReason,
    ids::Gate,
    links::Links,
    packet::{MESSAGE_DATAGRAM, Packet},
    policy::Profile,
    shared::Shared,
    wire::{cell::Cell, descriptor::Descriptor},
};

/// A message that a master sends through its endpoint.
pub(crate) struct Outgoing {
    pub(super) tunnel: ServedId,
    pub(super) to: SocketAddr,
    pub(super) datagram: Box<[u8; MESSAGE_DATAGRAM]>,
}

impl Endpoint {
    /// Sends a message out of the tunnel's own port, or serves it here if the destination is one of our ports.
    pub(crate) fn send_out(
        &mut self,
        sh: &mut Shared,
        links: &mut Links,
        directory: &Directory,
        own: &Descriptor,
        outgoing: &Outgoing,
    ) -> Result<(), DropReason> {
        let Outgoing {
            tunnel,
            to,
            datagram,
        } = outgoing;
        if !sh.config.policy.may_send_to(*to) {
            return Err(DropReason::ForbiddenDestination);
        }
        let ours = own.covers(*to);
        if !ours && to.ip() == own.address.ip() && sh.config.policy.profile == Profile::Production {
            return Err(DropReason::ForbiddenDestination);
        }
        if !ours && !directory.covers(*to) {
            return Err(DropReason::UnknownDestination);
        }
        let served = self
            .tunnels
            .get_mut(tunnel)
            .ok_or(DropReason::UnknownTunnel)?;
        let now = sh.mono();
        let bucket = destination_bucket(sh.config.policy.profile, *to);
        if !served.messages.take(now)
            || !self.per_destination.take(bucket, now)
            || !self.in_all.take(now)
        {
            return Err(DropReason::RateLimited);
        }
        sh.counters.endpoint_sent += 1;
        if ours {
            let id = *self
                .by_port
                .get(&to.port())
                .ok_or(DropReason::PortNotOpen)?;
            return self.deliver(sh, links, id, datagram);
        }
        let token = served.token;
        sh.transmit(
            Port::Endpoint(token),
            *to,
            Packet::copy_of(datagram.as_slice()),
        );
        Ok(())
    }

    /// A datagram arrived on an endpoint port; whoever sent it.
    pub(crate) fn on_datagram(
        &mut self,
        sh: &mut Shared,
        links: &mut Links,
        token: PortToken,
        bytes: &[u8],
    ) -> Result<(), DropReason> {
        let id = *self.by_token.get(&token).ok_or(DropReason::PortNotOpen)?;
        let datagram: &[u8; MESSAGE_DATAGRAM] =
            bytes.try_into().map_err(|_| DropReason::BadLength)?;
        self.deliver(sh, links, id, datagram)
    }

    /// Through the gate into the tunnel; all else is dropped unread.
    fn deliver(
        &mut self,
        sh: &mut Shared,
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
        if !tunnel.messages.take(sh.mono()) {
            return Err(DropReason::RateLimited);
        }
        tunnel.last_used = sh.mono();
        sh.counters.endpoint_delivered += 1;
        let cell = Cell::Deliver {
            datagram: Box::new(*datagram),
        };
        #[cfg(feature = "probe")]
        crate::probe::endpoint_opened(sh, crate::probe::Direction::ToMaster, &cell);
        self.send_back(sh, links, id, &cell);
        Ok(())
    }
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
