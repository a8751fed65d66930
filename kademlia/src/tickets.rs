//! Numbers for RPCs and groups, from which the plane can be read.

/// Which plane an RPC belongs to, so which tunnel pool carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnBehalf {
    /// The persona's own maintenance: persona pool; the request carries its contact.
    Persona,
    /// A user's query: lookup pool; the request carries nobody's contact.
    User,
}

/// Names one outgoing RPC; chosen by this crate, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RpcTicket(pub u64);

/// Names one incoming request; chosen by the caller, given back with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IncomingTicket(pub u64);

/// Names one query; chosen by the caller, must not be in use by a running query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueryTicket(pub u64);

/// RPCs that belong together: they share the two reply tunnels of one lookup. Chosen by this crate,
/// never used twice, ended by exactly one [`DhtOutput::GroupEnded`](crate::io::DhtOutput::GroupEnded).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group(pub u64);

/// Any number that is the same for the same sending tunnel of ours; tells failures over one tunnel
/// from failures over several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TunnelTag(pub u64);

/// Counts up; the lowest bit is the plane.
#[derive(Debug)]
pub(crate) struct Tickets {
    next: u64,
}

impl Tickets {
    pub(crate) fn new(plane: OnBehalf) -> Self {
        Self {
            next: plane_bit(plane),
        }
    }

    pub(crate) fn rpc(&mut self) -> RpcTicket {
        RpcTicket(self.number())
    }

    pub(crate) fn group(&mut self) -> Group {
        Group(self.number())
    }

    fn number(&mut self) -> u64 {
        self.next += 2;
        self.next
    }
}

/// The plane that a ticket was made in.
pub(crate) fn plane_of(ticket: RpcTicket) -> OnBehalf {
    if ticket.0 & 1 == plane_bit(OnBehalf::User) {
        OnBehalf::User
    } else {
        OnBehalf::Persona
    }
}

fn plane_bit(plane: OnBehalf) -> u64 {
    match plane {
        OnBehalf::Persona => 1,
        OnBehalf::User => 0,
    }
}
