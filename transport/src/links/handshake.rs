//! Making sessions (protocol §4.2, §4.3).

use std::net::SocketAddr;

use super::{
    LinkEvent, Links,
    link::{Dial, Slot},
};
use crate::{
    context::Context,
    crypto::{
        noise::{Responder, initiate, open_initiation},
        session::Session,
    },
    drop_reason::DropReason,
    ids::{LinkHandle, Port},
    packet::Packet,
    policy::Profile,
    wire::{
        datagram::{Datagram, Kind},
        descriptor::Descriptor,
        frame,
    },
};

/// Initiations sent before a dial is given up.
const SENDS: u8 = 3;
/// Seconds that an unknown initiator's clock may be off.
const MOST_OFF_S: u64 = 120;

impl Links {
    /// The link to this relay; a new one is dialled. `None` at the caps.
    pub(crate) fn dial(
        &mut self,
        cx: &mut Context,
        own: Option<&Descriptor>,
        to: &Descriptor,
    ) -> Option<LinkHandle> {
        if let Some(&handle) = self.by_key.get(&to.link) {
            // A descriptor with somebody else's link key gets no link.
            let same = self
                .links
                .get(&handle)
                .is_some_and(|link| link.relay.is_none_or(|relay| relay == to.id()));
            return same.then_some(handle);
        }
        let handle = self.insert(cx, to.link, to.address)?;
        self.name(handle, to);
        if let Some(link) = self.links.get_mut(&handle) {
            link.remote_identity = Some(to.identity);
        }
        if self.start_dial(cx, own, handle, 1) {
            return Some(handle);
        }
        self.remove(cx, handle, false);
        None
    }

    /// A neighbour may have forgotten this link: a session is made anew, and the old one serves meanwhile.
    pub(crate) fn renew(
        &mut self,
        cx: &mut Context,
        own: Option<&Descriptor>,
        handle: LinkHandle,
        identity: Option<[u8; 32]>,
    ) {
        if let Some(link) = self
            .links
            .get_mut(&handle)
            .filter(|link| link.is_up() && link.dial.is_none())
        {
            link.remote_identity = link.remote_identity.or(identity);
            self.start_dial(cx, own, handle, 1);
        }
    }

    /// The wall clock was set: initiations carry the new time, also where it is earlier than that of the last one.
    pub(crate) const fn clock_jumped(&mut self) {
        self.last_time = 0;
    }

    /// Sends an initiation with a key pair and an index of its own, in place of an earlier one.
    pub(super) fn start_dial(
        &mut self,
        cx: &mut Context,
        own: Option<&Descriptor>,
        handle: LinkHandle,
        sends: u8,
    ) -> bool {
        if self.dials >= cx.config.limits.handshakes {
            return false;
        }
        let index = self.fresh_index(cx);
        self.last_time = cx
            .now
            .unix
            .0
            .saturating_mul(1_000_000)
            .max(self.last_time + 1);
        let Some(link) = self.links.get_mut(&handle) else {
            return false;
        };
        let Some(identity) = link.remote_identity else {
            return false;
        };
        let responder = Responder {
            network: cx.config.policy.network,
            identity,
            link: link.remote_key,
        };
        let Ok((initiator, datagram)) = initiate(
            &self.keys,
            &responder,
            index,
            own,
            self.last_time,
            &mut cx.secrets,
        ) else {
            return false;
        };
        let next_at = cx.mono().plus_ms(cx.config.times.handshake_repeat_ms);
        match link.dial.replace(Dial {
            initiator,
            sends,
            next_at,
        }) {
            Some(old) => {
                self.by_index.remove(&old.initiator.index());
            }
            None => self.dials += 1,
        }
        self.by_index.insert(index, handle);
        let to = link.address;
        cx.transmit(Port::Relay, to, Packet::copy_of(&datagram));
        self.plan(cx, handle);
        true
    }

    /// The dial's answer is overdue: once more, or the link is dead.
    pub(super) fn repeat_dial(
        &mut self,
        cx: &mut Context,
        own: Option<&Descriptor>,
        handle: LinkHandle,
    ) -> Option<LinkEvent> {
        let link = self.links.get_mut(&handle)?;
        let sends = link.dial.as_ref()?.sends;
        if sends < SENDS && self.dials <= cx.config.limits.handshakes {
            self.dials = self.dials.saturating_sub(1);
            let old = link.dial.take()?;
            self.by_index.remove(&old.initiator.index());
            if self.start_dial(cx, own, handle, sends + 1) {
                return None;
            }
        }
        if self.is_up(handle) {
            // Rekeying failed: the old session serves until its end.
            self.end_dial(handle);
            return None;
        }
        self.remove(cx, handle, true)
    }

    fn end_dial(&mut self, handle: LinkHandle) {
        let Some(dial) = self
            .links
            .get_mut(&handle)
            .and_then(|link| link.dial.take())
        else {
            return;
        };
        self.by_index.remove(&dial.initiator.index());
        self.dials = self.dials.saturating_sub(1);
    }

    /// Somebody dials us.
    pub(crate) fn on_initiation(
        &mut self,
        cx: &mut Context,
        from: SocketAddr,
        datagram: &Datagram,
    ) -> Result<(), DropReason> {
        self.check_gate(datagram, Kind::HandshakeInit)?;
        let source = match cx.config.policy.profile {
            Profile::Production => SocketAddr::new(from.ip(), 0),
            Profile::Test => from,
        };
        if !self.answered_per_source.take(source, cx.mono()) || !self.answered.take(cx.mono()) {
            return Err(DropReason::RateLimited);
        }
        let opened = open_initiation(
            &self.keys,
            cx.config.policy.network,
            datagram,
            &mut cx.secrets,
        )
        .map_err(|_| DropReason::BadHandshake)?;
        if opened.remote_link == self.keys.link() {
            return Err(DropReason::BadHandshake);
        }
        let remote_link = opened.remote_link;
        let presented = match &opened.descriptor {
            Some(bytes) => Some(Box::new(Descriptor::decode(bytes)?)),
            None => None,
        };
        let fits = |descriptor: &Descriptor| descriptor.link == remote_link;
        if !presented.as_deref().is_none_or(fits) {
            return Err(DropReason::BadHandshake);
        }
        let handle = self.link_for(cx, from, remote_link, opened.time)?;
        self.yield_dial(handle)?;
        let index = self.fresh_index(cx);
        let remote_index = opened.sender_index;
        let (keys, answer) = opened
            .answer(index, &mut cx.secrets)
            .map_err(|_| DropReason::BadHandshake)?;
        cx.observers.session_made(from, remote_index, &keys);
        let slot = Slot {
            index,
            session: Session::new(keys, remote_index),
            since: cx.mono(),
            ours: false,
            address: from,
        };
        if let Some(link) = self.links.get_mut(&handle) {
            link.presented = presented;
            if let Some(gone) = link.keep_unconfirmed(slot) {
                self.by_index.remove(&gone);
            }
        }
        self.by_index.insert(index, handle);
        cx.transmit(Port::Relay, from, Packet::copy_of(&answer));
        self.plan(cx, handle);
        Ok(())
    }

    /// The link of an initiator. A recorded initiation gets none: its time is not above the last one, or far off.
    fn link_for(
        &mut self,
        cx: &Context,
        from: SocketAddr,
        remote: [u8; 32],
        time: u64,
    ) -> Result<LinkHandle, DropReason> {
        let off = cx.now.unix.0.abs_diff(time / 1_000_000);
        let last = self
            .by_key
            .get(&remote)
            .and_then(|handle| self.links.get(handle))
            .map(|link| link.last_time);
        if last.is_some_and(|last| time <= last) || (last.is_none() && off > MOST_OFF_S) {
            return Err(DropReason::Replayed);
        }
        let handle = match self.by_key.get(&remote) {
            Some(&handle) => handle,
            None => self.insert(cx, remote, from).ok_or(DropReason::TableFull)?,
        };
        if let Some(link) = self.links.get_mut(&handle) {
            link.last_time = time;
        }
        Ok(handle)
    }

    /// Both dialled at once: the initiation of the lower link key wins.
    fn yield_dial(&mut self, handle: LinkHandle) -> Result<(), DropReason> {
        let Some(link) = self.links.get(&handle).filter(|link| link.dial.is_some()) else {
            return Ok(());
        };
        if self.keys.link() < link.remote_key {
            return Err(DropReason::HandshakeCrossed);
        }
        self.end_dial(handle);
        Ok(())
    }

    /// The answer to our initiation.
    pub(crate) fn on_answer(
        &mut self,
        cx: &mut Context,
        datagram: &Datagram,
    ) -> Result<Option<LinkEvent>, DropReason> {
        self.check_gate(datagram, Kind::HandshakeAnswer)?;
        let index = crate::wire::datagram::answer_receiver(datagram);
        let handle = *self.by_index.get(&index).ok_or(DropReason::BadHandshake)?;
        let link = self
            .links
            .get_mut(&handle)
            .ok_or(DropReason::BadHandshake)?;
        let dial = link
            .dial
            .as_mut()
            .filter(|dial| dial.initiator.index() == index)
            .ok_or(DropReason::BadHandshake)?;
        let (keys, remote_index) = dial
            .initiator
            .open_answer(datagram)
            .map_err(|_| DropReason::BadHandshake)?;
        link.dial = None;
        self.dials = self.dials.saturating_sub(1);
        cx.observers.session_made(link.address, remote_index, &keys);
        let slot = Slot {
            index,
            session: Session::new(keys, remote_index),
            since: cx.mono(),
            ours: true,
            address: link.address,
        };
        let opened = link.promote(cx.mono(), slot);
        for gone in opened.superseded {
            self.by_index.remove(&gone);
        }
        self.settle(cx, handle);
        if opened.first {
            return Ok(Some(LinkEvent::Up(handle)));
        }
        // The responder uses the new session only after it has heard us under it.
        self.send(cx, handle, &frame::encode_keep_alive());
        Ok(None)
    }
}
