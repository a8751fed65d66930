//! The links by handle, and the indexes by which they are found.

use std::{collections::BTreeMap, net::SocketAddr};

use deut_common::{ids::RelayId, time::Mono};
use rand::Rng;

use super::{
    link::{Dial, Link},
    sessions::Slot,
};
use crate::{context::Context, ids::LinkHandle, wire::descriptor::Descriptor};

#[derive(Default)]
pub(super) struct Table {
    by_handle: BTreeMap<LinkHandle, Box<Link>>,
    by_key: BTreeMap<[u8; 32], LinkHandle>,
    by_relay: BTreeMap<RelayId, LinkHandle>,
    /// By our index of each session and dial.
    by_index: BTreeMap<u32, LinkHandle>,
    /// Number of links that have a dial.
    dials: usize,
    next: u64,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.by_handle.len()
    }

    pub(super) const fn dials(&self) -> usize {
        self.dials
    }

    pub(super) fn handles(&self) -> Vec<LinkHandle> {
        self.by_handle.keys().copied().collect()
    }

    pub(super) fn get(&self, handle: LinkHandle) -> Option<&Link> {
        self.by_handle.get(&handle).map(Box::as_ref)
    }

    pub(super) fn get_mut(&mut self, handle: LinkHandle) -> Option<&mut Link> {
        self.by_handle.get_mut(&handle).map(Box::as_mut)
    }

    pub(super) fn of_key(&self, key: &[u8; 32]) -> Option<&Link> {
        self.by_key.get(key).and_then(|&handle| self.get(handle))
    }

    pub(super) fn of_relay(&self, relay: RelayId) -> Option<LinkHandle> {
        self.by_relay.get(&relay).copied()
    }

    pub(super) fn of_index_mut(&mut self, index: u32) -> Option<&mut Link> {
        let handle = *self.by_index.get(&index)?;
        self.get_mut(handle)
    }

    /// A random index that no session and no dial has.
    pub(super) fn fresh_index(&self, cx: &mut Context) -> u32 {
        loop {
            let index = cx.secrets.next_u32();
            if index != 0 && !self.by_index.contains_key(&index) {
                return index;
            }
        }
    }

    /// Adds a link to the owner of a key that has none yet; `None` at the cap.
    pub(super) fn insert(
        &mut self,
        cx: &Context,
        key: [u8; 32],
        address: SocketAddr,
    ) -> Option<&mut Link> {
        if self.len() >= cx.config.limits.links {
            return None;
        }
        self.next += 1;
        let handle = LinkHandle(self.next);
        self.by_key.insert(key, handle);
        let link = Box::new(Link::new(cx, handle, key, address));
        Some(self.by_handle.entry(handle).or_insert(link))
    }

    pub(super) fn remove(&mut self, handle: LinkHandle) -> Option<Box<Link>> {
        self.end_dial(handle);
        let link = self.by_handle.remove(&handle)?;
        self.by_key.remove(&link.key);
        self.forget_indices(link.sessions.indices());
        if let Some(relay) = link.relay
            && self.of_relay(relay) == Some(handle)
        {
            self.by_relay.remove(&relay);
        }
        Some(link)
    }

    /// Remembers the relay at the other end, if its descriptor shows the link key.
    pub(super) fn name(&mut self, handle: LinkHandle, descriptor: &Descriptor) {
        let link = self.get_mut(handle);
        if let Some(link) = link.filter(|link| link.key == descriptor.link) {
            link.relay = Some(descriptor.id());
            self.by_relay.insert(descriptor.id(), handle);
        }
    }

    /// Puts an initiation on a link that has none.
    pub(super) fn start_dial(&mut self, handle: LinkHandle, dial: Dial) {
        let index = dial.initiator.index();
        if let Some(link) = self.get_mut(handle) {
            link.dial = Some(dial);
            self.by_index.insert(index, handle);
            self.dials += 1;
        }
    }

    pub(super) fn end_dial(&mut self, handle: LinkHandle) {
        let link = self.get_mut(handle);
        if let Some(dial) = link.and_then(|link| link.dial.take()) {
            self.by_index.remove(&dial.initiator.index());
            self.dials = self.dials.saturating_sub(1);
        }
    }

    /// Keeps a session that the other side has to confirm.
    pub(super) fn keep_unconfirmed(&mut self, handle: LinkHandle, slot: Slot) {
        let index = slot.index;
        if let Some(link) = self.get_mut(handle) {
            let ended = link.sessions.keep_unconfirmed(slot);
            self.by_index.insert(index, handle);
            self.forget_indices(ended);
        }
    }

    /// Makes a session the one that the link sends with. True if it is the link's first.
    pub(super) fn promote(&mut self, now: Mono, handle: LinkHandle, slot: Slot) -> bool {
        let index = slot.index;
        let Some(link) = self.get_mut(handle) else {
            return false;
        };
        let first = !link.is_up();
        link.address = slot.address;
        let ended = link.sessions.promote(now, slot);
        self.by_index.insert(index, handle);
        self.forget_indices(ended);
        first
    }

    fn forget_indices(&mut self, indices: impl IntoIterator<Item = u32>) {
        for index in indices {
            self.by_index.remove(&index);
        }
    }
}

#[cfg(test)]
mod tests;
