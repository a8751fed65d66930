//! Datagrams between nodes: what the wire, cuts, taps, translators and hostile relayers do to them.

use std::net::SocketAddr;

use deut_transport::{Handled, ids::Port, packet::Packet};
use rand::RngExt;

use super::{Net, Sighting, event::What, node::SOCKET};

impl Net {
    /// Sends a datagram from anywhere.
    pub fn inject(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let packet = Packet::copy_of(bytes);
        self.push(self.now, What::Datagram { from, to, packet });
    }

    pub(super) fn deliver(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        packet: Packet,
    ) -> Option<usize> {
        let &index = self.by_ip.get(&to.ip())?;
        let now = self.now_at(index);
        let node = &mut self.nodes[index];
        if !node.alive {
            return None;
        }
        if node.paused {
            if node.waiting.len() < SOCKET {
                node.waiting.push_back((from, to, packet));
            }
            return None;
        }
        let number = match &node.nat {
            Some(nat) => nat.inward(to.port(), from, self.now)?,
            None => to.port(),
        };
        let port = node.ports.at(number)?;
        self.trace.add_bytes(packet.bytes());
        let handled = node.core.handle_datagram(now, port, from, packet);
        if let Handled::Forward { from, to, packet } = handled {
            self.forward(index, from, to, packet);
        }
        self.drain(index);
        Some(index)
    }

    /// A relayer passes a cell on, or does to it what it does.
    fn forward(&mut self, index: usize, from: Port, to: SocketAddr, packet: Packet) {
        if let Some(cells) = &mut self.nodes[index].cells {
            for packet in cells.pass(to, packet) {
                self.put_on_wire(index, from, to, packet, 0);
            }
            return;
        }
        let Some(conduct) = self.nodes[index].misconduct else {
            return self.put_on_wire(index, from, to, packet, 0);
        };
        let tally = &mut self.nodes[index].tally;
        if self.rng.random_range(0..1_000) < conduct.drops {
            tally.swallowed += 1;
            return;
        }
        let later = self.rng.random_range(0..=conduct.delays_us);
        tally.held_back += u64::from(later > 0);
        self.put_on_wire(index, from, to, packet, later);
    }

    /// A core sends something.
    pub(super) fn transmit(
        &mut self,
        index: usize,
        from: Port,
        to: SocketAddr,
        mut packet: Packet,
    ) {
        if let Some(cells) = &mut self.nodes[index].cells {
            cells.renumber(to, &mut packet);
        }
        self.put_on_wire(index, from, to, packet, 0);
    }

    fn put_on_wire(
        &mut self,
        index: usize,
        from: Port,
        to: SocketAddr,
        mut packet: Packet,
        later_us: u64,
    ) {
        let now = self.now;
        let node = &mut self.nodes[index];
        let port = node.ports.number(from);
        let from = match &mut node.nat {
            Some(nat) => nat.outward(port, to, now),
            None => SocketAddr::new(node.address.ip(), port),
        };
        let side = node.side;
        let leaves = self
            .wire
            .leaves(now, &mut node.free_at, packet.bytes().len());
        self.datagrams += 1;
        self.bytes += packet.bytes().len() as u64;
        if let Some(tap) = &mut self.tap {
            let mut sighting = Sighting {
                at: now,
                from,
                to,
                bytes: packet.bytes().to_vec(),
            };
            tap(&mut sighting);
            packet = Packet::copy_of(&sighting.bytes);
        }
        let other = self
            .by_ip
            .get(&to.ip())
            .map(|&other| self.nodes[other].side);
        let cut = self.cut && other != Some(side);
        let Some(leaves) = leaves.filter(|_| !cut && !packet.bytes().is_empty()) else {
            return;
        };
        let pair = (from.ip(), to.ip());
        let mut arrivals = self
            .wire
            .arrivals(&mut self.rng, pair, leaves + later_us)
            .into_iter();
        let first = arrivals.next();
        for at in arrivals {
            let packet = Packet::copy_of(packet.bytes());
            self.push(at, What::Datagram { from, to, packet });
        }
        if let Some(at) = first {
            self.push(at, What::Datagram { from, to, packet });
        }
    }
}
