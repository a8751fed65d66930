//! The ground that every role stands on: our descriptor, our neighbours, the relays that we know, and the ids of tunnels.

use std::{net::SocketAddr, sync::Arc};

use deut_common::ids::RelayId;

use crate::{
    context::Context,
    crypto::session::{plaintext, plaintext_mut},
    directory::{Directory, DirectoryEvent},
    drop_reason::DropReason,
    ids::{LinkHandle, PoolId, Port, TunnelId},
    io::Event,
    links::{ControlToken, LinkEvent, Links, Opened},
    own::{Own, SOURCES},
    packet::{Packet, RELAY_DATAGRAM},
    routes::{Routes, Side},
    status::Size,
    timers::Timer,
    wire::{
        datagram::{Datagram, Kind},
        descriptor::Descriptor,
        frame::{self, CELL_BODY, Control, Frame},
    },
};

/// While a node has fewer links than this, it also dials relays that are on no list: gossip needs some links.
const FEW_LINKS: usize = 3;

/// Input from a neighbour that concerns the roles.
pub(crate) enum Received {
    Nothing,
    /// It stands in the datagram.
    Cell(LinkHandle, TunnelId),
    Control(LinkHandle, Control),
    /// A link came up or ended.
    Link(LinkEvent),
}

/// The shared ground, lent to each role in turn.
pub(crate) struct Net {
    pub(crate) cx: Context,
    pub(crate) own: Own,
    pub(crate) links: Links,
    pub(crate) routes: Routes,
    pub(crate) directory: Directory,
}

impl Net {
    /// The size of each table, with its cap.
    pub(crate) fn sizes(&self) -> Vec<Size> {
        let limits = &self.cx.config.limits;
        let transit = limits.transit_tunnels;
        let tunnels = limits.own_tunnels + transit * 2 + limits.endpoint_tunnels;
        let calls = limits.calls + limits.groups;
        let timers = limits.links * 3 + 2 * tunnels + calls + limits.hellos + 16;
        let mut sizes = vec![
            ("links", self.links.len(), limits.links),
            ("routes", self.routes.len(), tunnels + transit),
            ("sources of questions", self.own.sources(), SOURCES),
            ("timers", self.cx.timers.len(), timers),
        ];
        sizes.extend(self.directory.sizes(limits));
        sizes
    }

    /// The wall clock was set: whatever depended on the old time is made anew.
    pub(crate) fn clock_jumped(&mut self) {
        self.links.clock_jumped();
        self.directory.clock_jumped(&mut self.cx);
        self.own.clock_jumped(&mut self.cx);
    }

    /// The node stops: tells the neighbours and clears all timers.
    pub(crate) fn shut_down(&mut self) {
        let cx = &mut self.cx;
        self.directory.persist(cx);
        for link in self.links.handles() {
            self.links.goodbye(cx, link);
        }
        self.links.forget_all(cx);
        cx.timers.clear_all();
    }

    // Links.

    /// Handles a datagram on the relay port. Returns what links and the directory do not handle themselves.
    pub(crate) fn on_datagram(
        &mut self,
        from: SocketAddr,
        datagram: &mut Datagram,
    ) -> Result<Received, DropReason> {
        let cx = &mut self.cx;
        match Kind::of(datagram).ok_or(DropReason::UnknownKind)? {
            Kind::Session => return self.on_session(datagram),
            Kind::WhoAreYou => self.own.on_question(cx, from, datagram)?,
            Kind::WhoAreYouAnswer => {
                let events = self.directory.on_answer(cx, from, datagram)?;
                self.on_directory_events(events);
            }
            Kind::HandshakeInit => {
                self.links.on_initiation(cx, from, datagram)?;
            }
            Kind::HandshakeAnswer => {
                let event = self.links.on_answer(cx, datagram)?;
                return Ok(event.map_or(Received::Nothing, Received::Link));
            }
        }
        Ok(Received::Nothing)
    }

    fn on_session(&mut self, datagram: &mut Datagram) -> Result<Received, DropReason> {
        let Opened { link, up } = self.links.open(&mut self.cx, datagram)?;
        let frame = plaintext(datagram);
        self.cx.observers.frame_opened(frame);
        if up {
            self.link_up(link);
        }
        let (cx, links) = (&mut self.cx, &mut self.links);
        match frame::decode(frame)? {
            Frame::Cell { id } => return Ok(Received::Cell(link, id)),
            Frame::Control { tag, control } => {
                if !links.on_control(cx, link, tag) {
                    return Err(DropReason::DuplicateControl);
                }
                return Ok(Received::Control(link, control));
            }
            Frame::Goodbye => {
                let gone = links.remove(cx, link, false);
                return Ok(gone.map_or(Received::Nothing, Received::Link));
            }
            Frame::KeepAlive => {}
            Frame::Ack { tag } => links.on_ack(cx, link, tag),
            Frame::Gossip(descriptors) => self.directory.on_gossip(cx, link, descriptors),
            Frame::GossipRequest => self.directory.on_gossip_request(cx, links, link),
        }
        Ok(Received::Nothing)
    }

    /// The link to a relay, which is dialled if there is none.
    pub(crate) fn dial(&mut self, relay: &Arc<Descriptor>) -> Option<LinkHandle> {
        self.links.dial(&mut self.cx, self.own.descriptor(), relay)
    }

    /// Makes a new session on a link, since the neighbour may have given up the old one.
    pub(crate) fn renew(&mut self, link: LinkHandle, relay: RelayId) {
        let identity = self.directory.get(relay).map(|relay| relay.identity);
        self.links
            .renew(&mut self.cx, self.own.descriptor(), link, identity);
    }

    /// A link has its first session.
    pub(crate) fn link_up(&mut self, link: LinkHandle) {
        let (cx, links) = (&mut self.cx, &mut self.links);
        self.directory.link_up(cx, links, link);
        let presented = links.get_mut(link).and_then(|link| link.presented.take());
        if let Some(descriptor) = presented {
            links.name(link, &descriptor);
            if let Err(reason) = self.directory.consider(cx, &descriptor) {
                cx.drops.count(reason);
            }
        }
    }

    /// Sends a control frame whose loss does not matter.
    pub(crate) fn tell(&mut self, link: LinkHandle, control: &Control) {
        self.links
            .send_control(&mut self.cx, link, control, ControlToken::Nobody);
    }

    /// Tells a neighbour that a tunnel is closed.
    pub(crate) fn tell_closed(&mut self, link: LinkHandle, id: TunnelId) {
        self.tell(link, &Control::TunnelClosed { id });
    }

    /// Sends a cell of a tunnel; `seal` fills its body and gives its nonce.
    pub(crate) fn send_cell(
        &mut self,
        side: Side,
        seal: impl FnOnce(&mut [u8; CELL_BODY]) -> [u8; 16],
    ) -> Result<(), DropReason> {
        let mut packet = Packet::zeroed(RELAY_DATAGRAM);
        let datagram = packet.as_relay_mut().ok_or(DropReason::BadLength)?;
        let cell = plaintext_mut(datagram);
        let nonce = seal(frame::cell_body_mut(cell));
        frame::set_cell_header(cell, side.outgoing, nonce);
        let to = self.links.seal(&mut self.cx, side.link, datagram)?;
        self.cx.transmit(Port::Relay, to, packet);
        Ok(())
    }

    /// A tunnel ends: frees its ids and its place on the link. With `tell`, the neighbour frees its side too.
    pub(crate) fn leave(&mut self, side: Side, tell: bool) {
        self.routes.forget(side.link, side.incoming);
        self.routes.free_outgoing(side.link, side.outgoing);
        self.links.drop_tunnel(&mut self.cx, side.link);
        if tell {
            self.tell_closed(side.link, side.outgoing);
        }
    }

    // The directory.

    pub(crate) fn on_directory_timer(&mut self) {
        let events = self.directory.on_timer(&mut self.cx);
        self.on_directory_events(events);
    }

    pub(crate) fn silent(&mut self, relay: RelayId) {
        self.directory.silent(&mut self.cx, relay);
    }

    fn on_directory_events(&mut self, events: Vec<DirectoryEvent>) {
        for event in events {
            match event {
                DirectoryEvent::Verified { descriptor, new } => self.verified(&descriptor, new),
                DirectoryEvent::Trouble(address, trouble) => {
                    self.cx.event(Event::Bootstrap { address, trouble });
                }
            }
        }
    }

    fn verified(&mut self, relay: &Arc<Descriptor>, new: bool) {
        if new {
            self.directory.spread(&mut self.cx, &self.links, relay.id());
        }
        if self.directory.is_listed(relay.id()) || self.links.len() < FEW_LINKS {
            self.dial(relay);
        }
        for pool in PoolId::BOTH {
            self.cx
                .timers
                .set_earlier(Timer::Pool(pool), self.cx.now.mono);
        }
    }
}
