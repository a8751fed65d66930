//! The sessions of one link: one that sends and, around each change, others that only receive (protocol §4.2, §4.4).

use std::{collections::VecDeque, net::SocketAddr};

use deut_common::time::Mono;

use crate::{
    context::Context,
    crypto::session::{SESSION_DATAGRAMS, Session, SessionKeys},
    drop_reason::DropReason,
    wire::datagram::Datagram,
};

/// Number of answered initiations whose session is not confirmed yet; the oldest makes room.
const UNCONFIRMED: usize = 4;
/// Time for which the previous session still receives.
const PREVIOUS_MS: u64 = 10_000;
/// A session that has sent this many datagrams is replaced.
const REKEY_DATAGRAMS: u64 = SESSION_DATAGRAMS / 16 * 15;

/// A session and our index for it.
pub(super) struct Slot {
    pub(super) index: u32,
    session: Session,
    since: Mono,
    /// It receives until this time.
    until: Mono,
    /// We initiated it, so we also replace it.
    ours: bool,
    /// The source of its handshake; a session's address never changes.
    pub(super) address: SocketAddr,
}

impl Slot {
    /// Makes a session from the keys of a handshake and the neighbour's index of it.
    pub(super) fn new(
        cx: &mut Context,
        index: u32,
        (keys, remote_index): (SessionKeys, u32),
        ours: bool,
        address: SocketAddr,
    ) -> Self {
        cx.observers.session_made(address, remote_index, &keys);
        Self {
            index,
            session: Session::new(keys, remote_index),
            since: cx.mono(),
            until: cx.mono().plus_ms(cx.config.times.rekey_ms.1),
            ours,
            address,
        }
    }

    fn rekey_at(&self, cx: &Context) -> Mono {
        self.since.plus_ms(cx.config.times.rekey_ms.0)
    }
}

#[derive(Default)]
pub(super) struct Sessions {
    current: Option<Slot>,
    unconfirmed: VecDeque<Slot>,
    previous: Option<Slot>,
}

impl Sessions {
    /// Returns true if there is a session for sending. From then on there always is one.
    pub(super) const fn is_up(&self) -> bool {
        self.current.is_some()
    }

    /// Our indices of all sessions.
    pub(super) fn indices(&self) -> impl Iterator<Item = u32> {
        let slots = self.current.iter().chain(&self.unconfirmed);
        slots.chain(&self.previous).map(|slot| slot.index)
    }

    /// Opens a datagram under the session with our `index`. Returns the session if the other side confirms it by this.
    pub(super) fn open(
        &mut self,
        now: Mono,
        index: u32,
        datagram: &mut Datagram,
    ) -> Result<Option<Slot>, DropReason> {
        let mut confirmed = self.current.iter_mut().chain(&mut self.previous);
        if let Some(slot) = confirmed.find(|slot| slot.index == index) {
            if now > slot.until {
                return Err(DropReason::SessionExpired);
            }
            slot.session.open(datagram)?;
            return Ok(None);
        }
        let mut unconfirmed = self.unconfirmed.iter_mut().enumerate();
        let (at, slot) = unconfirmed
            .find(|(_, slot)| slot.index == index)
            .ok_or(DropReason::UnknownSession)?;
        slot.session.open(datagram)?;
        Ok(self.unconfirmed.remove(at))
    }

    /// Makes a session the one we send with. Returns our indices of those that ended.
    pub(super) fn promote(&mut self, now: Mono, slot: Slot) -> Vec<u32> {
        let ended = self.unconfirmed.drain(..).chain(self.previous.take());
        let ended = ended.map(|slot| slot.index).collect();
        self.previous = self.current.replace(slot);
        if let Some(previous) = &mut self.previous {
            previous.until = now.plus_ms(PREVIOUS_MS);
        }
        ended
    }

    /// Keeps a session that the other side has to confirm. Returns our index of the one that had to make room.
    pub(super) fn keep_unconfirmed(&mut self, slot: Slot) -> Option<u32> {
        self.unconfirmed.push_back(slot);
        let full = self.unconfirmed.len() > UNCONFIRMED;
        let oldest = if full {
            self.unconfirmed.pop_front()
        } else {
            None
        };
        oldest.map(|slot| slot.index)
    }

    /// Encrypts in place under the current session.
    pub(super) fn seal(&mut self, datagram: &mut Datagram) -> Result<(), DropReason> {
        let slot = self.current.as_mut().ok_or(DropReason::UnknownSession)?;
        slot.session
            .seal(datagram)
            .map_err(|_| DropReason::SessionExpired)
    }

    /// Returns true if the current session has ended and none is about to replace it.
    pub(super) fn are_over(&self, now: Mono) -> bool {
        let expired = |slot: &Slot| now >= slot.until;
        self.current.as_ref().is_some_and(expired) && self.unconfirmed.is_empty()
    }

    /// Returns true if it is up to us to replace the current session now.
    pub(super) fn want_rekey(&self, cx: &Context) -> bool {
        self.current.as_ref().is_some_and(|slot| {
            let old = cx.mono() >= slot.rekey_at(cx) || slot.session.sent() >= REKEY_DATAGRAMS;
            slot.ours && old
        })
    }

    /// The time to replace the current session or, once that is past, its end.
    pub(super) fn next_at(&self, cx: &Context) -> Option<Mono> {
        let slot = self.current.as_ref()?;
        let rekey_at = slot.rekey_at(cx);
        Some(if rekey_at > cx.mono() {
            rekey_at
        } else {
            slot.until
        })
    }
}
