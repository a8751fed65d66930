//! Links to neighbours: Noise sessions, acknowledged control frames, liveness (protocol §4.2 to §5).
//!
//! There is one link per neighbour, identified by its link key. A forged or replayed datagram changes nothing here: it must open
//! under a session before it has any effect.

mod control;
mod dialling;
mod handshake;
mod link;
mod sessions;
mod silence;
mod table;

use std::{net::SocketAddr, sync::Arc};

pub(crate) use control::ControlToken;
use deut_common::ids::RelayId;
use handshake::Handshakes;
pub(crate) use link::Link;
use sessions::Slot;
use table::Table;

use crate::{
    context::Context,
    drop_reason::DropReason,
    ids::LinkHandle,
    keys::RelayKeys,
    timers::Timer,
    wire::{
        datagram::{Datagram, SessionHeader},
        descriptor::Descriptor,
        frame::{self, Control, FrameBytes},
    },
};

/// News of a link for the rest of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkEvent {
    /// The link has a session for the first time.
    Up(LinkHandle),
    /// The link is gone, with everything over it.
    Dead {
        link: LinkHandle,
        /// The relay at its other end, if known.
        relay: Option<RelayId>,
        /// It did not answer. If false, the link was closed in order.
        silent: bool,
    },
    /// A control frame was not acknowledged after three sends.
    ControlFailed(LinkHandle, ControlToken),
}

/// A decrypted session datagram.
pub(crate) struct Opened {
    pub(crate) link: LinkHandle,
    /// It is the first datagram under the link's first session.
    pub(crate) up: bool,
}

pub(crate) struct Links {
    table: Table,
    handshakes: Handshakes,
}

impl Links {
    pub(crate) fn new(keys: Arc<RelayKeys>, cx: &Context) -> Self {
        Self {
            table: Table::default(),
            handshakes: Handshakes::new(keys, cx),
        }
    }

    pub(crate) fn get(&self, link: LinkHandle) -> Option<&Link> {
        self.table.get(link)
    }

    pub(crate) fn get_mut(&mut self, link: LinkHandle) -> Option<&mut Link> {
        self.table.get_mut(link)
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn handles(&self) -> Vec<LinkHandle> {
        self.table.handles()
    }

    /// The link to this relay, if one stands or is being made.
    pub(crate) fn of_relay(&self, relay: RelayId) -> Option<LinkHandle> {
        self.table.of_relay(relay)
    }

    /// Returns true if the link has a session that may be used for sending.
    pub(crate) fn is_up(&self, link: LinkHandle) -> bool {
        self.get(link).is_some_and(Link::is_up)
    }

    /// Opens a session datagram in place; the frame then lies at the plaintext's place.
    pub(crate) fn open(
        &mut self,
        cx: &mut Context,
        datagram: &mut Datagram,
    ) -> Result<Opened, DropReason> {
        let SessionHeader { index, .. } =
            SessionHeader::parse(datagram).ok_or(DropReason::Malformed)?;
        let link = self
            .table
            .of_index_mut(index)
            .ok_or(DropReason::UnknownSession)?;
        let handle = link.handle;
        let confirmed = link.sessions.open(cx.mono(), index, datagram)?;
        link.silence.heard(cx.mono());
        let up = confirmed.is_some_and(|slot| self.promote(cx, handle, slot));
        Ok(Opened { link: handle, up })
    }

    /// Makes a session the one that the link sends with. True if it is the link's first.
    fn promote(&mut self, cx: &mut Context, handle: LinkHandle, slot: Slot) -> bool {
        let first = self.table.promote(cx.mono(), handle, slot);
        if let Some(link) = self.get_mut(handle) {
            link.settle(cx);
        }
        first
    }

    /// Encrypts the cell that stands at the datagram's plaintext place and says whereto it goes. A neighbour that is silent
    /// after a cell is probed. Not so after other frames: an acknowledgement that asks for an answer would never end.
    pub(crate) fn seal(
        &mut self,
        cx: &mut Context,
        handle: LinkHandle,
        datagram: &mut Datagram,
    ) -> Result<SocketAddr, DropReason> {
        let link = self.get_mut(handle).ok_or(DropReason::UnknownSession)?;
        let to = link.seal(cx.mono(), datagram)?;
        if let Some(look_at) = link.silence.sent(cx.mono()) {
            cx.timers.set(Timer::LinkProbe(handle), look_at);
        }
        Ok(to)
    }

    /// Sends a frame, or keeps it until there is a session.
    pub(crate) fn send(&mut self, cx: &mut Context, handle: LinkHandle, frame: &FrameBytes) {
        if let Some(link) = self.get_mut(handle) {
            link.send(cx, frame);
        }
    }

    /// Sends a control frame up to three times; `false` at the cap or without the link.
    pub(crate) fn send_control(
        &mut self,
        cx: &mut Context,
        handle: LinkHandle,
        control: &Control,
        token: ControlToken,
    ) -> bool {
        self.get_mut(handle)
            .is_some_and(|link| link.send_control(cx, control, token))
    }

    /// Acknowledges a control frame; true if it is the first copy.
    pub(crate) fn on_control(&mut self, cx: &mut Context, handle: LinkHandle, tag: u32) -> bool {
        self.get_mut(handle).is_some_and(|link| {
            link.send(cx, &frame::encode_ack(tag));
            link.controls.is_first(tag)
        })
    }

    /// The neighbour acknowledged one of our control frames.
    pub(crate) fn on_ack(&mut self, cx: &mut Context, handle: LinkHandle, tag: u32) {
        if let Some(link) = self.get_mut(handle) {
            link.controls.acknowledged(tag);
            link.plan(cx);
        }
    }

    /// Remembers the relay at the other end, once its descriptor is known to fit the link key.
    pub(crate) fn name(&mut self, handle: LinkHandle, descriptor: &Descriptor) {
        self.table.name(handle, descriptor);
    }

    /// Forgets a link. The caller must end whatever ran over it.
    pub(crate) fn remove(
        &mut self,
        cx: &mut Context,
        handle: LinkHandle,
        silent: bool,
    ) -> Option<LinkEvent> {
        let link = self.table.remove(handle)?;
        for timer in [Timer::Link, Timer::LinkProbe, Timer::Gossip] {
            cx.timers.clear(timer(handle));
        }
        Some(LinkEvent::Dead {
            link: handle,
            relay: link.relay,
            silent,
        })
    }

    /// Tells the neighbour that we close this link.
    pub(crate) fn goodbye(&mut self, cx: &mut Context, handle: LinkHandle) {
        if self.is_up(handle) {
            self.send(cx, handle, &frame::encode_goodbye());
        }
    }

    /// The node stops: forgets all links.
    pub(crate) fn forget_all(&mut self, cx: &mut Context) {
        for handle in self.handles() {
            self.remove(cx, handle, false);
        }
    }

    /// One more tunnel uses this link.
    pub(crate) fn add_tunnel(&mut self, cx: &Context, handle: LinkHandle) {
        if let Some(link) = self.get_mut(handle) {
            link.tunnels += 1;
            link.last_used = cx.mono();
        }
    }

    /// One tunnel fewer uses this link.
    pub(crate) fn drop_tunnel(&mut self, cx: &mut Context, handle: LinkHandle) {
        if let Some(link) = self.get_mut(handle) {
            link.tunnels = link.tunnels.saturating_sub(1);
            link.last_used = cx.mono();
            link.plan(cx);
        }
    }

    /// The link's timer fired.
    pub(crate) fn on_timer(
        &mut self,
        cx: &mut Context,
        own: Option<&Descriptor>,
        handle: LinkHandle,
    ) -> Vec<LinkEvent> {
        if let Some(dead) = self.repeat_dial(cx, own, handle) {
            return vec![dead];
        }
        if self.get(handle).is_none_or(|link| link.is_over(cx)) {
            self.goodbye(cx, handle);
            return self.remove(cx, handle, false).into_iter().collect();
        }
        if self.get(handle).is_some_and(|link| link.wants_rekey(cx)) {
            self.start_dial(cx, own, handle, 1);
        }
        let failed = self.get_mut(handle).map(|link| link.tend(cx));
        let failed = failed.unwrap_or_default();
        let mut events = Vec::new();
        if failed.contains(&ControlToken::Probe) {
            events.extend(self.remove(cx, handle, true));
        }
        let failed = failed.into_iter();
        events.extend(failed.map(|token| LinkEvent::ControlFailed(handle, token)));
        events
    }

    /// We sent and heard nothing: probes the neighbour if it is still silent.
    pub(crate) fn on_probe_timer(&mut self, cx: &mut Context, handle: LinkHandle) {
        let Some(link) = self.get_mut(handle) else {
            return;
        };
        let Some((probe, look_at)) = link.silence.look(cx.mono()) else {
            return;
        };
        cx.timers.set(Timer::LinkProbe(handle), look_at);
        if probe && !link.controls.is_probing() {
            link.send_control(cx, &Control::Probe, ControlToken::Probe);
        }
    }
}
