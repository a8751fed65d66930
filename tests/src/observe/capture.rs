//! Takes down what is on the wire and what each role can read, in order and with the time.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, Mutex},
};

use deut_transport::{ids::TunnelHandle, observe::Seen, wire::message::RequestHeader};

use crate::net::{Net, RELAY_PORT, Sighting};

/// All datagrams, as the tap sees them.
pub type Transcript = Rc<RefCell<Vec<Sighting>>>;

/// Puts a tap on the wire.
pub fn wire(net: &mut Net) -> Transcript {
    let transcript = Transcript::default();
    let written = Rc::clone(&transcript);
    net.tap = Some(Box::new(move |sighting| {
        written.borrow_mut().push(sighting.clone())
    }));
    transcript
}

/// Whether a datagram is between relay ports.
#[must_use]
pub const fn is_relay(sighting: &Sighting) -> bool {
    sighting.to.port() == RELAY_PORT
}

/// What one node's probe told.
pub type Told = Arc<Mutex<Vec<Seen>>>;

/// Puts a probe into a node.
pub fn probe(net: &mut Net, node: usize) -> Told {
    let told = Told::default();
    let writer = Arc::clone(&told);
    net.nodes[node].core.add_observer(Box::new(move |seen| {
        writer.lock().expect("one thread").push(seen)
    }));
    told
}

/// Probes in all nodes.
pub fn probe_all(net: &mut Net) -> Vec<Told> {
    (0..net.nodes.len()).map(|node| probe(net, node)).collect()
}

/// A copy of a request as its sender knows it.
#[derive(Clone, Debug)]
pub struct SealedCopy {
    /// Who sent it.
    pub node: usize,
    /// In the order of its sender's sealing.
    pub number: usize,
    /// Request id, reply address and gate, service.
    pub header: RequestHeader,
    /// The endpoint address that was asked.
    pub to: SocketAddr,
    /// What its answer carries.
    pub message_id: [u8; 16],
    /// What names the copy on the wire.
    pub enc: [u8; 32],
    /// Its send tunnel and its reply tunnel.
    pub tunnels: (TunnelHandle, TunnelHandle),
    /// What was asked.
    pub body: Vec<u8>,
}

/// All request copies of all nodes, by message ID.
#[must_use]
pub fn copies(told: &[Told]) -> BTreeMap<[u8; 16], SealedCopy> {
    let mut copies = BTreeMap::new();
    for (node, told) in told.iter().enumerate() {
        for (number, seen) in told.lock().expect("one thread").iter().enumerate() {
            if let Seen::RequestSealed {
                header,
                to,
                message_id,
                enc,
                tunnels,
                body,
            } = seen
            {
                let copy = SealedCopy {
                    node,
                    number,
                    header: header.clone(),
                    to: *to,
                    message_id: *message_id,
                    enc: *enc,
                    tunnels: *tunnels,
                    body: body.clone(),
                };
                copies.insert(*message_id, copy);
            }
        }
    }
    copies
}

/// The message ID that a datagram between endpoints carries if it is an answer.
#[must_use]
pub fn message_id(datagram: &[u8]) -> [u8; 16] {
    std::array::from_fn(|i| datagram[8 + i])
}

/// The bytes that name a copy of a request, if the datagram between endpoints is one.
#[must_use]
pub fn enc(datagram: &[u8]) -> [u8; 32] {
    std::array::from_fn(|i| datagram[8 + i])
}
