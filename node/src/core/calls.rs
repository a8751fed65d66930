//! The calls of applications, and the separation of their numbers from the DHT's.
//!
//! The transport sees one space of call tickets and groups. The lowest bit is 0 for the DHT's and 1 for an application's.

use std::collections::BTreeSet;

use deut_kademlia::{Group, RpcTicket};
use deut_transport::ids::{CallGroup, CallTicket};

/// Application calls that are open.
#[derive(Debug, Default)]
pub(super) struct Calls {
    open: BTreeSet<u64>,
}

/// Largest number of open calls; beyond it a new one fails as busy.
const MAX_OPEN: usize = 256;

/// The owner of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Dht(RpcTicket),
    Application(u64),
}

impl Calls {
    /// Registers a new call; `false` if there are too many or the ticket is in use.
    pub(super) fn open(&mut self, ticket: u64) -> bool {
        self.open.len() < MAX_OPEN && self.open.insert(ticket)
    }

    /// Ends a call; `false` if it was not open.
    pub(super) fn close(&mut self, ticket: u64) -> bool {
        self.open.remove(&ticket)
    }
}

pub(super) fn dht_ticket(ticket: RpcTicket) -> CallTicket {
    CallTicket(ticket.0 << 1)
}

pub(super) fn dht_group(group: Group) -> CallGroup {
    CallGroup(group.0 << 1)
}

pub(super) fn application_ticket(ticket: u64) -> CallTicket {
    CallTicket(ticket << 1 | 1)
}

/// The group of an application call. Each call is a group of its own.
pub(super) fn application_group(ticket: u64) -> CallGroup {
    CallGroup(ticket << 1 | 1)
}

pub(super) fn caller(ticket: CallTicket) -> Caller {
    match ticket.0 & 1 {
        0 => Caller::Dht(RpcTicket(ticket.0 >> 1)),
        _ => Caller::Application(ticket.0 >> 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_come_back_to_their_caller() {
        for number in [0, 1, 2, 77, u64::MAX >> 1] {
            assert_eq!(
                caller(dht_ticket(RpcTicket(number))),
                Caller::Dht(RpcTicket(number))
            );
            assert_eq!(
                caller(application_ticket(number)),
                Caller::Application(number)
            );
            assert_ne!(dht_group(Group(number)), application_group(number));
        }
    }

    #[test]
    fn open_calls_are_bounded_and_close_once() {
        let mut calls = Calls::default();
        assert!((0..MAX_OPEN as u64).all(|ticket| calls.open(ticket)));
        assert!(!calls.open(1_000));
        assert!(calls.close(5) && !calls.close(5));
        assert!(calls.open(1_000) && !calls.open(1_000));
    }
}
