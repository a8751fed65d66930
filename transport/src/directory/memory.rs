//! Relays that proved themselves once and do not answer now. One that fell silent is asked once more when it may have been
//! slow; while nobody at all is known all of them are asked again and again, a few at a time: then it is more likely our own
//! network that is gone than all of them. Only who was verified comes in here, so nothing can be aimed at a third party.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use deut_common::{
    ids::RelayId,
    time::{Mono, Unix},
};

use super::host_of;
use crate::{context::Context, wire::descriptor::Descriptor};

/// Relays that fell silent are asked once more after so long.
const LOST_MS: u64 = 10_001;
/// Asked in one round while nobody is known.
const AT_ONCE: usize = 32;
/// Whose descriptor ended so long ago is forgotten, but only once others are known.
const KEPT_MINUTES: u32 = 7 * 1_440;

struct Remembered {
    descriptor: Arc<Descriptor>,
    host: SocketAddr,
    /// When to ask it once more.
    once_at: Option<Mono>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Memory {
    /// Oldest first; one of each host, so that no machine can push out the others.
    relays: VecDeque<Remembered>,
    /// Where the next round begins.
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

    /// As [`Memory::add`], for one that may only have been slow; when it is to be asked.
    pub(super) fn add_lost(&mut self, cx: &Context, descriptor: Arc<Descriptor>) -> Mono {
        let at = cx.mono().plus_ms(LOST_MS);
        self.add(cx, descriptor);
        if let Some(added) = self.relays.back_mut() {
            added.once_at = Some(at);
        }
        at
    }

    /// A relay is verified: it and whoever was at its address before are known or gone.
    pub(super) fn forget(&mut self, relay: RelayId, address: SocketAddr) {
        self.relays
            .retain(|other| other.descriptor.id() != relay && other.descriptor.address != address);
    }

    /// Others are known, and these were not heard of for a week.
    pub(super) fn forget_old(&mut self, now: Unix) {
        let minutes = u32::try_from(now.0 / 60).unwrap_or(u32::MAX);
        self.relays
            .retain(|other| other.descriptor.expiry.saturating_add(KEPT_MINUTES) >= minutes);
    }

    /// Those that are to be asked once more now.
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

    /// When the next one is to be asked once more.
    pub(super) fn next_due(&self) -> Option<Mono> {
        self.relays.iter().filter_map(|lost| lost.once_at).min()
    }

    /// The next few, round and round.
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

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Descriptor>> {
        self.newest(usize::MAX)
    }

    /// So many of the newest, oldest first.
    pub(super) fn newest(&self, count: usize) -> impl Iterator<Item = &Arc<Descriptor>> {
        let skipped = self.relays.len().saturating_sub(count);
        let newest = self.relays.iter().skip(skipped);
        newest.map(|remembered| &remembered.descriptor)
    }
}
