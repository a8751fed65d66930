//! Deadlines, at most one per key, served in the order of time.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use deut_common::time::Mono;

use crate::ids::{
    CallGroup, CallTicket, LinkHandle, PoolId, RelayedId, ServedId, TunnelHandle, WalkId,
};

/// The owner of a deadline, which has at most one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Resends, rekeying and idleness of a link.
    Link(LinkHandle),
    /// Looks at a link that sent and heard nothing.
    LinkProbe(LinkHandle),
    /// Gossip to a neighbour.
    Gossip(LinkHandle),
    /// WhoAreYou questions: repeat or give up.
    Directory,
    /// The next round of the bootstrap list.
    Bootstrap,
    /// A walk request: send it, or give it up.
    Walk(WalkId),
    /// Idleness and end of a relayed tunnel.
    Relayed(RelayedId),
    /// Idleness and end of a tunnel that ends here.
    Served(ServedId),
    /// Ports that have rested.
    Ports,
    /// A HELLO: repeat or give up.
    Hello(SocketAddr),
    /// One of our tunnels: exchange, requests, echo, end.
    Tunnel(TunnelHandle),
    /// The next build of a pool.
    Pool(PoolId),
    /// A call: send another copy, or fail.
    Call(CallTicket),
    /// The reply tunnels of a group.
    Group(CallGroup),
    /// Requests that may be forgotten.
    Requests,
    /// Issues our own descriptor anew.
    Descriptor,
    /// Saves the directory.
    Persist,
}

impl Timer {
    /// Text for `Wait { why }`.
    pub(crate) const fn why(self) -> &'static str {
        match self {
            Self::Link(_) => "link",
            Self::LinkProbe(_) => "link probe",
            Self::Gossip(_) => "gossip",
            Self::Directory => "directory",
            Self::Bootstrap => "bootstrap",
            Self::Walk(_) => "walk",
            Self::Relayed(_) => "relayed tunnel",
            Self::Served(_) => "served tunnel",
            Self::Ports => "resting ports",
            Self::Hello(_) => "HELLO",
            Self::Tunnel(_) => "own tunnel",
            Self::Pool(_) => "pool",
            Self::Call(_) => "call",
            Self::Group(_) => "reply tunnels",
            Self::Requests => "remembered requests",
            Self::Descriptor => "own descriptor",
            Self::Persist => "persist",
        }
    }
}

/// The deadlines of one node.
#[derive(Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Mono, Timer)>,
    by_key: BTreeMap<Timer, Mono>,
}

impl Timers {
    /// Sets or moves the deadline of a key.
    pub(crate) fn set(&mut self, key: Timer, at: Mono) {
        if let Some(old) = self.by_key.insert(key, at) {
            if old == at {
                return;
            }
            self.by_time.remove(&(old, key));
        }
        self.by_time.insert((at, key));
    }

    /// Sets the deadline if the key has none or a later one.
    pub(crate) fn set_earlier(&mut self, key: Timer, at: Mono) {
        if self.by_key.get(&key).is_none_or(|&old| at < old) {
            self.set(key, at);
        }
    }

    /// Removes the deadline of a key.
    pub(crate) fn clear(&mut self, key: Timer) {
        if let Some(old) = self.by_key.remove(&key) {
            self.by_time.remove(&(old, key));
        }
    }

    /// The next deadline.
    pub(crate) fn next(&self) -> Option<(Mono, Timer)> {
        self.by_time.first().copied()
    }

    /// Removes and returns one key whose time has come.
    pub(crate) fn pop_due(&mut self, now: Mono) -> Option<Timer> {
        let (at, key) = self.next()?;
        if at > now {
            return None;
        }
        self.clear(key);
        Some(key)
    }

    /// Removes all deadlines.
    pub(crate) fn clear_all(&mut self) {
        self.by_time.clear();
        self.by_key.clear();
    }

    /// Number of deadlines.
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_deadline_and_the_earliest_comes_first() {
        let mut timers = Timers::default();
        timers.set(Timer::Persist, Mono(30));
        timers.set(Timer::Ports, Mono(20));
        timers.set(Timer::Persist, Mono(10));
        timers.set_earlier(Timer::Ports, Mono(25));
        assert_eq!(timers.len(), 2);
        assert_eq!(timers.next(), Some((Mono(10), Timer::Persist)));
        assert_eq!(timers.pop_due(Mono(9)), None);
        assert_eq!(timers.pop_due(Mono(100)), Some(Timer::Persist));
        assert_eq!(timers.pop_due(Mono(100)), Some(Timer::Ports));
        assert_eq!(timers.pop_due(Mono(100)), None);
    }
}
