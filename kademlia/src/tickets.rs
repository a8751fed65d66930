//! Numbers for RPCs and groups, which also show the plane.

/// The plane of an RPC, and so the tunnel pool that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnBehalf {
    /// The persona's own upkeep: it uses the persona pool, and requests carry the persona's contact.
    Persona,
    /// A user's query: it uses the lookup pool, and requests carry no contact.
    User,
}

/// Names one outgoing RPC; chosen by this crate, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RpcTicket(pub u64);

/// Names one incoming request. It is chosen by the caller and comes back with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IncomingTicket(pub u64);

/// Names one query. It is chosen by the caller and must not be that of a running query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueryTicket(pub u64);

/// RPCs that belong together and share the two reply tunnels of one lookup. A group is chosen by this crate, is never used twice,
/// and is ended by exactly one [`DhtOutput::GroupEnded`](crate::io::DhtOutput::GroupEnded).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group(pub u64);

/// Any number that is the same for the same sending tunnel of ours. It distinguishes failures over one tunnel from failures over
/// several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TunnelTag(pub u64);

/// A counter whose lowest bit is the plane.
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
