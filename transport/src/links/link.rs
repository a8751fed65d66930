//! One link: its sessions and its waiting frames.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use deut_common::{
    buckets::Bucket,
    ids::RelayId,
    time::{Mono, Now},
};

use super::control::InFlight;
use crate::{
    context::Context,
    crypto::{noise::Initiator, session::Session},
    drop_reason::DropReason,
    packet::{Packet, RELAY_DATAGRAM},
    policy::Profile,
    wire::{descriptor::Descriptor, frame::FrameBytes},
};

/// A neighbour that is silent for so long after a cell is probed, unless it was heard just before: cells mostly go one
/// way, and a probe for each of them would double the traffic of a quiet network.
pub(super) const SILENCE_MS: u64 = 1_500;
const HEARD_MS: u64 = 20_000;
/// Frames that wait for a session.
const WAITING: usize = 32;
/// Answered initiations whose session is not confirmed yet; the oldest leaves.
const UNCONFIRMED: usize = 4;
/// The previous session still receives for so long.
const PREVIOUS_MS: u64 = 10_000;
/// Tags of control frames that are remembered.
const TAGS: usize = 256;
/// A session ends after so many datagrams.
pub(super) const SESSION_DATAGRAMS: u64 = 1 << 20;

/// A handshake that we started.
pub(super) struct Dial {
    pub(super) initiator: Initiator,
    pub(super) sends: u8,
    pub(super) next_at: Mono,
}

/// A session with our index for it.
pub(super) struct Slot {
    pub(super) index: u32,
    pub(super) session: Session,
    pub(super) since: Mono,
    /// We initiated it, so we replace it.
    pub(super) ours: bool,
    /// Where its handshake came from; a session's address never changes.
    pub(super) address: SocketAddr,
}

/// What opening a datagram did to the sessions.
#[derive(Default)]
pub(super) struct LinkOpened {
    /// A new session took effect.
    pub(super) promoted: bool,
    /// And it is the link's first.
    pub(super) first: bool,
    /// Indices of sessions that ended.
    pub(super) superseded: Vec<u32>,
}

/// The state of one link.
pub(crate) struct Link {
    pub(crate) remote_key: [u8; 32],
    pub(crate) address: SocketAddr,
    /// Which relay, if it showed a descriptor that fits its link key.
    pub(crate) relay: Option<RelayId>,
    /// Own, relayed and served tunnels over it.
    pub(crate) tunnels: usize,
    pub(crate) last_used: Mono,
    /// Walk requests that the neighbour may send.
    pub(crate) walks: Bucket,
    pub(super) dial: Option<Dial>,
    pub(super) current: Option<Slot>,
    pub(super) unconfirmed: VecDeque<Slot>,
    pub(super) previous: Option<(Slot, Mono)>,
    pub(super) in_flight: BTreeMap<u32, InFlight>,
    waiting: VecDeque<Box<FrameBytes>>,
    tags: VecDeque<u32>,
    /// When we first sent after having last heard something.
    silent_since: Option<Mono>,
    probe_armed: bool,
    last_heard: Mono,
    pub(super) last_sent: Mono,
    /// Was up once: its next session is a rekeying.
    pub(super) was_up: bool,
    /// The descriptor of the initiation, until the session is confirmed.
    pub(crate) presented: Option<Box<Descriptor>>,
    /// The identity key to dial it under.
    pub(super) remote_identity: Option<[u8; 32]>,
    /// The highest `time` of an initiation of theirs.
    pub(super) last_time: u64,
}

impl Link {
    pub(super) fn new(remote_key: [u8; 32], address: SocketAddr, cx: &Context) -> Self {
        let (rate, burst) = cx.config.limits.walks_per_neighbour;
        // In a network of sixteen every neighbour carries the walks of thousands.
        let times = if cx.config.policy.profile == Profile::Test {
            8
        } else {
            1
        };
        Self {
            remote_key,
            address,
            relay: None,
            tunnels: 0,
            last_used: cx.mono(),
            walks: Bucket::new((rate * times, burst * times), cx.mono()),
            dial: None,
            current: None,
            unconfirmed: VecDeque::new(),
            previous: None,
            in_flight: BTreeMap::new(),
            waiting: VecDeque::new(),
            tags: VecDeque::new(),
            silent_since: None,
            probe_armed: false,
            last_heard: cx.mono(),
            last_sent: cx.mono(),
            was_up: false,
            presented: None,
            remote_identity: None,
            last_time: 0,
        }
    }

    /// A session stands that may be used for sending.
    pub(crate) const fn is_up(&self) -> bool {
        self.current.is_some()
    }

    /// All our indices in use.
    pub(super) fn indices(&self) -> Vec<u32> {
        let dial = self.dial.as_ref().map(|dial| dial.initiator.index());
        let slots = self
            .current
            .iter()
            .chain(&self.unconfirmed)
            .chain(self.previous.iter().map(|(slot, _)| slot));
        slots.map(|slot| slot.index).chain(dial).collect()
    }

    /// Opens a datagram under the session with our `index`.
    pub(super) fn open(
        &mut self,
        cx: &Context,
        index: u32,
        datagram: &mut [u8; RELAY_DATAGRAM],
    ) -> Result<LinkOpened, DropReason> {
        let now = cx.mono();
        let life_us = cx.config.times.rekey_ms.1 * 1_000;
        let mut opened = LinkOpened::default();
        if let Some(slot) = self.current.as_mut().filter(|slot| slot.index == index) {
            if now.since(slot.since) > life_us {
                return Err(DropReason::SessionExpired);
            }
            slot.session.open(datagram)?;
        } else if let Some((slot, until)) = self
            .previous
            .as_mut()
            .filter(|(slot, _)| slot.index == index)
        {
            if now > *until {
                return Err(DropReason::SessionExpired);
            }
            slot.session.open(datagram)?;
        } else {
            let at = self
                .unconfirmed
                .iter()
                .position(|slot| slot.index == index)
                .ok_or(DropReason::UnknownSession)?;
            self.unconfirmed
                .get_mut(at)
                .ok_or(DropReason::UnknownSession)?
                .session
                .open(datagram)?;
            if let Some(slot) = self.unconfirmed.remove(at) {
                opened = self.promote(now, slot);
            }
        }
        self.silent_since = None;
        self.last_heard = now;
        Ok(opened)
    }

    /// Makes a session the one we send with.
    pub(super) fn promote(&mut self, now: Mono, slot: Slot) -> LinkOpened {
        let mut superseded: Vec<u32> = self.unconfirmed.drain(..).map(|slot| slot.index).collect();
        if let Some((older, _)) = self.previous.take() {
            superseded.push(older.index);
        }
        self.address = slot.address;
        self.previous = self
            .current
            .replace(slot)
            .map(|old| (old, now.plus_ms(PREVIOUS_MS)));
        let first = !std::mem::replace(&mut self.was_up, true);
        LinkOpened {
            promoted: true,
            first,
            superseded,
        }
    }

    /// Keeps a session that the other side has to confirm; gives the index of one that had to leave.
    pub(super) fn keep_unconfirmed(&mut self, slot: Slot) -> Option<u32> {
        self.unconfirmed.push_back(slot);
        if self.unconfirmed.len() > UNCONFIRMED {
            self.unconfirmed.pop_front().map(|slot| slot.index)
        } else {
            None
        }
    }

    /// Encrypts in place under the current session.
    pub(super) fn seal(&mut self, now: Now, packet: &mut Packet) -> Result<SocketAddr, DropReason> {
        let slot = self.current.as_mut().ok_or(DropReason::UnknownSession)?;
        if slot.session.sent() >= SESSION_DATAGRAMS {
            return Err(DropReason::SessionExpired);
        }
        slot.session
            .seal(packet)
            .map_err(|_| DropReason::SessionExpired)?;
        self.last_sent = now.mono;
        Ok(self.address)
    }

    /// Called after sending: whether a probe has to be planned.
    pub(super) const fn starts_silence(&mut self, now: Mono) -> bool {
        if self.silent_since.is_none() {
            self.silent_since = Some(now);
        }
        !std::mem::replace(&mut self.probe_armed, true)
    }

    /// The planned probe is due: when to look again (`Err`), or that it must be sent now (`Ok`), or nothing.
    pub(super) fn probe_due(&mut self, now: Mono) -> Option<Result<(), Mono>> {
        self.probe_armed = false;
        let since = self.silent_since?;
        self.probe_armed = true;
        let due = since
            .plus_ms(SILENCE_MS)
            .max(self.last_heard.plus_ms(HEARD_MS));
        Some(if now < due { Err(due) } else { Ok(()) })
    }

    /// The neighbour has been silent since we sent.
    pub(super) const fn is_silent(&self) -> bool {
        self.silent_since.is_some()
    }

    /// Keeps a frame until the session stands.
    pub(super) fn wait(&mut self, frame: &FrameBytes) {
        if self.waiting.len() < WAITING {
            self.waiting.push_back(Box::new(*frame));
        }
    }

    pub(super) fn take_waiting(&mut self) -> VecDeque<Box<FrameBytes>> {
        std::mem::take(&mut self.waiting)
    }

    /// Whether this tag of a control frame is new.
    pub(super) fn first_sight(&mut self, tag: u32) -> bool {
        if self.tags.contains(&tag) {
            return false;
        }
        self.tags.push_back(tag);
        if self.tags.len() > TAGS {
            self.tags.pop_front();
        }
        true
    }
}
