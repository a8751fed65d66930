//! What is going to happen, in order of time and, within one instant, of planning.

use std::net::SocketAddr;

use deut_transport::{ids::JobTicket, packet::Packet, rsa::Job};

pub(super) enum What {
    /// A datagram arrives.
    Datagram {
        from: SocketAddr,
        to: SocketAddr,
        packet: Packet,
    },
    /// A node asked to be called.
    Timeout(usize),
    /// A node's worker is done. A node that started again meanwhile knows nothing of it.
    Job {
        node: usize,
        life: u32,
        ticket: JobTicket,
        work: Job,
    },
}

pub(super) struct Entry {
    pub(super) at: u64,
    pub(super) sequence: u64,
    pub(super) what: What,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}
