//! Requests of a master to its endpoint, one at a time, each with a number (protocol §7.2).

use std::collections::VecDeque;

use deut_common::{ids::RelayId, time::Mono};

use crate::{
    drop_reason::DropReason,
    ids::{Gate, TunnelHandle},
    rsa::{OAEP_LEN, SPKI_LEN},
    wire::cell::Cell,
};

/// Number of sends of one request.
const SENDS: u8 = 3;
/// Number of requests that may wait in one tunnel; further ones are refused.
const QUEUE: usize = 8;

/// The purpose of a request, with its data.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// Our half of the RSA exchange.
    Exchange {
        spki: Box<[u8; SPKI_LEN]>,
        sealed: Box<[u8; OAEP_LEN]>,
    },
    /// A new reply gate (slot 1).
    ReplyGate(Gate),
    /// The persona's gate (slot 0).
    PersonaGate(Gate),
    /// Registers this contact of the persona.
    Advertise(Vec<u8>),
    /// Asks for the contacts that the endpoint hosts.
    Seeds,
    /// Asks for the endpoint's knowledge of the relay at which another tunnel ends.
    Describe {
        tunnel: TunnelHandle,
        relay: RelayId,
    },
    /// Tests the tunnel. If `told`, the application asked for the round-trip time.
    Echo { told: bool },
    /// Ends the tunnel.
    Close,
}

impl Purpose {
    fn cell(&self, number: u32) -> Cell {
        let set_gate = |slot, gate| Cell::SetGate { number, slot, gate };
        match self {
            Self::Exchange { spki, sealed } => Cell::Exchange {
                number,
                spki: spki.clone(),
                sealed: sealed.clone(),
            },
            Self::ReplyGate(gate) => set_gate(1, *gate),
            Self::PersonaGate(gate) => set_gate(0, *gate),
            Self::Advertise(contact) => Cell::Advertise {
                number,
                contact: contact.clone(),
            },
            Self::Seeds => Cell::Seeds { number },
            Self::Describe { relay, .. } => Cell::Describe {
                number,
                relay: *relay,
            },
            Self::Echo { .. } => Cell::Echo {
                number,
                data: u64::from(number).to_be_bytes(),
            },
            Self::Close => Cell::Close { number },
        }
    }
}

struct Active {
    number: u32,
    purpose: Purpose,
    sends: u8,
    next_at: Mono,
    since: Mono,
}

/// A request that was answered.
pub(super) struct Answered {
    pub(super) purpose: Purpose,
    /// The time at which its turn came.
    pub(super) since: Mono,
}

/// The state of the request under way.
pub(super) enum Overdue {
    /// It is not due yet.
    Not,
    /// It is to be sent once more.
    Again,
    /// It was sent as often as it may be.
    GivenUp(Purpose),
}

/// The requests of one tunnel: one under way, the others wait for their turn.
#[derive(Default)]
pub(super) struct RequestQueue {
    next_number: u32,
    waiting: VecDeque<Purpose>,
    active: Option<Active>,
}

impl RequestQueue {
    pub(super) fn push(&mut self, purpose: Purpose) {
        if self.waiting.len() < QUEUE {
            self.waiting.push_back(purpose);
        }
    }

    pub(super) const fn is_idle(&self) -> bool {
        self.active.is_none()
    }

    /// Returns true if the request under way was sent more than once.
    pub(super) fn is_repeated(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.sends > 1)
    }

    /// The time at which the request under way is due to be sent again.
    pub(super) fn due(&self) -> Option<Mono> {
        self.active.as_ref().map(|active| active.next_at)
    }

    /// Takes the next request if none is under way; `false` if there is nothing to send.
    pub(super) fn begin_next(&mut self, now: Mono) -> bool {
        if !self.is_idle() {
            return false;
        }
        let Some(purpose) = self.waiting.pop_front() else {
            return false;
        };
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        self.active = Some(Active {
            number,
            purpose,
            sends: 0,
            next_at: now,
            since: now,
        });
        true
    }

    /// The cell of the request under way, which is sent now and will be due again at `next_at`.
    pub(super) fn send(&mut self, next_at: Mono) -> Option<Cell> {
        let active = self.active.as_mut()?;
        active.sends += 1;
        active.next_at = next_at;
        Some(active.purpose.cell(active.number))
    }

    /// Ends the request with this number. Repeated requests are answered each time, but only the first answer counts.
    pub(super) fn answered(&mut self, number: u32) -> Result<Answered, DropReason> {
        match self.active.take_if(|active| active.number == number) {
            Some(Active { purpose, since, .. }) => Ok(Answered { purpose, since }),
            None if number < self.next_number => Err(DropReason::LateAnswer),
            None => Err(DropReason::UnexpectedCell),
        }
    }

    /// Checks the request under way. An exchange is not given up before `patience`, since RSA at a busy endpoint may take its time.
    pub(super) fn overdue(&mut self, now: Mono, patience: Mono) -> Overdue {
        let Some(active) = self.active.as_mut().filter(|active| active.next_at <= now) else {
            return Overdue::Not;
        };
        if active.sends < SENDS {
            return Overdue::Again;
        }
        if matches!(active.purpose, Purpose::Exchange { .. }) {
            active.next_at = patience;
            return Overdue::Not;
        }
        match self.active.take() {
            Some(active) => Overdue::GivenUp(active.purpose),
            None => Overdue::Not,
        }
    }

    /// Puts the request under way back into the queue, where it will get a new number: an answer to the old one comes too late.
    pub(super) fn put_back(&mut self) {
        if let Some(active) = self.active.take() {
            self.waiting.push_front(active.purpose);
        }
    }

    /// Replaces the contact in all requests, sent or not; `true` if one still waits for its turn.
    pub(super) fn renew_contact(&mut self, contact: &[u8]) -> bool {
        if let Some(Purpose::Advertise(old)) =
            self.active.as_mut().map(|active| &mut active.purpose)
        {
            *old = contact.to_vec();
        }
        let waiting = self.waiting.iter_mut().find_map(|purpose| match purpose {
            Purpose::Advertise(old) => Some(old),
            _ => None,
        });
        waiting.map(|old| *old = contact.to_vec()).is_some()
    }
}

#[cfg(test)]
mod tests;
