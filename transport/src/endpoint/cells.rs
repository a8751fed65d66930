//! What a master asks of its endpoint through the tunnel (protocol §7.2).

use super::{Endpoint, outside::Outgoing};
use crate::{
    context::Context,
    crypto::session::plaintext_mut,
    directory::Directory,
    drop_reason::DropReason,
    ids::{Gate, ServedId},
    links::Links,
    packet::Packet,
    timers::Timer,
    wire::{cell::Cell, frame},
};

/// Contacts in one answer to `Seeds`.
const SEEDS: usize = 8;

/// What a cell asks the rest of the node to do.
pub(crate) enum CellOutcome {
    /// Nothing.
    Done,
    /// The master closes its tunnel.
    Close,
    /// A message for an endpoint port, perhaps one of our own.
    Send(Box<Outgoing>),
}

impl Endpoint {
    /// A cell arrived at its end.
    pub(crate) fn on_cell(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        directory: &Directory,
        id: ServedId,
        packet: &mut Packet,
    ) -> Result<CellOutcome, DropReason> {
        let now = cx.mono();
        let tunnel = self.tunnels.get_mut(&id).ok_or(DropReason::UnknownTunnel)?;
        let frame = plaintext_mut(packet.as_relay_mut().ok_or(DropReason::BadLength)?);
        let mut nonce = frame::cell_nonce(frame);
        let body = frame::cell_body_mut(frame);
        tunnel.layers.forward(&mut nonce, body);
        let cell = tunnel.cipher.open(nonce, body)?;
        tunnel.last_used = now;
        if tunnel.cipher.is_confirmed() && !tunnel.confirmed {
            tunnel.confirmed = true;
            cx.timers.set(
                Timer::Served(id),
                now.plus_ms(cx.config.times.tunnel_idle_ms),
            );
        }
        cx.observers
            .endpoint_opened(crate::observe::Direction::FromMaster, &cell);
        if let Cell::Send { to, datagram } = cell {
            return Ok(CellOutcome::Send(Box::new(Outgoing {
                tunnel: id,
                to,
                datagram,
            })));
        }
        self.on_request(cx, links, directory, id, cell)
    }

    /// A numbered request: executed once, answered as often as it is repeated.
    fn on_request(
        &mut self,
        cx: &mut Context,
        links: &mut Links,
        directory: &Directory,
        id: ServedId,
        cell: Cell,
    ) -> Result<CellOutcome, DropReason> {
        let number = cell.number().ok_or(DropReason::UnexpectedCell)?;
        let tunnel = self.tunnels.get(&id).ok_or(DropReason::UnknownTunnel)?;
        match &tunnel.answered {
            Some((last, answer)) if *last == number => {
                let again = answer.clone();
                if let Some(answer) = again {
                    self.send_back(cx, links, id, &answer);
                }
                return Ok(CellOutcome::Done);
            }
            Some((last, _)) if *last > number => return Err(DropReason::OvertakenRequest),
            Some(_) | None => {}
        }
        if let Cell::Exchange {
            number,
            spki,
            sealed,
        } = cell
        {
            if tunnel.confirmed || tunnel.answered.is_some() {
                return Err(DropReason::UnexpectedCell);
            }
            self.start_exchange(cx, id, number, (spki, sealed))?;
            return Ok(CellOutcome::Done);
        }
        let close = matches!(cell, Cell::Close { .. });
        let answer = self.execute(cx, directory, id, cell)?;
        if let Some(tunnel) = self.tunnels.get_mut(&id) {
            tunnel.answered = Some((number, Some(Box::new(answer.clone()))));
        }
        self.send_back(cx, links, id, &answer);
        Ok(if close {
            CellOutcome::Close
        } else {
            CellOutcome::Done
        })
    }

    fn execute(
        &mut self,
        cx: &mut Context,
        directory: &Directory,
        id: ServedId,
        cell: Cell,
    ) -> Result<Cell, DropReason> {
        if let Cell::Seeds { number } = cell {
            return Ok(Cell::SeedsAnswer {
                number,
                contacts: self.some_contacts(cx, id),
            });
        }
        let tunnel = self.tunnels.get_mut(&id).ok_or(DropReason::UnknownTunnel)?;
        match cell {
            Cell::SetGate { number, slot, gate } => {
                let place = tunnel
                    .gates
                    .get_mut(usize::from(slot))
                    .ok_or(DropReason::Malformed)?;
                *place = (gate != Gate([0; 8])).then_some(gate);
                Ok(Cell::GateSet { number })
            }
            Cell::Advertise { number, contact } => {
                tunnel.contact = (!contact.is_empty()).then_some(contact);
                Ok(Cell::Advertised { number })
            }
            Cell::Describe { number, relay } => {
                let descriptor = directory
                    .get(relay)
                    .map(|descriptor| Box::new(*descriptor.bytes()));
                Ok(Cell::Described { number, descriptor })
            }
            Cell::Close { number } => Ok(Cell::Closed { number }),
            Cell::Echo { number, data } => Ok(Cell::Echoed { number, data }),
            _ => Err(DropReason::UnexpectedCell),
        }
    }

    /// Contacts of other tunnels that end here, at random.
    fn some_contacts(&self, cx: &mut Context, asker: ServedId) -> Vec<Vec<u8>> {
        self.contacts_but_of(cx, Some(asker))
    }

    /// Contacts of tunnels that end here, at random, for this machine's own planes: see `Command::WantSeeds`.
    pub(crate) fn contacts_for_ourselves(&self, cx: &mut Context) -> Vec<Vec<u8>> {
        self.contacts_but_of(cx, None)
    }

    fn contacts_but_of(&self, cx: &mut Context, asker: Option<ServedId>) -> Vec<Vec<u8>> {
        let others = self.tunnels.iter().filter(|(id, _)| Some(**id) != asker);
        let mut contacts: Vec<&Vec<u8>> = others
            .filter_map(|(_, tunnel)| tunnel.contact.as_ref())
            .collect();
        contacts.sort_unstable();
        contacts.dedup();
        let contacts: Vec<Vec<u8>> = contacts.into_iter().cloned().collect();
        cx.sample(contacts, SEEDS)
    }

    /// How many contacts are registered here.
    pub(crate) fn contacts(&self) -> usize {
        self.tunnels
            .values()
            .filter(|tunnel| tunnel.contact.is_some())
            .count()
    }
}
