//! A relayer that opens what its core has sealed for the next link, alters or repeats the cells of others, and seals again.
//!
//! It knows its own session keys, as every relayer does; the core that it wraps is the one that everybody runs.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use deut_transport::{
    crypto::{
        aead::{AeadKey, TAG, counter_nonce},
        session::plaintext_mut,
    },
    observe::Seen,
    packet::{Packet, RELAY_DATAGRAM},
    wire::{
        datagram::SessionHeader,
        frame::{CELL_BODY, cell_body_mut},
    },
};

use crate::net::Node;

/// What happens to a cell once the relayer has looked at it, and perhaps altered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passing {
    /// It goes on, as any other.
    Once,
    /// It goes on twice, each copy sealed by itself.
    Twice,
}

type OnCell = Box<dyn FnMut(&mut [u8; CELL_BODY]) -> Passing + Send>;

/// A session that the relayer sends under.
struct Sending {
    key: Arc<AeadKey>,
    /// Datagrams that went out beside those that the core knows of.
    more: u64,
}

type Sessions = Arc<Mutex<BTreeMap<(SocketAddr, u32), Sending>>>;

/// Stands between a core and its wire.
pub struct Cells {
    sessions: Sessions,
    on_cell: OnCell,
}

impl Cells {
    /// For a node none of whose sessions is of interest up to now; from now on it reports those that it makes.
    pub(super) fn of(node: &mut Node, on_cell: OnCell) -> Self {
        let sessions = Sessions::default();
        let made = Arc::clone(&sessions);
        node.core.add_observer(Box::new(move |seen| {
            if let Seen::Session {
                neighbour,
                index,
                send: key,
            } = seen
            {
                let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
                made.insert((neighbour, index), Sending { key, more: 0 });
            }
        }));
        Self { sessions, on_cell }
    }

    /// A cell of somebody else leaves: what leaves in its place.
    pub(crate) fn pass(&mut self, to: SocketAddr, mut packet: Packet) -> Vec<Packet> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((session, counter)) = find(&mut sessions, to, &packet) else {
            return vec![packet];
        };
        let datagram = packet
            .as_relay_mut()
            .expect("session datagrams have one length");
        open(session, counter, datagram);
        let passing = (self.on_cell)(cell_body_mut(plaintext_mut(datagram)));
        let mut again = *datagram;
        seal(session, counter, datagram);
        if passing == Passing::Once {
            return vec![packet];
        }
        session.more += 1;
        seal(session, counter, &mut again);
        vec![packet, Packet::copy_of(&again)]
    }

    /// Anything else leaves. It is counted anew if cells were repeated before.
    pub(crate) fn renumber(&mut self, to: SocketAddr, packet: &mut Packet) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let found = find(&mut sessions, to, packet).filter(|(session, _)| session.more > 0);
        if let (Some((session, counter)), Some(datagram)) = (found, packet.as_relay_mut()) {
            open(session, counter, datagram);
            seal(session, counter, datagram);
        }
    }
}

/// The session of a datagram and its counter, if it is one of a session.
fn find<'a>(
    sessions: &'a mut BTreeMap<(SocketAddr, u32), Sending>,
    to: SocketAddr,
    packet: &Packet,
) -> Option<(&'a mut Sending, u64)> {
    let header = SessionHeader::parse(packet.bytes().try_into().ok()?)?;
    let session = sessions.get_mut(&(to, header.index))?;
    Some((session, header.counter))
}

fn open(session: &Sending, counter: u64, datagram: &mut [u8; RELAY_DATAGRAM]) {
    let (aad, sealed) = datagram.split_at_mut(SessionHeader::LEN);
    let opened = session
        .key
        .open_in_place(counter_nonce(counter), aad, sealed);
    opened.expect("our own session");
}

/// Seals with the counter that the other side expects.
fn seal(session: &Sending, counter: u64, datagram: &mut [u8; RELAY_DATAGRAM]) {
    let index = SessionHeader::parse(datagram).expect("parsed before").index;
    let counter = counter + session.more;
    SessionHeader { index, counter }.write(datagram);
    let (aad, sealed) = datagram.split_at_mut(SessionHeader::LEN);
    debug_assert!(sealed.len() > TAG);
    session
        .key
        .seal_in_place(counter_nonce(counter), aad, sealed);
}
