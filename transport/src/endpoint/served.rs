//! One tunnel that ends here, and the table of all such tunnels.

use std::{collections::BTreeMap, net::SocketAddr};

use deut_common::{buckets::Bucket, time::Mono};

use crate::{
    context::Context,
    crypto::{
        exchange::{Transcript, session_keys},
        layer::LayerKeys,
        tunnel::TunnelCipher,
        walk::Hop,
    },
    drop_reason::DropReason,
    ids::{Gate, PortToken, ServedId},
    net::Net,
    observe::Direction,
    packet::MESSAGE_DATAGRAM,
    routes::Side,
    rsa::{OAEP_LEN, SPKI_LEN},
    timers::Timer,
    wire::{
        bytes::part,
        cell::Cell,
        frame::{self, FrameBytes},
    },
};

/// Time after which a tunnel without a K1 cell is dropped.
const HALF_OPEN_MS: u64 = 10_000;

/// The master's last request.
enum LastRequest {
    None,
    /// The answer is still to come.
    UnderWay(u32),
    /// The answer is kept for copies.
    Answered(u32, Box<Cell>),
}

pub(super) struct Served {
    /// The link to the previous hop.
    side: Side,
    hop: Hop,
    layers: LayerKeys,
    cipher: TunnelCipher,
    token: PortToken,
    port: u16,
    gates: [Option<Gate>; 2],
    contact: Option<Vec<u8>>,
    last_request: LastRequest,
    /// The exchange is confirmed: a K1 cell was opened.
    confirmed: bool,
    messages: Bucket,
    /// Budget for HELLOs that nobody answered.
    pub(super) hellos: Bucket,
    pub(super) echoes: Bucket,
    last_used: Mono,
    ends_at: Mono,
}

impl Served {
    /// A tunnel whose messages arrive at this port.
    pub(super) fn new(cx: &Context, side: Side, hop: Hop, (token, port): (PortToken, u16)) -> Self {
        let limits = &cx.config.limits;
        Self {
            side,
            layers: hop.layers(),
            cipher: TunnelCipher::endpoint(hop.endpoint_keys().k0),
            hop,
            token,
            port,
            gates: [None, None],
            contact: None,
            last_request: LastRequest::None,
            confirmed: false,
            messages: Bucket::new(limits.messages_per_tunnel, cx.mono()),
            hellos: Bucket::slow(limits.hellos_per_tunnel, cx.mono()),
            echoes: Bucket::new(limits.echoes_per_tunnel, cx.mono()),
            last_used: cx.mono(),
            ends_at: cx.mono().plus_ms(cx.config.times.tunnel_end_ms),
        }
    }

    pub(super) fn id(&self) -> ServedId {
        ServedId(self.token.0)
    }

    pub(super) const fn side(&self) -> Side {
        self.side
    }

    pub(super) const fn port(&self) -> (PortToken, u16) {
        (self.token, self.port)
    }

    pub(super) fn has_open(&self, gate: Gate) -> bool {
        self.gates.contains(&Some(gate))
    }

    /// Returns true if one more message may pass, in either direction; takes it from the budget.
    pub(super) fn takes_message(&mut self, now: Mono) -> bool {
        self.messages.take(now)
    }

    // Time.

    /// Sets the timer for dropping the tunnel, unless something comes before.
    pub(super) fn plan(&self, cx: &mut Context) {
        let at = if self.confirmed {
            let idle = cx.config.times.tunnel_idle_ms;
            self.ends_at.min(self.last_used.plus_ms(idle))
        } else {
            cx.mono().plus_ms(HALF_OPEN_MS)
        };
        cx.timers.set(Timer::Served(self.id()), at);
    }

    /// Call it when the timer fired: true if the tunnel is still half open, idle or at its end.
    pub(super) fn is_over(&self, cx: &Context) -> bool {
        let idle = cx.config.times.tunnel_idle_ms;
        let due = self.ends_at.min(self.last_used.plus_ms(idle));
        !self.confirmed || cx.mono() >= due
    }

    // Cells.

    /// Opens a cell of the master.
    pub(super) fn open(
        &mut self,
        cx: &mut Context,
        frame: &mut FrameBytes,
    ) -> Result<Cell, DropReason> {
        let mut nonce = frame::cell_nonce(frame);
        let body = frame::cell_body_mut(frame);
        self.layers.forward(&mut nonce, body);
        let cell = self.cipher.open(nonce, body)?;
        self.last_used = cx.mono();
        if self.cipher.is_confirmed() && !self.confirmed {
            self.confirmed = true;
            self.plan(cx);
        }
        Ok(cell)
    }

    /// Sends a cell to the master.
    pub(super) fn send(&mut self, net: &mut Net, cell: &Cell) {
        let sealed = net.send_cell(self.side, |body| {
            let mut nonce = self.cipher.seal(cell, body);
            self.layers.back(&mut nonce, body);
            nonce
        });
        // A link that is gone takes its tunnels with it.
        let _ = sealed;
    }

    /// Passes a message that came to its port through the gate on to the master; all else is dropped unread.
    pub(super) fn deliver(
        &mut self,
        net: &mut Net,
        datagram: &[u8; MESSAGE_DATAGRAM],
    ) -> Result<(), DropReason> {
        if !self.has_open(Gate(*part::<0, 8, _>(datagram))) {
            return Err(DropReason::GateClosed);
        }
        if !self.takes_message(net.cx.mono()) {
            return Err(DropReason::RateLimited);
        }
        self.last_used = net.cx.mono();
        net.cx.counters.endpoint_delivered += 1;
        let cell = Cell::Deliver {
            datagram: Box::new(*datagram),
        };
        net.cx.observers.endpoint_opened(Direction::ToMaster, &cell);
        self.send(net, &cell);
        Ok(())
    }

    // Requests.

    /// False for a request with a new number, which is to be carried out. A copy of the last one is answered again: `true`.
    pub(super) fn is_copy(&mut self, net: &mut Net, number: u32) -> Result<bool, DropReason> {
        let (last, answer) = match &self.last_request {
            LastRequest::None => return Ok(false),
            LastRequest::UnderWay(last) => (*last, None),
            LastRequest::Answered(last, answer) => (*last, Some(answer.clone())),
        };
        if last > number {
            return Err(DropReason::OvertakenRequest);
        }
        if last < number {
            return Ok(false);
        }
        if let Some(answer) = answer {
            self.send(net, &answer);
        }
        Ok(true)
    }

    /// Answers a request, and keeps the answer for copies.
    pub(super) fn answer(&mut self, net: &mut Net, number: u32, answer: Cell) {
        self.send(net, &answer);
        self.last_request = LastRequest::Answered(number, Box::new(answer));
    }

    /// Carries out a request that concerns only this tunnel.
    pub(super) fn execute(&mut self, request: Cell) -> Result<Cell, DropReason> {
        match request {
            Cell::SetGate { number, slot, gate } => {
                let place = self
                    .gates
                    .get_mut(usize::from(slot))
                    .ok_or(DropReason::Malformed)?;
                *place = (gate != Gate([0; 8])).then_some(gate);
                Ok(Cell::GateSet { number })
            }
            Cell::Advertise { number, contact } => {
                self.contact = (!contact.is_empty()).then_some(contact);
                Ok(Cell::Advertised { number })
            }
            Cell::Close { number } => Ok(Cell::Closed { number }),
            Cell::Echo { number, data } => Ok(Cell::Echoed { number, data }),
            _ => Err(DropReason::UnexpectedCell),
        }
    }

    // The exchange of keys.

    /// Returns true if an exchange may start: it must be the first request, and there is only one.
    pub(super) const fn may_exchange(&self) -> bool {
        !self.confirmed && matches!(self.last_request, LastRequest::None)
    }

    /// The worker has the exchange. `None`: it ended without an answer, so a copy from the master gets another chance.
    pub(super) fn exchange_under_way(&mut self, number: Option<u32>) {
        self.last_request = number.map_or(LastRequest::None, LastRequest::UnderWay);
    }

    /// Both secrets are known: sets the session keys. Returns the proof for the master.
    pub(super) fn agree(
        &mut self,
        (endpoint_spki, master_spki): (&[u8; SPKI_LEN], &[u8; SPKI_LEN]),
        (oaep_m, oaep_e): (&[u8; OAEP_LEN], &[u8; OAEP_LEN]),
        (seed_m, seed_e): (&[u8; 32], &[u8; 32]),
    ) -> [u8; 32] {
        let transcript = Transcript {
            element: self.hop.element(),
            reply: self.hop.reply(),
            endpoint_spki,
            master_spki,
            oaep_m,
            oaep_e,
        };
        let (session, confirmation) = session_keys(self.hop.shared(), &transcript, seed_m, seed_e);
        self.cipher.set_session(session);
        confirmation
    }
}

#[derive(Default)]
pub(super) struct Table {
    tunnels: BTreeMap<ServedId, Box<Served>>,
    by_port: BTreeMap<u16, ServedId>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.tunnels.len()
    }

    pub(super) fn insert(&mut self, tunnel: Served) {
        self.by_port.insert(tunnel.port, tunnel.id());
        self.tunnels.insert(tunnel.id(), Box::new(tunnel));
    }

    pub(super) fn remove(&mut self, id: ServedId) -> Option<Box<Served>> {
        let tunnel = self.tunnels.remove(&id)?;
        self.by_port.remove(&tunnel.port);
        Some(tunnel)
    }

    pub(super) fn has(&self, id: ServedId) -> bool {
        self.tunnels.contains_key(&id)
    }

    pub(super) fn get_mut(&mut self, id: ServedId) -> Option<&mut Served> {
        self.tunnels.get_mut(&id).map(Box::as_mut)
    }

    /// The tunnel to whose port this address leads.
    pub(super) fn at(&mut self, address: SocketAddr) -> Option<&mut Served> {
        let id = *self.by_port.get(&address.port())?;
        self.get_mut(id)
    }

    /// The tunnel whose port has this token.
    pub(super) fn of(&mut self, token: PortToken) -> Option<&mut Served> {
        self.get_mut(ServedId(token.0))
    }

    pub(super) fn ids(&self) -> Vec<ServedId> {
        self.tunnels.keys().copied().collect()
    }

    /// Number of contacts that are registered here.
    pub(super) fn contacts(&self) -> usize {
        let contacts = self.tunnels.values();
        contacts.filter(|tunnel| tunnel.contact.is_some()).count()
    }

    /// Up to `count` random contacts of tunnels other than the asker's.
    pub(super) fn some_contacts(
        &self,
        cx: &mut Context,
        asker: Option<ServedId>,
        count: usize,
    ) -> Vec<Vec<u8>> {
        let others = self.tunnels.iter().filter(|(id, _)| Some(**id) != asker);
        let mut contacts: Vec<&Vec<u8>> = others
            .filter_map(|(_, tunnel)| tunnel.contact.as_ref())
            .collect();
        contacts.sort_unstable();
        contacts.dedup();
        let contacts: Vec<Vec<u8>> = contacts.into_iter().cloned().collect();
        cx.sample(contacts, count)
    }
}
