//! Address translation in front of one node.
//!
//! It maps ports and lets in only what was asked for: from addresses and ports that the node wrote to a short while ago.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

/// How a translator chooses its outer ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// One outer port per inner one (RFC 4787's endpoint-independent mapping).
    EndpointIndependent,
    /// One outer port per inner one and destination.
    Symmetric,
}

/// A mapping that was not used from inside for so long is forgotten (UDP translators at home: 30 s and more).
pub(super) const LIFE_US: u64 = 30_000_000;
const FIRST_PORT: u16 = 20_000;

/// One translator.
#[derive(Clone, Debug)]
pub(super) struct Nat {
    pub(super) outer: IpAddr,
    pub(super) mapping: Mapping,
    life_us: u64,
    /// (inner port, destination if it matters) to outer port.
    outward: BTreeMap<(u16, Option<SocketAddr>), u16>,
    /// Outer port to inner port and to whom was written, and when.
    inward: BTreeMap<u16, (u16, BTreeMap<SocketAddr, u64>)>,
    next: u16,
}

impl Nat {
    pub(super) fn new(outer: IpAddr, mapping: Mapping, life_us: u64) -> Self {
        Self {
            outer,
            mapping,
            life_us,
            outward: BTreeMap::new(),
            inward: BTreeMap::new(),
            next: FIRST_PORT,
        }
    }

    /// A datagram goes out; the address that the receiver sees.
    pub(super) fn outward(&mut self, inner: u16, to: SocketAddr, now: u64) -> SocketAddr {
        let key = (inner, (self.mapping == Mapping::Symmetric).then_some(to));
        let fresh = self.outward.get(&key).copied().filter(|port| {
            let uses = self.inward.get(port).map(|(_, to)| to);
            uses.is_some_and(|to| to.values().any(|at| now < at + self.life_us))
        });
        let port = fresh.unwrap_or_else(|| {
            if let Some(old) = self.outward.remove(&key) {
                self.inward.remove(&old);
            }
            self.next = self.next.checked_add(1).unwrap_or(FIRST_PORT);
            self.outward.insert(key, self.next);
            self.next
        });
        let (_, written) = self
            .inward
            .entry(port)
            .or_insert_with(|| (inner, BTreeMap::new()));
        written.retain(|_, at| now < *at + self.life_us);
        written.insert(to, now);
        SocketAddr::new(self.outer, port)
    }

    /// A datagram comes to an outer port; the inner one, if it may pass.
    pub(super) fn inward(&self, port: u16, from: SocketAddr, now: u64) -> Option<u16> {
        let (inner, written) = self.inward.get(&port)?;
        let at = written.get(&from)?;
        (now < at + self.life_us).then_some(*inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    fn nat(mapping: Mapping) -> Nat {
        Nat::new(IpAddr::from([192, 0, 2, 1]), mapping, LIFE_US)
    }

    #[test]
    fn one_outer_port_for_all_destinations_or_one_for_each() {
        let mut independent = nat(Mapping::EndpointIndependent);
        assert_eq!(
            independent.outward(4_000, to(1), 0),
            independent.outward(4_000, to(2), 0)
        );
        let mut symmetric = nat(Mapping::Symmetric);
        let first = symmetric.outward(4_000, to(1), 0);
        assert_ne!(first, symmetric.outward(4_000, to(2), 0));
        assert_eq!(first, symmetric.outward(4_000, to(1), 0));
    }

    #[test]
    fn only_answers_come_in_and_only_for_a_while() {
        let mut nat = nat(Mapping::EndpointIndependent);
        let outer = nat.outward(4_000, to(1), 0).port();
        assert_eq!(nat.inward(outer, to(1), 1), Some(4_000));
        assert_eq!(nat.inward(outer, to(2), 1), None, "nobody wrote there");
        assert_eq!(nat.inward(outer + 1, to(1), 1), None);
        assert_eq!(nat.inward(outer, to(1), LIFE_US), None);
        assert_ne!(nat.outward(4_000, to(1), LIFE_US).port(), outer);
    }
}
