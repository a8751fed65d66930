//! Sessions are made: we dial or are dialled (protocol §4.2, §4.3).

use std::net::SocketAddr;

use super::{LinkEvent, Links, link::Dial, sessions::Slot};
use crate::{
    context::Context,
    crypto::noise::InitiationOpened,
    drop_reason::DropReason,
    ids::{LinkHandle, Port},
    packet::Packet,
    wire::{
        datagram::{Datagram, Kind, answer_receiver},
        descriptor::Descriptor,
        frame,
    },
};

/// Number of initiations sent before a dial is given up.
const SENDS: u8 = 3;
/// Seconds by which the clock of an unknown initiator may be off.
const MOST_OFF_S: u64 = 120;

impl Links {
    /// The link to this relay, which is dialled if there is none. `None` at the caps.
    pub(crate) fn dial(
        &mut self,
        cx: &mut Context,
        own: Option<&Descriptor>,
        to: &Descriptor,
    ) -> Option<LinkHandle> {
        if let Some(link) = self.table.of_key(&to.link) {
            // A descriptor that shows somebody else's link key gets no link.
            let same = link.relay.is_none_or(|relay| relay == to.id());
            return same.then_some(link.handle);
        }
        let link = self.table.insert(cx, to.link, to.address)?;
        link.identity = Some(to.identity);
        let handle = link.handle;
        self.table.name(handle, to);
        if self.start_dial(cx, own, handle, 1) {
            return Some(handle);
        }
        self.remove(cx, handle, false);
        None
    }

    /// Makes a new session, since the neighbour may have forgotten this link. The old session serves meanwhile.
    pub(crate) fn renew(
        &mut self,
        cx: &mut Context,
        own: Option<&Descriptor>,
        handle: LinkHandle,
        identity: Option<[u8; 32]>,
    ) {
        let link = self.get_mut(handle);
        if let Some(link) = link.filter(|link| link.is_up() && link.dial.is_none()) {
            link.identity = link.identity.or(identity);
            self.start_dial(cx, own, handle, 1);
        }
    }

    pub(crate) const fn clock_jumped(&mut self) {
        self.handshakes.clock_jumped();
    }

    /// Sends an initiation, with a key pair and an index of its own, on a link that has no dial yet.
    pub(super) fn start_dial(
        &mut self,
        cx: &mut Context,
        own: Option<&Descriptor>,
        handle: LinkHandle,
        sends: u8,
    ) -> bool {
        if self.table.dials() >= cx.config.limits.handshakes {
            return false;
        }
        let index = self.table.fresh_index(cx);
        let Some(link) = self.table.get(handle) else {
            return false;
        };
        let Some((initiator, datagram)) = self.handshakes.initiate(cx, own, link, index) else {
            return false;
        };
        cx.transmit(Port::Relay, link.address, Packet::copy_of(&datagram));
        let next_at = cx.mono().plus_ms(cx.config.times.handshake_repeat_ms);
        let dial = Dial {
            initiator,
            sends,
            next_at,
        };
        self.table.start_dial(handle, dial);
        if let Some(link) = self.get(handle) {
            link.plan(cx);
        }
        true
    }

    /// Repeats the initiation if its answer is overdue. After the last send the link is dead, unless a session is up.
    pub(super) fn repeat_dial(
        &mut self,
        cx: &mut Context,
        own: Option<&Descriptor>,
        handle: LinkHandle,
    ) -> Option<LinkEvent> {
        let dial = self.get(handle)?.dial.as_ref();
        let sends = dial.filter(|dial| dial.next_at <= cx.mono())?.sends;
        self.table.end_dial(handle);
        let again = sends < SENDS && self.start_dial(cx, own, handle, sends + 1);
        // If rekeying fails, the old session serves until its end.
        if again || self.is_up(handle) {
            return None;
        }
        self.remove(cx, handle, true)
    }

    /// A neighbour dials us.
    pub(crate) fn on_initiation(
        &mut self,
        cx: &mut Context,
        from: SocketAddr,
        datagram: &Datagram,
    ) -> Result<(), DropReason> {
        let opened = self.handshakes.open(cx, from, datagram)?;
        let presented = opened.descriptor.as_ref().map(Descriptor::decode);
        let presented = presented.transpose()?.map(Box::new);
        let handle = self.link_for(cx, from, &opened)?;
        self.yield_dial(handle)?;
        let index = self.table.fresh_index(cx);
        let remote_index = opened.sender_index;
        let (keys, answer) = opened
            .answer(index, &mut cx.secrets)
            .map_err(|_| DropReason::BadHandshake)?;
        let slot = Slot::new(cx, index, (keys, remote_index), false, from);
        self.table.keep_unconfirmed(handle, slot);
        cx.transmit(Port::Relay, from, Packet::copy_of(&answer));
        if let Some(link) = self.get_mut(handle) {
            link.presented = presented;
            link.plan(cx);
        }
        Ok(())
    }

    /// The link of an initiator. A recorded initiation gets none: its time is not above the last one, or too far off.
    fn link_for(
        &mut self,
        cx: &Context,
        from: SocketAddr,
        initiator: &InitiationOpened,
    ) -> Result<LinkHandle, DropReason> {
        let (key, time) = (initiator.remote_link, initiator.time);
        let off = cx.now.unix.0.abs_diff(time / 1_000_000);
        let known = self.table.of_key(&key);
        if known.map_or(off > MOST_OFF_S, |link| time <= link.last_time) {
            return Err(DropReason::Replayed);
        }
        let link = match known.map(|link| link.handle) {
            Some(handle) => self.table.get_mut(handle),
            None => self.table.insert(cx, key, from),
        };
        let link = link.ok_or(DropReason::TableFull)?;
        link.last_time = time;
        Ok(link.handle)
    }

    /// Both sides dialled at once: one gives way.
    fn yield_dial(&mut self, handle: LinkHandle) -> Result<(), DropReason> {
        let dialled = self.get(handle).filter(|link| link.dial.is_some());
        if dialled.is_some_and(|link| self.handshakes.wins_over(link)) {
            return Err(DropReason::HandshakeCrossed);
        }
        self.table.end_dial(handle);
        Ok(())
    }

    pub(crate) fn on_answer(
        &mut self,
        cx: &mut Context,
        datagram: &Datagram,
    ) -> Result<Option<LinkEvent>, DropReason> {
        self.handshakes
            .check_mac1(datagram, Kind::HandshakeAnswer)?;
        let index = answer_receiver(datagram);
        let link = self
            .table
            .of_index_mut(index)
            .ok_or(DropReason::BadHandshake)?;
        let (handle, address) = (link.handle, link.address);
        let dial = link.dial.as_mut().ok_or(DropReason::BadHandshake)?;
        let agreed = dial
            .initiator
            .open_answer(datagram)
            .map_err(|_| DropReason::BadHandshake)?;
        self.table.end_dial(handle);
        let slot = Slot::new(cx, index, agreed, true, address);
        if self.promote(cx, handle, slot) {
            return Ok(Some(LinkEvent::Up(handle)));
        }
        // The responder uses the new session only after it has received a datagram under it.
        self.send(cx, handle, &frame::encode_keep_alive());
        Ok(None)
    }
}
