//! Links to neighbours: Noise sessions, acknowledged control frames, liveness (protocol §4.2 to §5).
//!
//! One link per neighbour, told by its link key. A forged or replayed datagram changes nothing here: sessions are
//! opened first and take effect then.

mod control;
mod handshake;
mod link;
mod upkeep;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use crate::ids::LinkHandle;

pub(crate) use control::ControlToken;
use deut_common::{
    buckets::{Bucket, Buckets},
    ids::RelayId,
};
pub(crate) use link::Link;
use rand::Rng;

use crate::{
    context::Context,
    crypto::{
        noise::{check_mac1, mac1_key},
        session::plaintext_mut,
    },
    drop_reason::DropReason,
    ids::Port,
    keys::RelayKeys,
    packet::{Packet, RELAY_DATAGRAM},
    timers::Timer,
    wire::{
        datagram::{Datagram, Kind, SessionHeader},
        descriptor::Descriptor,
        frame::FrameBytes,
    },
};

/// What the rest of the node must know about a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkEvent {
    /// A session stands for the first time.
    Up(LinkHandle),
    /// The link is gone, with everything over it.
    Dead {
        /// Which.
        link: LinkHandle,
        /// Which relay it was.
        relay: Option<RelayId>,
        /// It did not answer; otherwise the link ended in peace.
        silent: bool,
    },
    /// A control frame was not acknowledged after three sends.
    ControlFailed(LinkHandle, ControlToken),
}

/// A decrypted session datagram.
pub(crate) struct Opened {
    pub(crate) link: LinkHandle,
    /// The first datagram under a link's first session.
    pub(crate) up: bool,
}

/// All links of a node.
pub(crate) struct Links {
    keys: Arc<RelayKeys>,
    mac1: [u8; 32],
    links: BTreeMap<LinkHandle, Box<Link>>,
    by_key: BTreeMap<[u8; 32], LinkHandle>,
    by_relay: BTreeMap<RelayId, LinkHandle>,
    by_index: BTreeMap<u32, LinkHandle>,
    dials: usize,
    next: u64,
    answered: Bucket,
    answered_per_source: Buckets<SocketAddr>,
    /// The `time` of our last initiation, µs.
    last_time: u64,
}

impl Links {
    pub(crate) fn new(keys: Arc<RelayKeys>, cx: &Context) -> Self {
        Self {
            mac1: mac1_key(&keys.link()),
            keys,
            links: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_relay: BTreeMap::new(),
            by_index: BTreeMap::new(),
            dials: 0,
            next: 0,
            answered: Bucket::new(cx.config.limits.handshakes_answered, cx.mono()),
            answered_per_source: Buckets::new(cx.config.limits.handshakes_per_source, 4_096),
            last_time: 0,
        }
    }

    pub(crate) fn get(&self, link: LinkHandle) -> Option<&Link> {
        self.links.get(&link).map(Box::as_ref)
    }

    pub(crate) fn get_mut(&mut self, link: LinkHandle) -> Option<&mut Link> {
        self.links.get_mut(&link).map(Box::as_mut)
    }

    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    pub(crate) fn handles(&self) -> Vec<LinkHandle> {
        self.links.keys().copied().collect()
    }

    /// The link to this relay, if one stands or is being made.
    pub(crate) fn of_relay(&self, relay: RelayId) -> Option<LinkHandle> {
        self.by_relay.get(&relay).copied()
    }

    /// A session stands.
    pub(crate) fn is_up(&self, link: LinkHandle) -> bool {
        self.get(link).is_some_and(Link::is_up)
    }

    /// Opens a session datagram in place; the frame is then at the plaintext's place.
    pub(crate) fn open(
        &mut self,
        cx: &mut Context,
        datagram: &mut [u8; RELAY_DATAGRAM],
    ) -> Result<Opened, DropReason> {
        let header = SessionHeader::parse(datagram).ok_or(DropReason::Malformed)?;
        let handle = *self
            .by_index
            .get(&header.index)
            .ok_or(DropReason::UnknownSession)?;
        let link = self
            .links
            .get_mut(&handle)
            .ok_or(DropReason::UnknownSession)?;
        let opened = link.open(cx, header.index, datagram)?;
        for index in opened.superseded {
            self.by_index.remove(&index);
        }
        if opened.promoted {
            self.settle(cx, handle);
        }
        Ok(Opened {
            link: handle,
            up: opened.first,
        })
    }

    /// After a new session took effect: send what waited, plan what is due.
    fn settle(&mut self, cx: &mut Context, handle: LinkHandle) {
        self.flush(cx, handle);
        self.plan(cx, handle);
    }

    /// Encrypts the cell that stands at the packet's plaintext place and says whereto it goes. A neighbour that is silent
    /// after a cell is probed. Not so after other frames: an acknowledgement that asks for an answer would never end.
    pub(crate) fn seal(
        &mut self,
        cx: &mut Context,
        handle: LinkHandle,
        packet: &mut Packet,
    ) -> Result<SocketAddr, DropReason> {
        let link = self
            .links
            .get_mut(&handle)
            .ok_or(DropReason::UnknownSession)?;
        let to = link.seal(cx.now, packet)?;
        if link.starts_silence(cx.mono()) {
            cx.timers.set(
                Timer::LinkProbe(handle),
                cx.mono().plus_ms(link::SILENCE_MS),
            );
        }
        Ok(to)
    }

    /// Sends a frame, or keeps it until the session stands (32 at most; further ones are lost).
    pub(crate) fn send(&mut self, cx: &mut Context, handle: LinkHandle, frame: &FrameBytes) {
        let Some(link) = self.links.get_mut(&handle) else {
            return;
        };
        if !link.is_up() {
            link.wait(frame);
            return;
        }
        let mut packet = Packet::zeroed(RELAY_DATAGRAM);
        if let Some(datagram) = packet.as_relay_mut() {
            *plaintext_mut(datagram) = *frame;
        }
        if let Ok(to) = link.seal(cx.now, &mut packet) {
            cx.transmit(Port::Relay, to, packet);
        }
    }

    fn flush(&mut self, cx: &mut Context, handle: LinkHandle) {
        let waiting = self
            .links
            .get_mut(&handle)
            .map(|link| link.take_waiting())
            .unwrap_or_default();
        for frame in waiting {
            self.send(cx, handle, &frame);
        }
        self.resend_control(cx, handle);
    }

    /// MAC1 of a handshake datagram, before any public-key work.
    fn check_gate(&self, datagram: &Datagram, kind: Kind) -> Result<(), DropReason> {
        if check_mac1(&self.mac1, datagram, kind) {
            Ok(())
        } else {
            Err(DropReason::BadMac)
        }
    }

    fn fresh_index(&self, cx: &mut Context) -> u32 {
        loop {
            let index = cx.secrets.next_u32();
            if index != 0 && !self.by_index.contains_key(&index) {
                return index;
            }
        }
    }

    /// Remembers which relay is at the other end, once its descriptor is known to fit the link key.
    pub(crate) fn name(&mut self, handle: LinkHandle, descriptor: &Descriptor) {
        let Some(link) = self.links.get_mut(&handle) else {
            return;
        };
        if link.remote_key == descriptor.link {
            link.relay = Some(descriptor.id());
            self.by_relay.insert(descriptor.id(), handle);
        }
    }

    fn insert(
        &mut self,
        cx: &Context,
        remote_key: [u8; 32],
        address: SocketAddr,
    ) -> Option<LinkHandle> {
        if self.links.len() >= cx.config.limits.links {
            return None;
        }
        self.next += 1;
        let handle = LinkHandle(self.next);
        self.links
            .insert(handle, Box::new(Link::new(remote_key, address, cx)));
        self.by_key.insert(remote_key, handle);
        Some(handle)
    }

    /// Forgets a link; what was over it is the caller's to end.
    pub(crate) fn remove(
        &mut self,
        cx: &mut Context,
        handle: LinkHandle,
        silent: bool,
    ) -> Option<LinkEvent> {
        let link = self.links.remove(&handle)?;
        for index in link.indices() {
            self.by_index.remove(&index);
        }
        if link.dial.is_some() {
            self.dials = self.dials.saturating_sub(1);
        }
        self.by_key.remove(&link.remote_key);
        if let Some(relay) = link
            .relay
            .filter(|relay| self.by_relay.get(relay) == Some(&handle))
        {
            self.by_relay.remove(&relay);
        }
        for timer in [
            Timer::Link(handle),
            Timer::LinkProbe(handle),
            Timer::Gossip(handle),
        ] {
            cx.timers.clear(timer);
        }
        Some(LinkEvent::Dead {
            link: handle,
            relay: link.relay,
            silent,
        })
    }

    /// Tells the neighbour that this link ends in peace.
    pub(crate) fn goodbye(&mut self, cx: &mut Context, handle: LinkHandle) {
        if self.is_up(handle) {
            self.send(cx, handle, &crate::wire::frame::encode_goodbye());
        }
    }

    /// The node stops.
    pub(crate) fn forget_all(&mut self, cx: &mut Context) {
        for handle in self.handles() {
            self.remove(cx, handle, false);
        }
    }

    /// One more tunnel uses this link.
    pub(crate) fn add_tunnel(&mut self, cx: &Context, handle: LinkHandle) {
        if let Some(link) = self.links.get_mut(&handle) {
            link.tunnels += 1;
            link.last_used = cx.mono();
        }
    }

    /// One tunnel less uses this link.
    pub(crate) fn drop_tunnel(&mut self, cx: &mut Context, handle: LinkHandle) {
        if let Some(link) = self.links.get_mut(&handle) {
            link.tunnels = link.tunnels.saturating_sub(1);
            link.last_used = cx.mono();
        }
        self.plan(cx, handle);
    }
}
