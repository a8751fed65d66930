//! The sockets of one node: the relay port and one port per tunnel that ends here.
//!
//! There is no task and no queue per socket: a socket that becomes readable puts its slot on the [`ready::ReadyList`] and wakes the
//! driver, which reads a bounded batch from each listed socket in turn. Sending never waits: a datagram for which the system's
//! buffer has no room is lost and counted, as on any wire.

mod health;
mod ready;
mod socket;

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use deut_common::time::Mono;
use deut_transport::{
    ids::{Port, PortToken},
    io::PortError,
    packet::Packet,
    status::LocalNetwork,
};
use tokio::net::UdpSocket;

pub(crate) use self::health::is_here;
use self::{health::Health, ready::ReadyList};
use crate::{families::Families, status::UdpStatus};

/// Number of datagrams taken from the relay port before the next socket has its turn.
const RELAY_BATCH: usize = 32;
/// Number of datagrams taken from an endpoint port before the next socket has its turn.
const ENDPOINT_BATCH: usize = 8;
/// Largest number of endpoint ports; beyond it opening is refused. The transport's own cap is lower.
const MAX_ENDPOINT_PORTS: usize = 2_048;
/// Number of buffers kept for reuse; others are freed.
const MAX_SPARE: usize = 64;
/// Receive and send buffer that the system is asked for, for the relay port, in bytes. It may give less.
const RELAY_BUFFER: usize = 4 << 20;
/// The same for an endpoint port.
const ENDPOINT_BUFFER: usize = 256 << 10;

/// A datagram that arrived.
pub(crate) struct Received {
    pub(crate) at: Port,
    pub(crate) from: SocketAddr,
    pub(crate) packet: Packet,
}

pub(crate) struct Sockets {
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    endpoints: BTreeMap<PortToken, usize>,
    ready: Arc<ReadyList>,
    /// Number of slots that still have their turn in this round.
    turns: usize,
    /// The slot whose turn it is, and the number of datagrams it may still give.
    turn: Option<(usize, usize)>,
    spare: Vec<Packet>,
    local: SocketAddr,
    families: Families,
    counters: UdpStatus,
    health: Health,
}

struct Slot {
    port: Port,
    socket: UdpSocket,
    waker: Waker,
}

/// The relay port's slot.
const RELAY: usize = 0;

impl Sockets {
    /// Binds the relay port for these address families.
    pub(crate) fn bind(relay: SocketAddr, families: Families) -> io::Result<Self> {
        let socket = socket::bind(relay, families, RELAY_BUFFER)?;
        let local = socket.local_addr()?;
        let mut sockets = Self {
            slots: Vec::new(),
            free: Vec::new(),
            endpoints: BTreeMap::new(),
            ready: Arc::default(),
            turns: 0,
            turn: None,
            spare: Vec::new(),
            local,
            families,
            counters: UdpStatus::default(),
            health: Health::default(),
        };
        sockets.insert(Port::Relay, socket);
        Ok(sockets)
    }

    /// The address that the relay port is bound to.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Binds an endpoint port on the address of the relay port.
    pub(crate) fn open(&mut self, token: PortToken, port: u16) -> Result<(), PortError> {
        if self.endpoints.len() >= MAX_ENDPOINT_PORTS || self.endpoints.contains_key(&token) {
            return Err(PortError::Refused);
        }
        let ip: IpAddr = self.local.ip();
        match socket::bind(SocketAddr::new(ip, port), self.families, ENDPOINT_BUFFER) {
            Ok(socket) => {
                let slot = self.insert(Port::Endpoint(token), socket);
                self.endpoints.insert(token, slot);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(PortError::InUse),
            Err(error) => {
                tracing::debug!(port, %error, "cannot open an endpoint port");
                Err(PortError::Refused)
            }
        }
    }

    /// Closes an endpoint port.
    pub(crate) fn close(&mut self, token: PortToken) {
        if let Some(index) = self.endpoints.remove(&token)
            && let Some(slot) = self.slots.get_mut(index)
        {
            *slot = None;
            self.free.push(index);
        }
    }

    /// Sends a datagram now or not at all.
    pub(crate) fn send(&mut self, from: Port, to: SocketAddr, packet: Packet) {
        let index = match from {
            Port::Relay => Some(RELAY),
            Port::Endpoint(token) => self.endpoints.get(&token).copied(),
        };
        match index.and_then(|index| self.slots.get(index)) {
            Some(Some(slot)) => {
                match socket::send(&slot.socket, packet.bytes(), self.families.outward(to)) {
                    Ok(()) => self.counters.sent += 1,
                    Err(error) if socket::is_full(&error) => self.counters.send_buffer_full += 1,
                    Err(error) => {
                        self.counters.send_refused += 1;
                        self.health.refused(&error);
                        tracing::trace!(%error, "a datagram is refused");
                    }
                }
            }
            _ => self.counters.port_closed += 1,
        }
        self.recycle(packet);
    }

    /// Checks if this machine sends at all. Returns its state if that is news.
    pub(crate) fn look(&mut self, now: Mono) -> Option<LocalNetwork> {
        let counts = (self.counters.sent, self.counters.send_refused);
        let ip = self.local.ip();
        self.health
            .look(now, counts, || ip.is_unspecified() || is_here(ip))
    }

    /// The time to [look](Self::look) again.
    pub(crate) const fn look_at(&self) -> Mono {
        self.health.due()
    }

    /// Takes a buffer back for reuse.
    pub(crate) fn recycle(&mut self, packet: Packet) {
        if self.spare.len() < MAX_SPARE {
            self.spare.push(packet);
        }
    }

    /// Ready if a socket may have something; otherwise the driver is woken once one has.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.ready.poll(cx)
    }

    /// Starts a round, in which every socket that is ready now gets one turn.
    pub(crate) fn begin_round(&mut self) {
        self.turns = self.ready.len();
    }

    /// The next datagram of this round. A datagram longer than any we know arrives truncated, but is still too long to be accepted.
    pub(crate) fn receive(&mut self) -> Option<Received> {
        loop {
            let (index, left) = match self.turn.take() {
                Some(turn) => turn,
                None => self.next_turn()?,
            };
            // The slot may have been closed since it became ready.
            let Some(Some(slot)) = self.slots.get(index) else {
                continue;
            };
            if left == 0 {
                self.ready.push(index);
                continue;
            }
            let mut packet = self.spare.pop().unwrap_or_else(|| Packet::zeroed(0));
            match slot.socket.try_recv_from(packet.buffer_mut()) {
                Ok((length, from)) => {
                    packet.set_len(length);
                    self.turn = Some((index, left - 1));
                    self.counters.received += 1;
                    return Some(Received {
                        at: slot.port,
                        from: self.families.inward(from),
                        packet,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // It is empty: the slot's waker will put it on the list again.
                    if slot
                        .socket
                        .poll_recv_ready(&mut Context::from_waker(&slot.waker))
                        .is_ready()
                    {
                        self.turn = Some((index, left - 1));
                    }
                }
                Err(_) => {
                    self.turn = Some((index, left - 1));
                    self.counters.receive_errors += 1;
                }
            }
            self.recycle(packet);
        }
    }

    /// The counters and the number of open endpoint ports.
    pub(crate) fn status(&self) -> UdpStatus {
        UdpStatus {
            endpoint_ports: self.endpoints.len(),
            ..self.counters
        }
    }

    fn next_turn(&mut self) -> Option<(usize, usize)> {
        self.turns = self.turns.checked_sub(1)?;
        let index = self.ready.pop()?;
        Some((
            index,
            if index == RELAY {
                RELAY_BATCH
            } else {
                ENDPOINT_BATCH
            },
        ))
    }

    fn insert(&mut self, port: Port, socket: UdpSocket) -> usize {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let waker = self.ready.waker(index);
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Some(Slot {
                port,
                socket,
                waker,
            });
        }
        // Its first turn registers it with the reactor.
        self.ready.push(index);
        index
    }
}

#[cfg(test)]
mod tests;
