//! Numbers for RPCs and groups, from which the plane can be read.
use crate::api::{Group, OnBehalf, RpcTicket};

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
