//! Relays that were verified once and do not answer now. A relay that fell silent is asked once more, since it may only have been
//! slow. While no relay at all is known, all of them are asked again and again, a few at a time: our own network is then more
//! likely to be gone than all of them. Only verified relays come in here, so nothing can be aimed at a third party.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use deut_common::{
    ids::RelayId,
    time::{Mono, Unix},
};

use super::host_of;
use crate::{context::Context, wire::descriptor::Descriptor};

/// Time after which a relay that fell silent is asked once more.
const LOST_MS: u64 = 10_001;
/// Number of relays asked in one round while no relay is known.
const AT_ONCE: usize = 32;
/// A relay whose descriptor ended this long ago is forgotten, but only once others are known.
const KEPT_MINUTES: u32 = 7 * 1_440;

struct Remembered {
    descriptor: Arc<Descriptor>,
    host: SocketAddr,
    /// Time to ask it once more.
    once_at: Option<Mono>,
}

#[derive(Default)]
pub(super) struct Memory {
    /// Oldest first. There is one of each host, so that no machine can push out the others.
    relays: VecDeque<Remembered>,
    /// Index at which the next round begins.
    turn: usize,
}

impl Memory {
    pub(super) fn len(&self) -> usize {
        self.relays.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.relays.is_empty()
    }

    /// Remembers a relay; at the cap the oldest leaves.
    pub(super) fn add(&mut self, cx: &Context, descriptor: Arc<Descriptor>) {
        let host = host_of(cx.config.policy.profile, descriptor.address);
        self.relays.retain(|other| other.host != host);
        self.relays.push_back(Remembered {
            descriptor,
            host,
            once_at: None,
        });
        while self.relays.len() > cx.config.limits.relays_remembered {
            self.relays.pop_front();
        }
    }

    /// Like [`Memory::add`], for a relay that may only have been slow. Returns the time to ask it again.
    pub(super) fn add_lost(&mut self, cx: &Context, descriptor: Arc<Descriptor>) -> Mono {
        let at = cx.mono().plus_ms(LOST_MS);
        self.add(cx, descriptor);
        if let Some(added) = self.relays.back_mut() {
            added.once_at = Some(at);
        }
        at
    }

    /// A relay is verified: neither it nor any that was at its address before is to be remembered.
    pub(super) fn forget(&mut self, relay: RelayId, address: SocketAddr) {
        self.relays
            .retain(|other| other.descriptor.id() != relay && other.descriptor.address != address);
    }

    /// Forgets the relays whose descriptors ended a week ago. Call it only once other relays are known.
    pub(super) fn forget_old(&mut self, now: Unix) {
        let minutes = u32::try_from(now.0 / 60).unwrap_or(u32::MAX);
        self.relays
            .retain(|other| other.descriptor.expiry.saturating_add(KEPT_MINUTES) >= minutes);
    }

    /// The addresses to ask once more now.
    pub(super) fn take_due(&mut self, now: Mono) -> Vec<SocketAddr> {
        let due = self
            .relays
            .iter_mut()
            .filter(|lost| lost.once_at.is_some_and(|at| at <= now));
        due.map(|lost| {
            lost.once_at = None;
            lost.descriptor.address
        })
        .collect()
    }

    /// The time of the next of these questions.
    pub(super) fn next_due(&self) -> Option<Mono> {
        self.relays.iter().filter_map(|lost| lost.once_at).min()
    }

    /// The next few addresses, in turn.
    pub(super) fn round(&mut self) -> Vec<SocketAddr> {
        let count = self.relays.len().min(AT_ONCE);
        let turn = self.turn;
        self.turn = turn.wrapping_add(count);
        let at = |number: usize| turn.wrapping_add(number).checked_rem(self.relays.len());
        (0..count)
            .filter_map(|number| self.relays.get(at(number)?))
            .map(|remembered| remembered.descriptor.address)
            .collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Descriptor>> {
        self.newest(usize::MAX)
    }

    /// The newest `count` relays, oldest first.
    pub(super) fn newest(&self, count: usize) -> impl Iterator<Item = &Arc<Descriptor>> {
        let skipped = self.relays.len().saturating_sub(count);
        let newest = self.relays.iter().skip(skipped);
        newest.map(|remembered| &remembered.descriptor)
    }
}
